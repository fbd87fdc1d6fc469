"""Models: what the learners hold now."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from learners.bandits import ModelView
from serve.errors import not_found
from serve.paging import Cursor, Limit, page
from serve.routing import GatedRoute, caller_of, services_of
from storage.clock import iso
from storage.config import TenantConfig

router = APIRouter(prefix="/algorithm-models", tags=["models"], route_class=GatedRoute)


@router.get("", summary="List the models, as the learners hold them")
async def models(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer every model with how much it has learned."""
    services, tenant = services_of(request), caller_of(request).tenant
    views = await services.learners.models(tenant.partition, tenant.id)
    return JSONResponse(page([_shown(view, tenant.config) for view in views], limit, cursor))


@router.get("/{model_id}", summary="Read a model")
async def model(request: Request, model_id: str) -> Response:
    """Answer one model."""
    services, tenant = services_of(request), caller_of(request).tenant
    views = await services.learners.models(tenant.partition, tenant.id)
    view = next((one for one in views if one.id == model_id), None)
    if view is None:
        raise not_found(f"model {model_id!r}")
    return JSONResponse(_shown(view, tenant.config))


@router.get("/{model_id}/state", summary="Read what a model believes of each offer")
async def state(
    request: Request,
    model_id: str,
    offer_id: Annotated[str | None, Query(alias="offerId", max_length=255)] = None,
) -> Response:
    """Answer parameters, counts and 95 % intervals by offer, and the log position that they are true for."""
    services, tenant = services_of(request), caller_of(request).tenant
    found = await services.learners.model_state(tenant.partition, tenant.id, model_id, offer_id)
    if found is None:
        raise not_found(f"model {model_id!r}")
    arms = [{**arm, "lastRewardAt": _time(arm["lastRewardAt"])} for arm in found["data"]]
    return JSONResponse({**found, "data": arms})


def _shown(view: ModelView, config: TenantConfig) -> dict[str, Any]:
    stored = config.get("model", view.id)
    doc = stored.doc if stored is not None else {}
    return {
        "id": view.id,
        "key": view.key,
        "name": doc.get("name", view.key),
        "modelType": view.model_type,
        "status": view.status,
        "config": view.config,
        "outcomeWeights": view.outcome_weights,
        "version": doc.get("version", 1),
        "trainingSamples": view.training_samples,
        "lastTrainedAt": _time(view.last_trained_at),
        "position": view.position,
        "metrics": {},
        "createdAt": doc.get("createdAt"),
        "updatedAt": doc.get("updatedAt"),
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso(time_ms)
