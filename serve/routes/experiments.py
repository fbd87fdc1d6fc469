"""Experiments, and what they have shown."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve import configuring
from serve.experiments import EXPERIMENT, checked, results, variants
from serve.routes.catalog import item_routes, list_route
from serve.routing import GatedRoute, caller_of, services_of
from storage import experiments

router = APIRouter(prefix="/experiments", tags=["experiments"], route_class=GatedRoute)


@router.get("/{experiment_id:id}/results", summary="Read what an experiment has shown")
async def results_of(request: Request, experiment_id: str) -> Response:
    """Answer each variant with its counts, and the comparisons, classical and valid at any time."""
    services, tenant = services_of(request), caller_of(request).tenant
    doc = configuring.found(tenant.config, EXPERIMENT.name, experiment_id).doc
    sides = variants(tenant.config, doc)
    tallies, position = await experiments.read(
        services.redis, tenant.partition, tenant.id, doc["id"], [side.name for side in sides]
    )
    return JSONResponse({**results(doc, sides, tallies), "position": position})


items = item_routes(EXPERIMENT, "/experiments", "experiments", checked)
list_route(items, EXPERIMENT)
