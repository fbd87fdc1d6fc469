"""Frequency caps of a tenant, with what they have counted."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve import caps, catalog, configuring
from serve.caps import FREQUENCY_CAP
from serve.paging import Cursor, Limit, page
from serve.routes.catalog import body_schema
from serve.routing import GatedRoute, author_of, caller_of, services_of
from storage.caps import counts
from storage.clock import now_ms
from storage.config import Doc, TenantConfig, Write

router = APIRouter(prefix="/frequency-caps", tags=["caps"], route_class=GatedRoute)
JsonBody = Annotated[dict[str, Any], Body()]


@router.post(
    "", status_code=201, openapi_extra=body_schema(FREQUENCY_CAP, merge=False), summary="Create a frequency cap"
)
async def create(request: Request, body: JsonBody) -> Response:
    """Make a cap; the next recommendation obeys it."""
    write = catalog.created(FREQUENCY_CAP, caller_of(request).tenant.id, body, now_ms())
    doc = await _write(request, lambda config: caps.checked(write, config))
    return JSONResponse((await _shown(request, [doc]))[0], 201)


@router.get("", summary="List the frequency caps")
async def listed(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer the caps with what each has counted in its current period."""
    items = caller_of(request).tenant.config.of_kind(FREQUENCY_CAP.name).values()
    answer = page([item.doc for item in items if item.live], limit, cursor)
    answer["data"] = await _shown(request, answer["data"])
    return JSONResponse(answer)


@router.get("/{cap_id:id}", summary="Read a frequency cap")
async def read(request: Request, cap_id: str) -> Response:
    """Answer one cap."""
    item = configuring.found(caller_of(request).tenant.config, FREQUENCY_CAP.name, cap_id)
    return JSONResponse((await _shown(request, [item.doc]))[0])


@router.put("/{cap_id:id}", openapi_extra=body_schema(FREQUENCY_CAP, merge=True), summary="Change a frequency cap")
async def update(request: Request, cap_id: str, body: JsonBody) -> Response:
    """Merge the body into a cap; what was counted stays."""
    tenant = caller_of(request).tenant.id

    def decide(config: TenantConfig) -> Write:
        item = configuring.found(config, FREQUENCY_CAP.name, cap_id)
        return caps.checked(catalog.updated(FREQUENCY_CAP, tenant, item, body, now_ms()), config)

    return JSONResponse((await _shown(request, [await _write(request, decide)]))[0])


@router.delete("/{cap_id:id}", status_code=204, summary="Delete a frequency cap softly")
async def delete(request: Request, cap_id: str) -> Response:
    """Delete a cap; what it removed is a candidate again."""

    def decide(config: TenantConfig) -> Write:
        return catalog.deleted(FREQUENCY_CAP, configuring.found(config, FREQUENCY_CAP.name, cap_id), now_ms())

    await _write(request, decide)
    return Response(status_code=204)


async def _write(request: Request, decide: Callable[[TenantConfig], Write]) -> Doc:
    services, tenant = services_of(request), caller_of(request).tenant
    _, [write] = await configuring.write(services, tenant, author_of(request), lambda config: [decide(config)])
    return write.doc


async def _shown(request: Request, docs: list[Doc]) -> list[Doc]:
    services, tenant, time_ms = services_of(request), caller_of(request).tenant, now_ms()
    found = await counts(services.redis, tenant.partition, tenant.id, [caps.cap_of(doc) for doc in docs], time_ms)
    return [caps.shown(doc, count, time_ms) for doc, count in zip(docs, found, strict=True)]
