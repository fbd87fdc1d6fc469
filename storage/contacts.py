"""What a customer has been shown and has answered, as contact policies look at it: read from the summaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from storage import keys
from storage.clock import EPOCH
from storage.periods import Period, period_key
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

DELIVERED: Final = ""
"""What `storage/lua/summary.lua` calls a delivery among the outcomes' last times."""
_PERIODS: Final[tuple[Period, ...]] = ("daily", "weekly", "monthly")
_Ids: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Contact:
    """What a customer has met of one offer, creative and channel.

    `deliveries` are those of the current UTC day, ISO week and month; `outcomes_ms` has the time of the latest
    outcome of each key. Times are the events' own, ms since 1970.
    """

    offer_id: str
    creative_id: str
    channel_id: str
    deliveries: Mapping[Period, int]
    delivered_ms: int | None
    outcomes_ms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Contacts:
    """All that a customer has met; true while `position` is the customer's latest event.

    It is 0 where there is none, and None where nobody looked.
    """

    position: int | None
    met: tuple[Contact, ...]


UNKNOWN: Final = Contacts(None, ())


async def read(redis: "Redis", partition: int, tenant: str, customer_id: str, now_ms: int) -> Contacts:
    """Return what a customer has met.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    today = (EPOCH + timedelta(milliseconds=now_ms)).date()
    week_start = today - timedelta(days=today.weekday())
    months = sorted({f"{week_start:%Y-%m}", f"{today:%Y-%m}", f"{week_start + timedelta(days=6):%Y-%m}"})
    with wrapped_errors():
        # The position first: an event in between makes it too old, never the rest.
        pipeline = redis.pipeline(transaction=False)
        pipeline.lindex(keys.customer_events_key(partition, tenant, customer_id), 0)
        for name in ("all", *months):
            pipeline.hgetall(keys.summary_key(partition, tenant, name, customer_id))
        newest, rows, *by_month = await pipeline.execute()
    deliveries = _deliveries(dict(zip(months, by_month, strict=True)), today)
    met = tuple(_contact(msgspec.msgpack.decode(field), row, deliveries) for field, row in rows.items())
    return Contacts(msgspec.msgpack.decode(newest)[0] if newest else 0, met)


def _contact(ids: list[str], row: bytes, deliveries: Mapping[_Ids, dict[Period, int]]) -> Contact:
    offer, creative, channel = ids
    times: dict[str, int] = msgspec.msgpack.decode(row)[9]
    counted = deliveries.get((offer, creative, channel), dict.fromkeys(_PERIODS, 0))
    return Contact(offer, creative, channel, counted, times.get(DELIVERED), times)


def _deliveries(by_month: Mapping[str, Any], today: date) -> dict[_Ids, dict[Period, int]]:
    """Return the deliveries of today, this week and this month."""
    current = {period: period_key(period, today) for period in _PERIODS}
    sums: dict[_Ids, dict[Period, int]] = {}
    for month, rows in by_month.items():
        for field, row in rows.items():
            *ids, day = msgspec.msgpack.decode(field)
            counted = sums.setdefault(tuple(ids), dict.fromkeys(_PERIODS, 0))
            for period, key in current.items():
                if period_key(period, date.fromisoformat(f"{month}-{day:02d}")) == key:
                    counted[period] += msgspec.msgpack.decode(row)[0]
    return sums
