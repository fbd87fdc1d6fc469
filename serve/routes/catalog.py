"""The catalogue: offers, creatives, channels, placements, categories, and PUT /catalog for all at once."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve import catalog, configuring
from serve.catalog import CATALOG_KINDS, Kind
from serve.jsonschema import inlined
from serve.paging import Cursor, Limit, page
from serve.routing import GatedRoute, author_of, caller_of, services_of
from storage.clock import now_ms
from storage.config import TenantConfig, Write

JsonBody = Annotated[dict[str, Any], Body()]
Check = Callable[[Write, TenantConfig], Write]
IncludeDeleted = Annotated[bool, Query(alias="includeDeleted")]


def body_schema(kind: Kind, *, merge: bool) -> dict[str, Any]:
    """Return the OpenAPI text of a body of `kind`; a merged one requires nothing and has no defaults."""
    schema = kind.model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schema["properties"] |= {} if merge else {"id": {"type": "string", "minLength": 1, "maxLength": 255}}
    schema = inlined(schema)
    if merge:
        schema.pop("required", None)
        schema["properties"] = {
            name: {key: value for key, value in one.items() if key != "default"}
            for name, one in schema["properties"].items()
        }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _as_is(write: Write, _: TenantConfig) -> Write:
    return write


def item_routes(kind: Kind, path: str, tag: str, checked: Check = _as_is) -> APIRouter:
    """Return the routes of one kind: create, read, update and delete (`/path` lists are the caller's).

    Args:
        kind: The kind.
        path: Where its routes are.
        tag: What the OpenAPI document groups them under.
        checked: Holds a write against rules that its body alone does not tell.
    """
    router = APIRouter(prefix=path, route_class=GatedRoute, tags=[tag])

    @router.post("", status_code=201, openapi_extra=body_schema(kind, merge=False), summary=f"Create a {kind.name}")
    async def create(request: Request, body: JsonBody) -> Response:
        tenant = caller_of(request).tenant
        time_ms = now_ms()
        write = catalog.created(kind, tenant.id, body, time_ms)
        _, [written] = await configuring.write(
            services_of(request), tenant, author_of(request), lambda config: [checked(write, config)]
        )
        return JSONResponse(written.doc, 201)

    @router.get("/{item_id:id}", summary=f"Read a {kind.name}")
    async def read(request: Request, item_id: str) -> Response:
        return JSONResponse(configuring.found(caller_of(request).tenant.config, kind.name, item_id).doc)

    @router.put("/{item_id:id}", openapi_extra=body_schema(kind, merge=True), summary=f"Change a {kind.name}")
    async def update(request: Request, item_id: str, body: JsonBody) -> Response:
        tenant = caller_of(request).tenant

        def decide(config: TenantConfig) -> list[Write]:
            item = configuring.found(config, kind.name, item_id)
            return [checked(catalog.updated(kind, tenant.id, item, body, now_ms()), config)]

        _, writes = await configuring.write(services_of(request), tenant, author_of(request), decide)
        return JSONResponse(writes[0].doc)

    @router.delete("/{item_id:id}", status_code=204, summary=f"Delete a {kind.name} softly")
    async def delete(request: Request, item_id: str) -> Response:
        def decide(config: TenantConfig) -> list[Write]:
            return [catalog.deleted(kind, configuring.found(config, kind.name, item_id), now_ms())]

        tenant = caller_of(request).tenant
        await configuring.write(
            services_of(request),
            tenant,
            author_of(request),
            decide,
            lambda _: catalog.told(kind, tenant.id, item_id),
        )
        return Response(status_code=204)

    return router


def list_route(router: APIRouter, kind: Kind) -> None:
    """Add the list of a kind to its routes."""

    @router.get("", summary=f"List {kind.plural}")
    async def items(
        request: Request, *, limit: Limit = 25, cursor: Cursor = None, include_deleted: IncludeDeleted = False
    ) -> Response:
        stored = caller_of(request).tenant.config.of_kind(kind.name).values()
        docs = [item.doc for item in stored if item.live or include_deleted]
        return JSONResponse(page(docs, limit, cursor))


def catalog_routes() -> APIRouter:
    """Return the routes of the whole catalogue."""
    router = APIRouter(tags=["catalogue"], route_class=GatedRoute)
    for kind in CATALOG_KINDS:
        routes = item_routes(kind, f"/{kind.plural}", "catalogue")
        list_route(routes, kind)
        router.include_router(routes)
    router.add_api_route("/catalog", put_catalog, methods=["PUT"], summary="Upsert a catalogue, all or nothing")
    return router


async def put_catalog(request: Request, body: JsonBody) -> Response:
    """Make the catalogue hold what the body says; what it does not mention stays."""
    plan = catalog.Plan({})

    def decide(config: TenantConfig) -> list[Write]:
        nonlocal plan
        plan = catalog.plan(config, body, now_ms())
        return plan.writes

    await configuring.write(services_of(request), caller_of(request).tenant, author_of(request), decide)
    return JSONResponse(plan.counts)
