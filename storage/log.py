"""Reading the outcome log of a partition."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from storage import keys
from storage.entry import Entry, unpack_entry
from storage.errors import LogGap
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

READ_BATCH = 2_000
"""Entries a read: about half a megabyte, some milliseconds of Redis's time."""


async def read(redis: "Redis", partition: int, after: int, count: int = READ_BATCH) -> list[Entry]:
    """Return up to `count` entries behind position `after`, without a gap.

    Raises:
        LogGap: a position is missing, so the log was cut by something else than the service.
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        rows: Any = await redis.xrange(keys.log_key(partition), min=f"{after + 1}-0", count=count)
    entries = [unpack_entry(fields[b"e"]) for _, fields in rows]
    for expected, entry in enumerate(entries, after + 1):
        if entry.position != expected:
            raise LogGap(f"partition {partition}: position {expected} is missing")
    return entries


async def follow(redis: "Redis", partition: int, after: int, until: int) -> AsyncIterator[list[Entry]]:
    """Yield the entries behind `after` in batches, up to position `until` and what was appended meanwhile.

    Raises:
        LogGap: the log ends before `until`, or lacks a position.
        StorageUnavailable: Redis did not answer.
    """
    while after < until:
        entries = await read(redis, partition, after)
        if not entries:
            raise LogGap(f"partition {partition}: the log ends at {after}, before {until}")
        yield entries
        after = entries[-1].position


async def heads(redis: "Redis", partitions: Sequence[int]) -> list[int]:
    """Return the last position of each partition, 0 where nothing was ever logged.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        pipeline = redis.pipeline(transaction=False)
        for partition in partitions:
            pipeline.get(keys.sequence_key(partition))
        return [int(value or 0) for value in await pipeline.execute()]
