"""Tenants, for the operator; and each tenant's settings, for its administrators too."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from fastapi import Body as FromBody
from pydantic import Field, ValidationError, field_serializer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from learners.model import HalfLife
from serve import configuring
from serve.errors import ApiError, bad_request, from_validation, not_found
from serve.fields import Body
from serve.paging import Cursor, Limit, page
from serve.routing import AdminRoute, OperatorRoute, author_of, caller_of, services_of
from serve.services import Services
from serve.tenancy import Tenant, is_tenant_id
from storage import tenants
from storage.audit import Author
from storage.clock import now_ms
from storage.config import Doc, TenantConfig, Write
from storage.errors import ConfigConflict

Places = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=1, le=3650)]


class RateLimits(Body):
    """Requests that any 60 s admit, by route."""

    respond: Places
    bulk: Places
    recommend: Places
    default: Places


class Idempotency(Body):
    """How long a key is remembered, and what another body under a used key gets."""

    ttl_hours: Annotated[int, Field(ge=1, le=90 * 24)]
    on_mismatch: Literal["ignore", "reject"]


class SettingsBody(Body):
    """Settings of a tenant."""

    rate_limits: RateLimits
    idempotency: Idempotency
    holdout_percent: Annotated[float, Field(ge=0, le=100)]
    retention_days: Days
    recommendation_ttl_days: Days
    half_life: HalfLife | None = Field(
        description="Of models made from now on whose config names none: {events: n} or {seconds: s}."
    )

    @field_serializer("half_life")
    def _given(self, value: HalfLife | None) -> dict[str, float] | None:
        return None if value is None else value.model_dump(exclude_none=True)


class TenantBody(Body):
    """A tenant to be made."""

    id: str
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None


GROUPS: Final = frozenset({"rateLimits", "idempotency"})
"""Settings of several parts, of which a change may name some."""
JsonBody = Annotated[dict[str, Any], FromBody()]
router = APIRouter(prefix="/tenants", tags=["tenants"], route_class=OperatorRoute)
own = APIRouter(prefix="/settings", tags=["tenants"], route_class=AdminRoute)


@router.post("", status_code=201, summary="Make a tenant")
async def create(request: Request, body: TenantBody) -> Response:
    """Answer the tenant, which starts with the system's outcome types and one champion model."""
    services = services_of(request)
    if not is_tenant_id(body.id):
        raise bad_request("id", f"must match {tenants.TENANT_ID.pattern}")
    try:
        doc = await tenants.create(
            services.redis, services.partitions, body.id, body.name or body.id, now_ms(), author_of(request)
        )
    except ConfigConflict:
        raise ApiError(409, f"id {body.id!r} is taken") from None
    return JSONResponse(doc, 201)


@router.get("", summary="List the tenants")
async def listed(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer all tenants, disabled ones too."""
    services = services_of(request)
    answer = page(await tenants.registered(services.redis, services.partitions), limit, cursor)
    answer["data"] = [
        (await services.directory.get(row["id"])).config.of_kind("tenant")[row["id"]].doc for row in answer["data"]
    ]
    return JSONResponse(answer)


@router.get("/{tenant_id}", summary="Read a tenant")
async def read(request: Request, tenant_id: str) -> Response:
    """Answer one tenant."""
    return JSONResponse((await _tenant(services_of(request), tenant_id)).config.of_kind("tenant")[tenant_id].doc)


@router.post("/{tenant_id}/disable", summary="Shut a tenant out")
async def disable(request: Request, tenant_id: str) -> Response:
    """Disable a tenant; from now on each of its keys gets 401."""
    services = services_of(request)
    await _tenant(services, tenant_id)
    return JSONResponse(await tenants.disable(services.redis, services.partitions, tenant_id, author_of(request)))


@router.get("/{tenant_id}/settings", summary="Read a tenant's settings")
async def settings_of(request: Request, tenant_id: str) -> Response:
    """Answer all settings, defaults too."""
    return JSONResponse((await _tenant(services_of(request), tenant_id)).settings)


@router.put("/{tenant_id}/settings", summary="Change a tenant's settings")
async def set_settings_of(request: Request, tenant_id: str, body: JsonBody) -> Response:
    """Merge the body into the settings; null sets one back to its default."""
    services = services_of(request)
    tenant = await _tenant(services, tenant_id)
    return JSONResponse(await _change(services, tenant, author_of(request), body))


@own.get("", summary="Read the settings")
async def settings(request: Request) -> Response:
    """Answer all settings of the caller's tenant, defaults too."""
    return JSONResponse(caller_of(request).tenant.settings)


@own.put("", summary="Change the settings")
async def set_settings(request: Request, body: JsonBody) -> Response:
    """Merge the body into the settings of the caller's tenant; null sets one back to its default."""
    return JSONResponse(await _change(services_of(request), caller_of(request).tenant, author_of(request), body))


async def _change(services: Services, tenant: Tenant, author: Author, patch: dict[str, Any]) -> Doc:
    def decide(config: TenantConfig) -> list[Write]:
        item = configuring.found(config, "settings", "settings")
        return [Write("settings", "settings", item.version, _merged(item.doc, patch))]

    _, writes = await configuring.write(services, tenant, author, decide)
    return writes[0].doc


def _merged(stored: Doc, patch: dict[str, Any]) -> Doc:
    merged = {**tenants.DEFAULT_SETTINGS, **stored}
    for name, value in patch.items():
        if name not in merged:
            raise bad_request(name, "is not a setting")
        if value is None:
            merged[name] = tenants.DEFAULT_SETTINGS[name]
        elif name in GROUPS and isinstance(value, dict):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = value
    try:
        return SettingsBody.model_validate(merged).model_dump(by_alias=True)
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False)) from None


async def _tenant(services: Services, tenant_id: str) -> Tenant:
    tenant = await services.directory.refresh(tenant_id) if is_tenant_id(tenant_id) else None
    if tenant is None or tenant.config.get("tenant", tenant_id) is None:
        raise not_found(f"tenant {tenant_id!r}")
    return tenant
