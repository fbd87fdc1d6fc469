"""The archivist of a learner: closed segments of its logs go to the archive, and what is there leaves Redis."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from learners.shard import Shard
from storage import checkpoints, config, erased, log
from storage.archive import Archive, closed, day_of
from storage.checkpoints import Tenure
from storage.errors import ArchiveError, LogGap
from storage.logs import get_logger
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from storage.entry import Entry

LATE_MS: Final = 3_600_000
"""A day is over an hour after midnight: Redis's clock may be set back a little."""
DAY_MS: Final = 24 * LATE_MS
RETENTION_INTERVAL_MS: Final = LATE_MS

_log = get_logger()


class Archivist:
    """Archives the partitions of one learner.

    Args:
        archive: where segments go.
        segment_entries: entries that a segment holds at most; a day's last one holds fewer.
        redis: for writing marks.
        reader: for reading logs.
    """

    def __init__(self, archive: Archive, segment_entries: int, redis: "Redis", reader: "Redis") -> None:
        self.error: str | None = None
        """Why nothing can be archived; None while all is well."""
        self._archive = archive
        self._size = segment_entries
        self._redis = redis
        self._reader = reader
        self._archived: dict[int, int] = {}
        self._timelines: dict[int, str] = {}
        """Of Redis, when that was read."""
        self._begun: set[int] = set()
        """Partitions that this archivist has written to: what it meets there is its own."""
        self._trimmed: dict[int, int] = {}
        self._days: dict[int, str] = {}
        """The day of each partition's first entry that is not archived."""
        self._expired_at_ms = 0

    async def step(
        self, tenures: Mapping[int, Tenure], shards: Mapping[int, Shard], saved: Mapping[int, int]
    ) -> None:
        """Archive what is closed, trim what is archived and checkpointed, expire what is too old.

        Args:
            tenures: the rights to the partitions.
            shards: where they stand.
            saved: the position of each one's checkpoint.

        Raises:
            StaleEpoch: another learner has taken a partition.
            NewTimeline: Redis may have lost what was archived.
            StorageUnavailable: Redis did not answer.
        """
        tenures = dict(tenures)  # one taken again meanwhile is for the next step
        try:
            await self._begin(tenures)
            time_ms = await self._time_ms()
            for partition, tenure in tenures.items():
                await self._archive_partition(tenure, shards[partition].position, saved[partition], time_ms)
                if self._trimmed.get(partition, 0) < min(self._archived[partition], saved[partition]):
                    await self._mark(tenure, self._archived[partition], saved[partition])
            if time_ms - self._expired_at_ms >= RETENTION_INTERVAL_MS:
                await self._expire(shards, time_ms)
                self._expired_at_ms = time_ms
        except (ArchiveError, LogGap) as error:
            if self.error is None:
                _log.error("cannot archive, trying again", error=str(error))
            self.error = str(error)
        else:
            if self.error is not None:
                _log.info("archiving again")
            self.error = None

    async def follow_erasures(self, tenures: Mapping[int, Tenure]) -> None:
        """Put pseudonyms into the archive where Redis has them already.

        Raises:
            ArchiveError: the archive does not answer.
            StaleEpoch: another learner has taken a partition.
            StorageUnavailable: Redis did not answer.
        """
        for one in await erased.left(self._reader, list(tenures)):
            rewrite = partial(self._archive.rewrite, one.partition, one.tenant, one.id, one.hide)
            await erased.done(self._redis, tenures[one.partition], one, await asyncio.to_thread(rewrite))

    async def _begin(self, tenures: Mapping[int, Tenure]) -> None:
        for partition, tenure in tenures.items():
            if self._timelines.get(partition) != tenure.timeline:  # Redis may have lost the mark
                self._archived[partition] = await checkpoints.archived(self._reader, partition)
                self._timelines[partition] = tenure.timeline
                self._begun.discard(partition)
                self._trimmed.pop(partition, None)
                self._days.pop(partition, None)

    async def _time_ms(self) -> int:
        with wrapped_errors():
            seconds, micros = await self._reader.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def _archive_partition(self, tenure: Tenure, learned: int, saved: int, time_ms: int) -> None:
        partition = tenure.partition
        today = day_of(time_ms - LATE_MS)
        while (after := self._archived[partition]) < learned:
            if partition not in self._days:
                self._days[partition] = await self._first_day(partition, after)
            if learned - after < self._size and self._days[partition] >= today:
                return
            erasures = await checkpoints.erasures(self._reader, partition)
            segment = closed(await self._entries(partition, after), self._size, today)
            if not segment:
                return
            await asyncio.to_thread(self._write, partition, segment)
            if await self._mark(tenure, segment[-1].position, saved, erasures):
                del self._days[partition]

    async def _first_day(self, partition: int, after: int) -> str:
        for entry in await log.read(self._reader, partition, after, count=1):
            return day_of(entry.time_ms)
        raise LogGap(f"partition {partition}: position {after + 1} is neither archived nor in Redis")

    def _write(self, partition: int, segment: "Sequence[Entry]") -> None:
        if partition not in self._begun:
            self._archive.discard_unfinished(partition, segment[0].position, segment[-1].position)
            self._begun.add(partition)
        self._archive.write(partition, segment)

    async def _mark(self, tenure: Tenure, position: int, saved: int, erasures: int | None = None) -> bool:
        """Tell how far the archive reaches; return false where an erasure wants the segment written again."""
        if not await checkpoints.mark_archived(self._redis, tenure, position, saved, erasures):
            return False
        self._archived[tenure.partition] = position
        self._trimmed[tenure.partition] = min(position, saved)
        return True

    async def _entries(self, partition: int, after: int) -> "list[Entry]":
        """Return what may belong to the next segment: how far this learner has come must not decide its end."""
        entries: list[Entry] = []
        while len(entries) < self._size and (batch := await log.read(self._reader, partition, after)):
            entries += batch
            after = batch[-1].position
        return entries

    async def _expire(self, shards: Mapping[int, Shard], time_ms: int) -> None:
        for partition, shard in shards.items():
            for tenant in shard.tenants:
                settings = (await config.read(self._reader, partition, tenant)).get("settings", "settings")
                if settings is None:
                    continue
                before = day_of(time_ms - settings.doc["retentionDays"] * DAY_MS)
                deleted = await asyncio.to_thread(self._archive.expire, tenant, before)
                if deleted:
                    _log.info("retention", tenant=tenant, files=deleted, before=before)
