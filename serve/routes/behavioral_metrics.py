"""Behavioural metrics, and what they have measured."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve import configuring
from serve.behavioral_metrics import METRIC, checked, metric_of, row
from serve.routes.catalog import item_routes, list_route
from serve.routing import GatedRoute, caller_of, services_of
from storage import metrics
from storage.clock import now_ms

router = APIRouter(prefix="/behavioral-metrics", tags=["metrics"], route_class=GatedRoute)


@router.get("/{metric_id:id}/values", summary="Read what a metric has measured")
async def values(request: Request, metric_id: str) -> Response:
    """Answer each group's value, and the log position that they are true for."""
    services, tenant = services_of(request), caller_of(request).tenant
    metric = metric_of(configuring.found(tenant.config, METRIC.name, metric_id).doc)
    found = await metrics.read(services.redis, tenant.partition, tenant.id, metric, now_ms())
    answer: dict[str, Any] = {
        "data": [row(metric, group, measured) for group, measured in sorted(found.groups.items())],
        "position": found.position,
    }
    return JSONResponse({**answer, "truncated": True} if found.truncated else answer)


items = item_routes(METRIC, "/behavioral-metrics", "metrics", checked)
list_route(items, METRIC)
