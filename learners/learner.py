"""A learner: the shards of some partitions, kept at the end of their logs and checkpointed.

It learns from what replicas push when that is what comes next, and reads the log for everything else: pushes that
were lost, came out of order or while it was away. It knows nothing of Ray; `learners.actor` puts it into an actor.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
from learners.archivist import Archivist
from learners.bandits import BanditFold, ModelView, WarmStart
from learners.errors import CheckpointError, LearnersUnavailable
from learners.metrics import adwin
from learners.model import Features
from learners.shard import Shard
from learners.snapshot import pack_snapshot
from storage import checkpoints, client, history, log
from storage.archive import Archive
from storage.checkpoints import Tenure
from storage.entry import Entry, unpack_entry
from storage.errors import ArchiveError, NewTimeline, StaleEpoch, StorageUnavailable
from storage.logs import get_logger
from storage.timeline import timelines

FOLLOW_INTERVAL_S: Final = 0.2
"""How often a learner looks at the log's ends: what no push brought is learned within this time."""
OPEN_RETRY_S: Final = 0.5
ARCHIVE_INTERVAL_S: Final = 1.0

_log = get_logger()


class Learner:
    """Folds the logs of its partitions. Use `run` as a task; everything else may be called meanwhile.

    Args:
        name: what status and logs call it.
        redis_url: where the log is.
        partitions: the partitions that are its own, by the fencing epoch that it takes.
        checkpoint_interval_s: seconds between checkpoints of a shard that has learned something.
        archive: where closed segments of the logs go; nothing is archived, and nothing trimmed, without.
        segment_entries: entries that a segment of the archive holds at most.
    """

    def __init__(
        self,
        name: str,
        redis_url: str,
        partitions: Sequence[int],
        checkpoint_interval_s: float = 5.0,
        archive: Archive | None = None,
        segment_entries: int = 20_000,
    ) -> None:
        self.name = name
        self.fenced = False
        self._redis_url = redis_url
        self._partitions = list(partitions)
        self._interval_s = checkpoint_interval_s
        self._archive = archive
        self._segment_entries = segment_entries
        self._archivist: Archivist | None = None
        self._shards: dict[int, Shard] = {}
        self._tenures: dict[int, Tenure] = {}
        self._saved: dict[int, int] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._heads: dict[int, int] = {}
        self._caught_up_at: float | None = None
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        """Set, and replaced, when a shard has moved."""

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The shards by partition, for reading only; none while the learner is starting."""
        return self._shards

    async def run(self) -> None:
        """Take the partitions, restore, then follow the logs until `stop` or until another learner takes over."""
        async with self._clients():
            await asyncio.gather(self._until_it_works(self._take_all), asyncio.to_thread(adwin))
            saved_at = time.monotonic()
            archiving = asyncio.create_task(self._archiving())
            while not self._stopping.is_set() and not self.fenced:
                await self._guarded(self._catch_up_all)
                if time.monotonic() - saved_at >= self._interval_s:
                    await self._guarded(self.checkpoint)
                    saved_at = time.monotonic()
                if archiving.done():
                    archiving.result()  # raises what nobody expected
                await self._pause(FOLLOW_INTERVAL_S)
            await archiving
            if not self.fenced:
                await self._guarded(self._catch_up_all)
                await self._guarded(self.checkpoint)

    def stop(self) -> None:
        """Have `run` write a last checkpoint and return."""
        self._stopping.set()

    async def push(self, batches: Mapping[int, Sequence[bytes]]) -> None:
        """Learn from committed entries, by partition; what is known already is passed over, a gap is read."""
        for partition, raw in batches.items():
            if partition not in self._shards or self.fenced:
                continue  # not restored yet: `run` will find these entries in the log
            entries = [unpack_entry(one) for one in raw]
            async with self._locks[partition]:
                shard = self._shards[partition]
                fresh = [entry for entry in entries if entry.position > shard.position]
                if not fresh:
                    continue
                if fresh[0].position == shard.position + 1 and fresh[-1].position == shard.position + len(fresh):
                    await self._apply(shard, fresh)
                else:
                    await self._read_up(shard, fresh[-1].position)

    async def checkpoint(self) -> None:
        """Write the state of every shard that has moved since it was last written.

        Raises:
            StaleEpoch: another learner has taken a partition.
            NewTimeline: Redis may have lost what was learned.
            StorageUnavailable: Redis did not answer.
        """
        for partition, shard in self._shards.items():
            position = shard.position
            if position > self._saved[partition]:
                await checkpoints.write(self._redis, self._tenures[partition], shard.state())
                self._saved[partition] = position

    def models(self, partition: int, tenant: str) -> list[ModelView]:
        """Return the tenant's models.

        Raises:
            LearnersUnavailable: the learner is still starting.
        """
        return self._bandits(partition).models(tenant)

    def model_state(self, partition: int, tenant: str, model_id: str, offer_id: str | None) -> ModelState | None:
        """Return what a model believes of each offer and the log position that it is true for; None if unknown.

        Raises:
            LearnersUnavailable: the learner is still starting.
        """
        fold = self._bandits(partition)
        view = fold.model(tenant, model_id)
        if view is None:
            return None
        arms = fold.arms(tenant, model_id, offer_id)
        return {
            "modelId": view.id,
            "modelType": view.model_type,
            **view.summary,
            "data": msgspec.to_builtins(arms),
            "position": self._shards[partition].position,
        }

    async def watch(
        self, partition: int, known: Mapping[ModelOf, Known], wait_s: float
    ) -> dict[ModelOf, Published]:
        """Return what is new of models, waiting up to `wait_s` for anything to be.

        Raises:
            LearnersUnavailable: the learner is still starting.
        """
        deadline = time.monotonic() + wait_s
        while True:
            news, left = self._news, deadline - time.monotonic()
            found = self._published(partition, known)
            if found or left <= 0:
                return found
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), left)

    def score(
        self, partition: int, tenant: str, model_id: str, features: Features, offers: Mapping[str, str | None]
    ) -> Scored | None:
        """Return what a model would rank by now, and expects, of offers (id → category); None if there is none.

        Raises:
            LearnersUnavailable: the learner is still starting.
        """
        model = self._bandits(partition).reading(tenant, model_id)
        if model is None:
            return None
        names, categories = list(offers), list(offers.values())
        scores = model.sample(np.random.default_rng(), features, names, categories, 1)[0]
        means = model.score(features, names, categories)
        return Scored(scores.tolist(), means.tolist(), self._shards[partition].position)

    def status(self) -> LearnerStatus:
        """Return where the learner stands."""
        now = time.monotonic()
        behind = sum(
            max(0, head - self._shards[p].position) for p, head in self._heads.items() if p in self._shards
        )
        lag_s = float("inf") if self._caught_up_at is None or self.fenced else now - self._caught_up_at
        positions = {partition: shard.position for partition, shard in self._shards.items() if shard.position}
        error = None if self._archivist is None else self._archivist.error
        lag_ms = int(min(lag_s, 1e6) * 1000)
        return LearnerStatus(self.name, len(self._partitions), behind, lag_ms, positions, error)

    def state(self, partition: int) -> bytes:
        """Return the shard's state as a checkpoint would hold it.

        Raises:
            LearnersUnavailable: the learner is still starting.
        """
        return self._shard(partition).state()

    def _published(self, partition: int, known: Mapping[ModelOf, Known]) -> dict[ModelOf, Published]:
        shard = self._shard(partition)
        found = {}
        for (tenant, model_id), (position, version) in known.items():
            if shard.position <= position:
                continue
            newest = shard.bandits.moved_at(tenant, model_id)
            snapshot = None if newest in (None, version) else shard.bandits.snapshot(tenant, model_id)
            packed = None if snapshot is None else pack_snapshot(snapshot)
            found[tenant, model_id] = Published(shard.position, newest or 0, packed)
        return found

    def _shard(self, partition: int) -> Shard:
        shard = self._shards.get(partition)
        if shard is None or self.fenced:
            raise LearnersUnavailable(f"{self.name} is {'fenced off' if self.fenced else 'starting'}")
        return shard

    def _bandits(self, partition: int) -> BanditFold:
        return self._shard(partition).bandits

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[None]:
        self._redis, self._reader = client.writer(self._redis_url), client.reader(self._redis_url)
        try:
            yield
        finally:
            await self._redis.aclose()
            await self._reader.aclose()

    async def _take_all(self) -> None:
        self._shards = {partition: await self._take(partition) for partition in self._partitions}

    async def _take(self, partition: int, own: Tenure | None = None) -> Shard:
        tenure = await checkpoints.take(self._redis, partition, own)
        shard = Shard(partition)
        if tenure.checkpoint is not None:
            try:
                shard.restore(tenure.checkpoint)
            except CheckpointError as error:
                _log.warning("a checkpoint of other code, folding the log again", error=str(error))
                shard = Shard(partition)
        self._tenures[partition] = tenure
        self._saved[partition] = shard.position
        return shard

    async def _take_again(self) -> None:
        """Start from the checkpoints again where Redis goes on with another history than the one learned from."""
        now = await timelines(self._reader, self._partitions)
        left = [partition for partition, one in now.items() if one != self._tenures[partition].timeline]
        for partition in left:
            async with self._locks[partition]:
                self._shards[partition] = await self._take(partition, self._tenures[partition])
        if left:
            _log.info("Redis was restarted or replaced, read again from the checkpoints", partitions=len(left))
        if any(self._tenures[partition].timeline != now[partition] for partition in left):
            raise StorageUnavailable("one Redis is read and another written, in a fail-over that goes on")

    async def _catch_up_all(self) -> None:
        looked_at = time.monotonic()
        await self._take_again()
        heads = await log.heads(self._reader, self._partitions)
        self._heads = dict(zip(self._partitions, heads, strict=True))
        for partition, head in self._heads.items():
            shard = self._shards[partition]
            if shard.position < head:
                async with self._locks[partition]:
                    await self._read_up(shard, head)
        self._caught_up_at = looked_at

    async def _read_up(self, shard: Shard, head: int) -> None:
        async for segment in history.follow(self._reader, self._archive, shard.partition, shard.position, head):
            await self._apply(shard, segment.entries, segment.last if segment.missing else None)
            if segment.missing:
                _log.warning(
                    "folding without entries kept no longer", partition=shard.partition, entries=segment.missing
                )
            await asyncio.sleep(0)  # let status and reads in between two batches

    async def _apply(self, shard: Shard, entries: Sequence[Entry], last: int | None = None) -> None:
        """Apply entries; with `last` they are what is left of all up to there."""
        fresh = [entry for entry in entries if entry.position > shard.position]
        for entry in shard.bandits.warm_starts(fresh):
            start = WarmStart(entry)
            async for earlier in history.follow(
                self._reader, self._archive, shard.partition, 0, entry.position - 1
            ):
                start.apply(earlier.entries)
                await asyncio.sleep(0)
            shard.bandits.warm(entry, start)
        if last is None:
            shard.apply(fresh)
        else:
            shard.apply_left(fresh, last)
        self._news.set()
        self._news = asyncio.Event()

    async def _archiving(self) -> None:
        if self._archive is None:
            return
        self._archivist = Archivist(self._archive, self._segment_entries, self._redis, self._reader)
        while not self._stopping.is_set() and not self.fenced:
            await self._guarded(partial(self._archivist.follow_erasures, self._tenures))
            await self._guarded(partial(self._archivist.step, self._tenures, self._shards, self._saved))
            await self._pause(ARCHIVE_INTERVAL_S)

    async def _until_it_works(self, step: Any) -> None:
        while not self._stopping.is_set():
            if await self._guarded(step):
                return
            await self._pause(OPEN_RETRY_S)

    async def _guarded(self, step: Any) -> bool:
        """Run a step of the loop; storage being away is waited out, a lost epoch ends the learner."""
        try:
            await step()
        except (StorageUnavailable, ArchiveError) as error:
            _log.warning("storage is away", learner=self.name, error=str(error))
            return False
        except NewTimeline:  # the next look at the logs mends it
            return False
        except StaleEpoch as error:
            _log.warning("another learner has taken over", learner=self.name, error=str(error))
            self.fenced = True
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
