"""PUT /recommendations/{id}: recommendations made elsewhere, so that their outcomes resolve by rank."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.errors import ApiError, bad_request
from serve.fields import Attributes, Body, Id, Rank
from serve.jsonbody import fingerprint
from serve.resolution import resolve
from serve.respond import DAY_MS
from serve.routing import RecommendRoute, caller_of, services_of
from serve.tenancy import Tenant
from storage import recommendations
from storage.recommendations import Recommendation, Shown

MAX_RANKS = 50

router = APIRouter(tags=["recommendations"], route_class=RecommendRoute)


class ShownBody(Body):
    """What stood at one rank."""

    rank: Rank
    creative_id: Id
    propensity: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Probability with which the policy put this offer at this rank."
    )


class RecommendationBody(Body):
    """A recommendation that another system made."""

    customer_id: Id
    decisions: Annotated[list[ShownBody], Field(min_length=1, max_length=MAX_RANKS)]
    attributes: Attributes = {}


@router.put("/recommendations/{recommendation_id:id}", summary="Register a recommendation made elsewhere")
async def register(request: Request, recommendation_id: str, body: RecommendationBody) -> Response:
    """Answer 201, or 200 if the same was registered before; 409 if the id has other content."""
    services, tenant = services_of(request), caller_of(request).tenant
    if not 1 <= len(recommendation_id) <= 255:
        raise bad_request("id", "must have 1 to 255 characters")
    shown = [_shown(tenant, index, item) for index, item in enumerate(body.decisions)]
    if len({item.rank for item in shown}) < len(shown):
        raise bad_request("decisions", "must not name a rank twice")
    meaning = fingerprint(body.model_dump(by_alias=True))
    made = Recommendation(recommendation_id, body.customer_id, body.attributes, shown, meaning)
    ttl_ms = tenant.settings["recommendationTtlDays"] * DAY_MS
    registered = await recommendations.register(services.redis, tenant.partition, tenant.id, made, ttl_ms)
    if registered == "taken":
        raise ApiError(409, f"recommendation {recommendation_id!r} is registered with other content")
    return JSONResponse(_answer(made), 201 if registered == "created" else 200)


def _shown(tenant: Tenant, index: int, item: ShownBody) -> Shown:
    resolution = resolve(tenant.config, item.creative_id)
    if resolution is None:
        raise bad_request(f"decisions.{index}.creativeId", f"{item.creative_id!r} names no creative")
    return Shown(item.rank, resolution, item.propensity)


def _answer(made: Recommendation) -> dict[str, Any]:
    decisions = [
        {
            "rank": item.rank,
            "offerId": item.resolution.offer_id,
            "offerName": item.resolution.offer_name,
            "creativeId": item.resolution.creative_id,
            "creativeName": item.resolution.creative_name,
            "channelId": item.resolution.channel_id,
            "channelName": item.resolution.channel_name,
            "placementId": item.resolution.placement_id,
            "categoryName": item.resolution.category_name,
            "propensity": item.propensity,
        }
        for item in made.shown
    ]
    return {
        "recommendationId": made.id,
        "customerId": made.customer_id,
        "count": len(decisions),
        "decisions": decisions,
    }
