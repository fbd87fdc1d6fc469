"""Models: made, changed, promoted; what the learners hold of them, and what they would say."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from learners.bandits import ModelView
from learners.errors import LearnersUnavailable
from serve import configuring, modelling
from serve.errors import bad_request, unavailable
from serve.modelling import KIND, ModelBody, ModelPatch, PromoteBody, ScoreBody
from serve.paging import Cursor, Limit, page
from serve.routing import GatedRoute, ReadRoute, author_of, caller_of, services_of
from storage.clock import iso, now_ms
from storage.config import Doc, TenantConfig, Write

router = APIRouter(prefix="/algorithm-models", tags=["models"], route_class=GatedRoute)
asking = APIRouter(prefix="/algorithm-models", tags=["models"], route_class=ReadRoute)
PATCH = {"requestBody": {"content": {"application/json": {"schema": ModelPatch.model_json_schema(by_alias=True)}}}}


@router.get("", summary="List the models, with what the learners hold of them")
async def models(request: Request, limit: Limit = 25, cursor: Cursor = None) -> Response:
    """Answer every model with how much it has learned."""
    services, tenant = services_of(request), caller_of(request).tenant
    views = {view.id: view for view in await services.learners.models(tenant.partition, tenant.id)}
    docs = [item.doc for item in tenant.config.of_kind(KIND).values()]
    return JSONResponse(page([_shown(doc, views.get(doc["id"])) for doc in docs], limit, cursor))


@router.post("", status_code=201, summary="Create a model")
async def create(request: Request, body: ModelBody) -> Response:
    """Create a model; with from: log it first learns from all outcomes in the log."""
    tenant = caller_of(request).tenant

    def decide(config: TenantConfig) -> list[Write]:
        return [modelling.created(config, body, now_ms())]

    _, [write] = await configuring.write(
        services_of(request),
        tenant,
        author_of(request),
        decide,
        lambda writes: modelling.told(tenant.id, writes, warm=body.start == "log"),
    )
    return await _written(request, write.doc, 201)


@router.put("/{model_id:id}", summary="Change a model", openapi_extra=PATCH)
async def update(request: Request, model_id: str, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Change name, config or outcomeWeights; a config that plays a part in learning starts the model anew."""
    tenant = caller_of(request).tenant

    def decide(config: TenantConfig) -> list[Write]:
        item = configuring.found(config, KIND, model_id)
        return [modelling.updated(config, item, body, now_ms())]

    _, [write] = await configuring.write(
        services_of(request), tenant, author_of(request), decide, lambda writes: modelling.told(tenant.id, writes)
    )
    return await _written(request, write.doc)


@router.post("/{model_id:id}/promote", summary="Move a model through its life cycle")
async def promote(request: Request, model_id: str, body: PromoteBody) -> Response:
    """Move a model one step; a new champion makes the old one a challenger in the same step."""
    tenant = caller_of(request).tenant

    def decide(config: TenantConfig) -> list[Write]:
        return modelling.promoted(config, configuring.found(config, KIND, model_id), body.to, now_ms())

    _, writes = await configuring.write(
        services_of(request), tenant, author_of(request), decide, lambda writes: modelling.told(tenant.id, writes)
    )
    return await _written(request, writes[-1].doc)


@router.post("/{model_id:id}/reset", summary="Make a model forget all it has learned")
async def reset(request: Request, model_id: str) -> Response:
    """Start a model anew from its configuration."""
    tenant = caller_of(request).tenant

    def decide(config: TenantConfig) -> list[Write]:
        return [modelling.reset(configuring.found(config, KIND, model_id), now_ms())]

    _, [write] = await configuring.write(
        services_of(request),
        tenant,
        author_of(request),
        decide,
        lambda writes: modelling.told(tenant.id, writes, reset=True),
    )
    return await _written(request, write.doc)


@asking.post("/{model_id:id}/score", summary="Ask a model what it would rank by")
async def score(request: Request, model_id: str, body: ScoreBody) -> Response:
    """Answer score (a draw or an upper bound, as ranking would use) and mean of each offer; nothing changes."""
    services, tenant = services_of(request), caller_of(request).tenant
    configuring.found(tenant.config, KIND, model_id)
    offers = _offers(tenant.config, body.offer_ids)
    scored = await services.learners.score(tenant.partition, tenant.id, model_id, body.attributes, offers)
    if scored is None:
        raise unavailable()  # it was made a moment ago, elsewhere
    rows = [
        {"offerId": offer, "score": one, "mean": mean}
        for offer, one, mean in zip(offers, scored.scores, scored.means, strict=True)
    ]
    return JSONResponse({"scores": rows, "position": scored.position})


@router.get("/{model_id:id}/state", summary="Read what a model believes of each offer")
async def state(
    request: Request,
    model_id: str,
    offer_id: Annotated[str | None, Query(alias="offerId", max_length=255)] = None,
) -> Response:
    """Answer parameters, counts and 95 % intervals by offer, and the log position that they are true for."""
    services, tenant = services_of(request), caller_of(request).tenant
    configuring.found(tenant.config, KIND, model_id)
    found = await services.learners.model_state(tenant.partition, tenant.id, model_id, offer_id)
    if found is None:
        raise unavailable()
    arms = [{**arm, "lastRewardAt": _time(arm["lastRewardAt"])} for arm in found["data"]]
    return JSONResponse({**found, "data": arms})


@router.get("/{model_id:id}", summary="Read a model")
async def model(request: Request, model_id: str) -> Response:
    """Answer one model."""
    services, tenant = services_of(request), caller_of(request).tenant
    doc = configuring.found(tenant.config, KIND, model_id).doc
    views = await services.learners.models(tenant.partition, tenant.id)
    return JSONResponse(_shown(doc, _of(doc, views)))


async def _written(request: Request, doc: Doc, status: int = 200) -> Response:
    """Answer a model after a write: it is done, also if the learners are away."""
    services, tenant = services_of(request), caller_of(request).tenant
    views: list[ModelView] = []
    with suppress(LearnersUnavailable):
        views = await services.learners.models(tenant.partition, tenant.id)
    return JSONResponse(_shown(doc, _of(doc, views)), status)


def _of(doc: Doc, views: list[ModelView]) -> ModelView | None:
    return next((view for view in views if view.id == doc["id"]), None)


def _offers(config: TenantConfig, wanted: list[str] | None) -> dict[str, str | None]:
    live = {offer_id: item.doc.get("categoryId") for offer_id, item in config.of_kind("offer").items() if item.live}
    if wanted is None:
        return live
    for index, offer_id in enumerate(wanted):
        if offer_id not in live:
            raise bad_request(f"offerIds.{index}", f"{offer_id!r} names no offer")
    return {offer_id: live[offer_id] for offer_id in wanted}


def _shown(doc: Doc, view: ModelView | None) -> dict[str, Any]:
    """Return a model as configured, with what a learner holds of it; `view` is None while none has heard of it."""
    return {
        **{name: doc[name] for name in ("id", "key", "name", "modelType", "status", "config", "outcomeWeights")},
        "version": doc["version"],
        "trainingSamples": 0 if view is None else view.training_samples,
        "lastTrainedAt": None if view is None else _time(view.last_trained_at),
        "position": 0 if view is None else view.position,
        "metrics": {} if view is None else view.metrics,
        "createdAt": doc["createdAt"],
        "updatedAt": doc["updatedAt"],
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso(time_ms)
