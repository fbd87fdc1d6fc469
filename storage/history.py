"""All of a partition's log: what the archive holds, then what Redis still has."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from storage import checkpoints, log
from storage.archive import Archive, Segment
from storage.errors import LogGap

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def follow(
    redis: "Redis", archive: Archive | None, partition: int, after: int, until: int, tenant: str | None = None
) -> AsyncIterator[Segment]:
    """Yield the entries behind `after`, up to position `until` and what was appended meanwhile.

    With `tenant`, the archive is read for that one alone; what Redis has is yielded for all. Entries that left the
    archive again, being too old, are missing from their segments.

    Raises:
        LogGap: the log lacks a position that was never archived.
        ArchiveError: the archive does not answer.
        StorageUnavailable: Redis did not answer.
    """
    while after < until:
        try:
            entries = await log.read(redis, partition, after)
        except LogGap:
            entries = []
        if entries:
            yield Segment(after + 1, entries[-1].position, entries)
            after = entries[-1].position
            continue
        reached = after
        async for segment in _archived(redis, archive, partition, after, tenant):
            yield segment
            after = segment.last
        if after == reached:
            raise LogGap(f"partition {partition}: position {after + 1} is missing")


async def _archived(
    redis: "Redis", archive: Archive | None, partition: int, after: int, tenant: str | None
) -> AsyncIterator[Segment]:
    if archive is None:
        return
    end = await checkpoints.archived(redis, partition)
    segments = archive.read(partition, after, end, tenant)
    while (segment := await asyncio.to_thread(next, segments, None)) is not None:
        yield segment
        after = segment.last
    if after < end:
        yield Segment(after + 1, end, [])
