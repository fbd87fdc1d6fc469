"""What a customer has seen and done, by period."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.paging import Cursor, Limit, page
from serve.routing import GatedRoute, caller_of, services_of
from storage import summaries
from storage.clock import iso, now_ms
from storage.summaries import PERIOD_TYPES, PeriodType, Summary

router = APIRouter(prefix="/interaction-summaries", tags=["history"], route_class=GatedRoute)


@router.get("", summary="Summaries of a customer by offer, creative, channel and period")
async def summaries_of(
    request: Request,
    customer_id: Annotated[str, Query(alias="customerId", min_length=1, max_length=255)],
    period_type: Annotated[PeriodType | None, Query(alias="periodType")] = None,
    offer_id: Annotated[str | None, Query(alias="offerId", max_length=255)] = None,
    channel_id: Annotated[str | None, Query(alias="channelId", max_length=255)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response:
    """Answer the counts of each period of the events' own times, in UTC."""
    services, tenant = services_of(request), caller_of(request).tenant
    found = await summaries.read(
        services.redis,
        tenant.partition,
        tenant.id,
        customer_id,
        PERIOD_TYPES if period_type is None else [period_type],
        now_ms(),
        tenant.settings["retentionDays"],
    )
    wanted = [one for one in found if offer_id in (None, one.offer_id) and channel_id in (None, one.channel_id)]
    answer = page(wanted, limit, cursor, lambda one: one.place)
    answer["data"] = [_row(customer_id, one) for one in answer["data"]]
    return JSONResponse(answer)


def _row(customer_id: str, one: Summary) -> dict[str, Any]:
    return {
        "customerId": customer_id,
        "offerId": one.offer_id,
        "creativeId": one.creative_id,
        "channelId": one.channel_id,
        "periodType": one.period_type,
        "periodKey": one.period_key,
        "impressions": one.impressions,
        "positive": one.positive,
        "negative": one.negative,
        "neutral": one.neutral,
        "converts": one.converts,
        "totalValue": one.total_value,
        "lastContactAt": iso(one.last_contact_ms),
        "lastOutcomeKey": one.last_outcome_key,
        "direction": one.direction,
    }
