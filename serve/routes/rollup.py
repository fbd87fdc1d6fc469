"""What a tenant's customers have seen and done, by offer, creative, channel or category."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.errors import bad_request
from serve.routing import GatedRoute, caller_of, services_of
from storage import rollup
from storage.clock import now_ms
from storage.config import TenantConfig
from storage.rollup import GroupBy, Rolled

MAX_DAYS_APART: Final = 92
"""Days that are answered one by one, for each is a row for every offer: three months."""

router = APIRouter(prefix="/interaction-summary", tags=["history"], route_class=GatedRoute)


@router.get("", summary="Roll-up of all customers' events over some days")
async def rolled_up(
    request: Request,
    group_by: Annotated[GroupBy, Query(alias="groupBy")] = "offer",
    days: Annotated[int, Query(ge=1, le=400)] = 30,
    by: Annotated[Literal["day"] | None, Query()] = None,
) -> Response:
    """Answer counts and rates of the last days by the events' own time, and the log position they are true for."""
    if by == "day" and days > MAX_DAYS_APART:
        raise bad_request("days", f"must be at most {MAX_DAYS_APART} by day")
    services, tenant = services_of(request), caller_of(request).tenant
    by_day, position = await rollup.read(services.redis, tenant.partition, tenant.id, group_by, days, now_ms())
    if by == "day":
        data = [{"day": day, **row} for day, sums in by_day.items() for row in _rows(tenant.config, group_by, sums)]
    else:
        data = _rows(tenant.config, group_by, rollup.total(by_day.values()))
    return JSONResponse({"data": data, "position": position})


def _rows(config: TenantConfig, kind: GroupBy, sums: Mapping[str, Rolled]) -> list[dict[str, Any]]:
    ordered = sorted(sums.items(), key=lambda pair: (-pair[1].total, -pair[1].impression, pair[0]))
    return [_row(config, kind, name, counts) for name, counts in ordered]


def _row(config: TenantConfig, kind: GroupBy, item_id: str, counts: Rolled) -> dict[str, Any]:
    item = config.of_kind(kind).get(item_id)
    return {
        "id": item_id or None,
        "name": None if item is None else item.doc["name"],
        **msgspec.structs.asdict(counts),
        "ctr": _percent(counts.click, counts.impression),
        "cvr": _percent(counts.convert, counts.impression),
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
