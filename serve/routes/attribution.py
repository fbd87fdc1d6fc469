"""Which touches conversions are due to."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from learners.attribution import WINDOW_MS, AttributionModel, credits_of, values_of
from serve.errors import not_found
from serve.fields import Body, Id
from serve.paging import Cursor, Limit, page
from serve.respond import DAY_MS
from serve.routes.history import newest_first
from serve.routing import GatedRoute, ReadRoute, caller_of, services_of
from storage import events
from storage.clock import iso, now_ms
from storage.config import Doc
from storage.entry import Entry, Outcome, Touch
from storage.events import Event

router = APIRouter(prefix="/attribution", tags=["attribution"], route_class=GatedRoute)
asking = APIRouter(prefix="/attribution", tags=["attribution"], route_class=ReadRoute)
DEFAULT: Final[AttributionModel] = "linear"


class AttributionBody(Body):
    """A conversion to attribute anew, by what is known of the customer now."""

    customer_id: Id
    conversion_id: Id = Field(description="The interactionId of the conversion.")
    model: AttributionModel = DEFAULT
    conversion_value: Annotated[float, Field(ge=0, le=1e15)] | None = Field(
        None, description="In place of the value that was recorded."
    )


@router.get("", summary="Conversions with the touches that they are attributed to")
async def attributed(
    request: Request,
    customer_id: Annotated[str | None, Query(alias="customerId", min_length=1, max_length=255)] = None,
    model: AttributionModel = DEFAULT,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response:
    """Answer conversions, newest first, by the touches that were known when each was recorded."""
    services, tenant = services_of(request), caller_of(request).tenant
    found = await events.read(services.redis, tenant.partition, tenant.id, customer_id)
    since_ms = now_ms() - tenant.settings["retentionDays"] * DAY_MS
    conversions = [one for one in found if one.is_conversion and one.time_ms >= since_ms]
    answer = page(conversions, limit, cursor, newest_first)
    pairs = await events.entries(services.redis, services.past, tenant.partition, tenant.id, answer["data"])
    answer["data"] = [_row(entry, model, entry.touches) for _, entry in pairs]
    return JSONResponse(answer)


@asking.post("", summary="Attribute a conversion anew")
async def attribute(request: Request, body: AttributionBody) -> Response:
    """Answer a conversion's attribution by all that is known now, late news too; nothing changes."""
    services, tenant = services_of(request), caller_of(request).tenant
    found = await events.read(services.redis, tenant.partition, tenant.id, body.customer_id)
    conversions = [one for one in found if one.is_conversion]
    pairs = await events.entries(services.redis, services.past, tenant.partition, tenant.id, conversions)
    for event, entry in pairs:
        if isinstance(entry.body, Outcome) and entry.body.interaction_id == body.conversion_id:
            return JSONResponse(_row(entry, body.model, _before(found, event), body.conversion_value))
    raise not_found("conversionId")


def _before(found: Sequence[Event], conversion: Event) -> list[Touch]:
    """Return the touches before a conversion, oldest first; of the same moment, those committed before it."""
    last = (conversion.time_ms, conversion.position)
    touches = [
        one
        for one in reversed(found)
        if one.is_touch and (one.time_ms, one.position) < last and one.time_ms >= conversion.time_ms - WINDOW_MS
    ]
    touches.sort(key=lambda one: one.time_ms)
    return [Touch(one.offer_id, one.creative_id, one.channel_id, one.time_ms) for one in touches]


def _row(entry: Entry, model: AttributionModel, touches: Sequence[Touch], value: float | None = None) -> Doc:
    body, resolution = entry.body, entry.resolution
    if not isinstance(body, Outcome) or resolution is None:
        raise TypeError(f"entry {entry.position} is not an outcome")
    total = (body.value or 0.0) if value is None else value
    shares = credits_of(model, [touch.time_ms for touch in touches], entry.event_time_ms)
    parts = values_of(total, shares)
    return {
        "conversionId": body.interaction_id,
        "customerId": body.customer_id,
        "outcome": body.outcome,
        "offerId": resolution.offer_id,
        "model": model,
        "conversionValue": total,
        "timestamp": iso(entry.event_time_ms),
        "touches": [_touch(*one) for one in zip(touches, shares, parts, strict=True)],
        "position": entry.position,
    }


def _touch(touch: Touch, credit: float, value: float) -> Doc:
    return {
        "offerId": touch.offer_id,
        "creativeId": touch.creative_id,
        "channelId": touch.channel_id,
        "timestamp": iso(touch.time_ms),
        "credit": credit,
        "attributedValue": value,
    }
