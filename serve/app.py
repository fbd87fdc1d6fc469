"""The application: routes, edge and services put together. It runs under any ASGI server, with or without Ray."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serve import edge, openapi
from serve.promotion import promoting
from serve.routes import (
    api_keys,
    attribution,
    audit_logs,
    behavioral_metrics,
    console,
    contact_policies,
    erasure,
    experiments,
    frequency_caps,
    history,
    models,
    operations,
    outcome_types,
    recommendations,
    rollup,
    summaries,
    tenants,
)
from serve.routes.catalog import catalog_routes
from serve.routes.recommend import recommend_one
from serve.routes.respond import respond_bulk, respond_one
from serve.services import Services

HOT: Final = {
    "/api/v1/respond": respond_one,
    "/api/v1/respond/bulk": respond_bulk,
    "/api/v1/recommend": recommend_one,
}
MOST: Final = 1000
DESCRIPTION = "Recommendations that learn from what customers do."


def is_hot(scope: Scope) -> bool:
    """Return whether the edge answers a request itself."""
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in HOT


def build_app(open_services: Callable[[], AbstractAsyncContextManager[Services]], most: int = MOST) -> FastAPI:
    """Return the application; its lifespan opens the services in the event loop that will use them.

    Args:
        open_services: opens them.
        most: requests to the hot routes that may be under way; more get 503.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            promoter = asyncio.create_task(promoting(services))
            try:
                yield
            finally:
                promoter.cancel()
                await asyncio.wait([promoter])

    app = _Application(
        most,
        title="Rewardloop",
        version=version("rewardloop"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    for path, endpoint in HOT.items():
        app.add_route(path, endpoint, methods=["POST"])  # the edge answers POST itself, this the other methods
    app.include_router(_api())
    app.include_router(operations.router)
    app.include_router(console.router)
    app.router.routes.append(Route("/console/read/{path:path}", console.Mirror(), include_in_schema=False))
    app.openapi = cache(lambda: openapi.document(app))  # type: ignore[method-assign]  # FastAPI's way to extend it
    edge.install(app)
    return app


class _Application(FastAPI):
    """FastAPI with the edge in front of all that it does."""

    def __init__(self, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._edge = edge.Edge(self, super().__call__, HOT, most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._edge(scope, receive, send)


def _api() -> APIRouter:
    api = APIRouter(prefix="/api/v1")
    parts = (
        outcome_types.router,
        catalog_routes(),
        recommendations.router,
        models.router,
        models.asking,
        api_keys.router,
        audit_logs.router,
        history.router,
        summaries.router,
        rollup.router,
        attribution.router,
        attribution.asking,
        behavioral_metrics.router,
        behavioral_metrics.items,
        frequency_caps.router,
        contact_policies.policies,
        contact_policies.router,
        experiments.router,
        experiments.items,
        erasure.router,
        tenants.router,
        tenants.own,
    )
    for part in parts:
        api.include_router(part)
    return api
