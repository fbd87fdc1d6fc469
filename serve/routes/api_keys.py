"""API keys of a tenant, for its administrators."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve import configuring
from serve.errors import bad_request
from serve.fields import Body, IsoTime
from serve.paging import Cursor, Limit, page
from serve.routing import AdminRoute, author_of, caller_of, services_of
from storage import tenants
from storage.clock import iso, now_ms
from storage.config import Doc, TenantConfig, Write

KIND = "apiKey"

router = APIRouter(prefix="/api-keys", tags=["keys"], route_class=AdminRoute)


class KeyBody(Body):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    scopes: Annotated[
        list[Literal["respond", "recommend", "read", "write", "admin"]], Field(min_length=1, max_length=5)
    ]
    expires_at: IsoTime | None = None


@router.post("", status_code=201, summary="Make a key; it is shown this once")
async def create(request: Request, body: KeyBody) -> Response:
    """Answer the key, of which only an HMAC is kept."""
    services, tenant = services_of(request), caller_of(request).tenant
    time_ms = now_ms()
    if body.expires_at is not None and body.expires_at <= time_ms:
        raise bad_request("expiresAt", "must lie ahead")
    expires_at = None if body.expires_at is None else iso(body.expires_at)
    key, doc = await tenants.create_key(
        services.redis,
        services.partitions,
        tenant.id,
        body.name,
        body.scopes,
        services.pepper,
        time_ms,
        expires_at,
        author_of(request),
    )
    await services.directory.refresh(tenant.id)
    return JSONResponse({**_shown(doc), "key": str(key)}, 201)


@router.get("", summary="List the keys, without secrets")
async def keys(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer what is known of each key but its secret."""
    items = caller_of(request).tenant.config.of_kind(KIND).values()
    return JSONResponse(page([_shown(item.doc) for item in items if item.live], limit, cursor))


@router.get("/{key_id}", summary="Read a key, without its secret")
async def read(request: Request, key_id: str) -> Response:
    """Answer what is known of a key but its secret."""
    return JSONResponse(_shown(configuring.found(caller_of(request).tenant.config, KIND, key_id).doc))


@router.delete("/{key_id}", status_code=204, summary="Revoke a key")
async def revoke(request: Request, key_id: str) -> Response:
    """Revoke a key; the next request with it is refused, on every replica."""

    def decide(config: TenantConfig) -> list[Write]:
        item = configuring.found(config, KIND, key_id)
        return [Write(KIND, key_id, item.version, {**item.doc, "sealed": ""}, live=False)]

    await configuring.write(services_of(request), caller_of(request).tenant, author_of(request), decide)
    return Response(status_code=204)


def _shown(doc: Doc) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name != "sealed"}
