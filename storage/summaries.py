"""What each customer has seen and done, by offer, creative, channel and period: counted inside the commit.

Redis holds a row for all time and one for each day (UTC, of the event's own time); weeks and months are sums of
days. The days of a month are one key, which expires when its last day is old enough.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from storage import keys
from storage.clock import EPOCH
from storage.entry import CONVERSIONS, Classification, Direction
from storage.periods import Period, period_key
from storage.scripts import wrapped_errors
from storage.sums import finite

if TYPE_CHECKING:
    from redis.asyncio import Redis

PeriodType: TypeAlias = Period | Literal["alltime"]
PERIOD_TYPES: Final[tuple[PeriodType, ...]] = ("daily", "weekly", "monthly", "alltime")

_LETTERS: Final[dict[Classification, str]] = {"positive": "p", "negative": "n", "neutral": "u"}
_DAY: Final = timedelta(days=1)


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """A customer's events with a creative in a period.

    Attributes:
        period_type: Which kind of period.
        period_key: `2026-03-16`, `2026-W12`, `2026-03` or `alltime`.
        offer_id: The offer, creative and channel, as the events were resolved.
        impressions: Deliveries.
        positive: Outcomes of that class; so `negative` and `neutral`.
        converts: Outcomes that are conversions.
        total_value: Sum of the conversion values.
        last_contact_ms: Time of the latest event, ms since 1970; its outcome and direction are the last two.
    """

    period_type: PeriodType
    period_key: str
    offer_id: str
    creative_id: str
    channel_id: str
    impressions: int
    positive: int
    negative: int
    neutral: int
    converts: int
    total_value: float
    last_contact_ms: int
    last_outcome_key: str
    direction: Direction

    @property
    def place(self) -> tuple[str, ...]:
        """What the summary is of; there is one for each."""
        return self.period_type, self.period_key, self.offer_id, self.creative_id, self.channel_id


def event(
    classification: Classification | None,
    outcome: str,
    direction: Direction,
    *,
    delivery: bool,
    days_kept: int,
    attributed: bool = False,
    value: float | None = None,
    time_ms: int | None = None,
) -> bytes:
    """Return what the scripts count for an event, packed.

    Args:
        classification: Of an outcome; None for a delivery that is none.
        outcome: Its key.
        direction: Who began.
        delivery: Whether it counts as an impression.
        days_kept: Days that a row of a day is kept.
        attributed: Whether the entry carries the touches before it.
        value: Conversion value.
        time_ms: When it happened, ms since 1970; None: when it is committed.
    """
    letters = "" if classification is None else _LETTERS[classification]
    letters += ("d" if delivery else "") + ("c" if classification is not None and outcome in CONVERSIONS else "")
    return msgspec.msgpack.encode((letters, outcome, direction, value or 0.0, time_ms or 0, days_kept, attributed))


async def read(
    redis: "Redis",
    partition: int,
    tenant: str,
    customer_id: str,
    period_types: Sequence[PeriodType],
    now_ms: int,
    days: int,
) -> list[Summary]:
    """Return a customer's summaries, by kind of period, period, offer, creative and channel.

    Args:
        redis: Where they are.
        partition: The tenant's.
        tenant: Whose customer it is.
        customer_id: Who.
        period_types: Which kinds of period.
        now_ms: The time, ms since 1970.
        days: How far back to look; older days have expired.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    names = ["all", *_months(now_ms, days)]
    with wrapped_errors():
        pipeline = redis.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(keys.summary_key(partition, tenant, name, customer_id))
        stored: Any = await pipeline.execute()
    found = (
        _summary(period_type, name, msgspec.msgpack.decode(field), msgspec.msgpack.decode(row))
        for period_type in period_types
        for name, rows in zip(names, stored, strict=True)
        if (name == "all") == (period_type == "alltime")
        for field, row in rows.items()
    )
    return sorted(_merged(found), key=lambda one: one.place)


def _months(now_ms: int, days: int) -> Iterator[str]:
    """Yield the months of the last days, and of tomorrow: events may be a day ahead."""
    last = (EPOCH + timedelta(milliseconds=now_ms)).date() + _DAY
    month = (last - timedelta(days=days + 1)).replace(day=1)
    while month <= last:
        yield f"{month:%Y-%m}"
        month = (month + timedelta(days=31)).replace(day=1)


def _summary(period_type: PeriodType, month: str, field: list[Any], row: list[Any]) -> Summary:
    ids, day = field[:3], field[3:]
    key = "alltime"
    if period_type != "alltime":
        key = period_key(period_type, date.fromisoformat(f"{month}-{day[0]:02d}"))
    return Summary(period_type, key, *ids, *row[:9])


def _merged(found: Iterable[Summary]) -> list[Summary]:
    """Return the sums of days that lie in one period."""
    sums: dict[tuple[str, ...], Summary] = {}
    for one in found:
        known = sums.get(one.place)
        sums[one.place] = one if known is None else _sum(known, one)
    return list(sums.values())


def _sum(first: Summary, second: Summary) -> Summary:
    counted = ("impressions", "positive", "negative", "neutral", "converts")
    latest = max(first, second, key=lambda one: one.last_contact_ms)
    sums = {name: getattr(first, name) + getattr(second, name) for name in counted}
    return msgspec.structs.replace(latest, **sums, total_value=finite(first.total_value + second.total_value))
