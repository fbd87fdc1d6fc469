"""What a tenant's customers have seen and done, by day: counted inside the commit, summed up when somebody asks.

Redis holds a hash for each UTC day of the events' own time, which expires when the day is old enough, with a row
for each offer, creative, channel and category that an event was resolved to.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from storage import keys
from storage.clock import EPOCH
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

GroupBy: TypeAlias = Literal["offer", "creative", "channel", "category"]
_PLACES: Final[dict[GroupBy, int]] = {"offer": 0, "creative": 1, "channel": 2, "category": 3}


class Rolled(msgspec.Struct, frozen=True, array_like=True):
    """Counts of events: deliveries, some outcomes by key, conversions, all outcomes, and these by class."""

    impression: int = 0
    click: int = 0
    dismiss: int = 0
    accept: int = 0
    convert: int = 0
    total: int = 0
    positive: int = 0
    negative: int = 0
    neutral: int = 0

    def __add__(self, other: "Rolled") -> "Rolled":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Rolled(*(mine + theirs for mine, theirs in pairs))


_field: Final = msgspec.msgpack.Decoder(list[str])
_row: Final = msgspec.msgpack.Decoder(Rolled)


async def read(
    redis: "Redis", partition: int, tenant: str, group_by: GroupBy, days: int, now_ms: int
) -> tuple[dict[str, dict[str, Rolled]], int]:
    """Return the counts of each of the last days by id ("" for what has none), and the log position.

    Days are YYYY-MM-DD, UTC, the oldest first, today included; those without an event are left out.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    today = (EPOCH + timedelta(milliseconds=now_ms)).date()
    names = [f"{today - timedelta(days=back):%Y-%m-%d}" for back in reversed(range(days))]
    with wrapped_errors():
        # One transaction: what is counted and the position belong together.
        pipeline = redis.pipeline(transaction=True)
        pipeline.get(keys.sequence_key(partition))
        for name in names:
            pipeline.hgetall(keys.rollup_key(partition, tenant, name))
        position, *stored = await pipeline.execute()
    grouped = {name: _grouped(rows, _PLACES[group_by]) for name, rows in zip(names, stored, strict=True) if rows}
    return grouped, int(position or 0)


def total(days: Iterable[Mapping[str, Rolled]]) -> dict[str, Rolled]:
    """Return the counts of all days together, by id."""
    sums: dict[str, Rolled] = {}
    for day in days:
        for name, counts in day.items():
            sums[name] = sums.get(name, Rolled()) + counts
    return sums


def _grouped(rows: Mapping[bytes, bytes], place: int) -> dict[str, Rolled]:
    return total({_field.decode(field)[place]: _row.decode(row)} for field, row in rows.items())
