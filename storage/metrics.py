"""Behavioural metrics: how many, sum, least and greatest of what outcomes carry, by group, counted in the commit.

Redis holds a hash for each metric and UTC day of the events' own time, or one for all time, with a row for each
group. It expires when the day leaves the metric's window; that for all time when no outcome has moved it for as
long as the tenant keeps days.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from storage import keys
from storage.clock import EPOCH
from storage.entry import Outcome
from storage.scripts import wrapped_errors
from storage.sums import finite

if TYPE_CHECKING:
    from redis.asyncio import Redis

Dimension: TypeAlias = Literal[
    "offerId", "creativeId", "channelId", "categoryId", "customerId", "outcome", "classification", "direction"
]
Aggregate: TypeAlias = Literal["count", "sum", "avg", "min", "max"]
ATTRIBUTE: Final = "attributes."
"""What the name of an attribute follows in a source."""
OVERFLOW: Final = b""
"""The group of what came when a hash had 10,000 groups (MAX_GROUPS in `storage/lua/metrics.lua`)."""


@dataclass(frozen=True)
class Metric:
    """What is measured: a number of each outcome that passes the filter, by some dimensions, over some days.

    `source` is `conversionValue`, `responseTime` or `attributes.NAME`; None counts outcomes. `window_days` None is
    all time.
    """

    id: str
    aggregate: Aggregate
    source: str | None
    window_days: int | None
    dimensions: tuple[Dimension, ...]
    filters: Mapping[Dimension, Sequence[str]]

    @cached_property
    def name(self) -> str:
        """What its keys are called: another one when something else is counted, the same for another aggregate."""
        counted = [self.id, self.source, self.window_days, self.dimensions, sorted(self.filters.items())]
        return blake2b(json.dumps(counted).encode(), digest_size=12).hexdigest()


class Measured(NamedTuple):
    """What a group has measured."""

    number: int
    sum: float
    least: float
    greatest: float

    def plus(self, other: "Measured") -> "Measured":
        """Return both together."""
        least, greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        return Measured(self.number + other.number, finite(self.sum + other.sum), least, greatest)

    def value(self, aggregate: Aggregate) -> float:
        """Return the number that is asked for."""
        match aggregate:
            case "count":
                return self.number
            case "sum":
                return self.sum
            case "avg":
                return self.sum / self.number
            case "min":
                return self.least
            case "max":
                return self.greatest


def number(outcome: Outcome, source: str | None) -> float | None:
    """Return what an outcome carries under a source; None where that is nothing, or no number."""
    if source is None:
        return 0
    if source == "conversionValue":
        return outcome.value
    found: Any
    if source == "responseTime":
        found = json.loads(outcome.context or "{}").get(source)
    else:
        found = outcome.features.get(source.removeprefix(ATTRIBUTE))
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def packed(metrics: Iterable[Metric], outcome: Outcome) -> bytes:
    """Return what the commit script measures of an outcome."""
    rows = [
        (metric.name, metric.window_days or 0, value, metric.dimensions, metric.filters)
        for metric in metrics
        if (value := number(outcome, metric.source)) is not None
    ]
    return msgspec.msgpack.encode(rows) if rows else b""


class Values(NamedTuple):
    """What a metric has measured, by group; `truncated` where there were too many for all outcomes."""

    groups: dict[tuple[str, ...], Measured]
    truncated: bool
    position: int


async def read(redis: "Redis", partition: int, tenant: str, metric: Metric, now_ms: int) -> Values:
    """Return what a metric has measured in its window, today included, and the log position that it is true for.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    today = (EPOCH + timedelta(milliseconds=now_ms)).date()
    days = range(metric.window_days or 0)
    periods = [f"{today - timedelta(days=back):%Y-%m-%d}" for back in reversed(days)] or ["all"]
    with wrapped_errors():
        # One transaction: what is counted and the position belong together.
        pipeline = redis.pipeline(transaction=True)
        pipeline.get(keys.sequence_key(partition))
        for period in periods:
            pipeline.hgetall(keys.metric_key(partition, tenant, metric.name, period))
        position, *stored = await pipeline.execute()
    groups: dict[tuple[str, ...], Measured] = {}
    for rows in stored:
        for field, row in rows.items():
            if field != OVERFLOW:
                group = tuple(msgspec.msgpack.decode(field, type=list[str]))
                measured = Measured(*msgspec.msgpack.decode(row))
                groups[group] = groups[group].plus(measured) if group in groups else measured
    return Values(groups, any(OVERFLOW in rows for rows in stored), int(position or 0))
