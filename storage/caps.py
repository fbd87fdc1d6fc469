"""Deliveries of a tenant by period: what frequency caps count, in the commit of each delivery.

Redis holds a hash for each day, ISO week and month (UTC, of the event's own time), which expires a day after its
end, with a field for each offer, channel and category.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from storage import keys
from storage.clock import EPOCH
from storage.entry import Resolution
from storage.periods import Period, period_key
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

Scope: TypeAlias = Literal["offer", "category", "channel"]

_PLACES: Final[dict[Period, int]] = {"daily": 1, "weekly": 2, "monthly": 3}
"""The places of the periods in `storage/lua/caps.lua`."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many deliveries, to all customers together, of one offer, category or channel in a period."""

    scope: Scope
    scope_id: str
    period: Period
    max_volume: int
    id: str = field(default="", compare=False)

    @property
    def field(self) -> str:
        """What the period's hash calls it."""
        return f"{self.scope}:{self.scope_id}"


def fields_of(resolution: Resolution) -> list[str]:
    """Return what a delivery counts for, as the periods' hashes call it."""
    fields = [f"offer:{resolution.offer_id}", f"channel:{resolution.channel_id}"]
    return fields if resolution.category_id is None else [*fields, f"category:{resolution.category_id}"]


def packed(caps: Sequence[Cap]) -> bytes:
    """Return caps as the script takes them."""
    return msgspec.msgpack.encode([(_PLACES[cap.period], cap.field, cap.max_volume) for cap in caps])


def reset_ms(period: Period, now_ms: int) -> int:
    """Return when the period that a time lies in ends, ms since 1970.

    >>> reset_ms("daily", 0), reset_ms("weekly", 0) // 86_400_000, reset_ms("monthly", 0) // 86_400_000
    (86400000, 4, 31)
    """
    start: datetime = (EPOCH + timedelta(milliseconds=now_ms)).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "daily":
            end = start + timedelta(days=1)
        case "weekly":
            end = start + timedelta(days=7 - start.weekday())
        case "monthly":
            end = (start.replace(day=1) + timedelta(days=31)).replace(day=1)
    return (end - EPOCH) // timedelta(milliseconds=1)


async def counts(redis: "Redis", partition: int, tenant: str, caps: Sequence[Cap], now_ms: int) -> list[int]:
    """Return the deliveries that each cap counts in its current period.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    today = (EPOCH + timedelta(milliseconds=now_ms)).date()
    with wrapped_errors():
        pipeline = redis.pipeline(transaction=False)
        for cap in caps:
            pipeline.hget(keys.deliveries_key(partition, tenant, period_key(cap.period, today)), cap.field)
        found: Any = await pipeline.execute()
    return [int(count or 0) for count in found]
