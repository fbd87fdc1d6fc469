"""What customers have seen and done, event by event."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.paging import Cursor, Limit, page
from serve.respond import DAY_MS
from serve.routing import GatedRoute, caller_of, services_of
from storage import events
from storage.clock import iso, now_ms
from storage.config import Doc
from storage.entry import Decision, Entry, Outcome, ShownOffer
from storage.events import Event

router = APIRouter(prefix="/interaction-history", tags=["history"], route_class=GatedRoute)
Wanted = Annotated[str | None, Query(min_length=1, max_length=255)]


@router.get("", summary="Events of a customer, or of all, newest first")
async def history(
    request: Request,
    customer_id: Annotated[Wanted, Query(alias="customerId")] = None,
    offer_id: Annotated[Wanted, Query(alias="offerId")] = None,
    outcome: Annotated[Wanted, Query(alias="type")] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response:
    """Answer outcomes and counted deliveries by the events' own times."""
    services, tenant = services_of(request), caller_of(request).tenant
    found = await events.read(services.redis, tenant.partition, tenant.id, customer_id)
    since_ms = now_ms() - tenant.settings["retentionDays"] * DAY_MS
    wanted = [
        one
        for one in found
        if one.time_ms >= since_ms and offer_id in (None, one.offer_id) and outcome in (None, one.outcome)
    ]
    answer = page(wanted, limit, cursor, newest_first)
    pairs = await events.entries(services.redis, services.past, tenant.partition, tenant.id, answer["data"])
    answer["data"] = [_row(event, entry) for event, entry in pairs]
    return JSONResponse(answer)


def newest_first(event: Event) -> tuple[str, ...]:
    """Return where an event stands in a list: later ones before earlier ones."""
    return f"{2**53 - event.time_ms:016d}", f"{2**53 - event.position:016d}", event.creative_id


def _row(event: Event, entry: Entry) -> Doc:
    body = entry.body
    if isinstance(body, Decision):
        return _delivered(event, entry, body)
    if not isinstance(body, Outcome):
        raise TypeError(f"entry {entry.position} is no event")
    return {
        "id": body.interaction_id,
        "customerId": body.customer_id,
        **_place(event, None if entry.resolution is None else entry.resolution.placement_id),
        "recommendationId": body.recommendation_id,
        "rank": body.rank,
        "outcome": body.outcome,
        "classification": body.classification,
        "direction": body.direction,
        "timestamp": iso(entry.event_time_ms),
        "recordedAt": iso(entry.time_ms),
        "beforeDecision": entry.before_decision,
        "conversionValue": body.value,
        "context": _object(body.context),
        "outcomeDetails": _object(body.details),
    }


def _delivered(event: Event, entry: Entry, decision: Decision) -> Doc:
    """Return the row of a delivery that a decision counted at once: an impression."""
    shown = _shown(decision, event.creative_id)
    return {
        "id": shown.interaction_id,
        "customerId": decision.customer_id,
        **_place(event, shown.resolution.placement_id),
        "recommendationId": decision.recommendation_id,
        "rank": shown.rank,
        "outcome": event.outcome,
        "classification": "neutral",
        "direction": "outbound",
        "timestamp": iso(entry.time_ms),
        "recordedAt": iso(entry.time_ms),
        "beforeDecision": False,
        "conversionValue": None,
        "context": _object(decision.context),
        "outcomeDetails": None,
    }


def _shown(decision: Decision, creative_id: str) -> ShownOffer:
    return next(one for one in decision.shown if one.resolution.creative_id == creative_id)


def _place(event: Event, placement_id: str | None) -> Doc:
    return {
        "offerId": event.offer_id,
        "creativeId": event.creative_id,
        "channelId": event.channel_id,
        "placementId": placement_id,
        "categoryId": event.category_id or None,
    }


def _object(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
