"""The coalescer: what arrives while one flush is under way leaves together in the next.

One flush is one round trip and one fsync for all its outcomes. Nothing waits for company: a lone request flushes
at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from storage.commit import Commit, Committed, commit
from storage.errors import Overloaded, StorageError

if TYPE_CHECKING:
    from redis.asyncio import Redis

FLUSH_OUTCOMES: Final = 256
"""Outcomes a flush: about 5 ms of Redis's time, so that no other client of it waits long."""


class _Waiting(NamedTuple):
    partition: int
    commits: Sequence[Commit]
    done: "asyncio.Future[list[Committed]]"


class Coalescer:
    """Commits outcomes through Redis in shared flushes and hands those recorded to `on_recorded`."""

    def __init__(
        self, redis: "Redis", on_recorded: Callable[[int, list[bytes]], None], max_waiting: int = 4096
    ) -> None:
        self._redis = redis
        self._on_recorded = on_recorded
        self._max_waiting = max_waiting
        self._queue: deque[_Waiting] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self.waiting = 0
        """Outcomes that wait or are on their way."""

    async def submit(self, partition: int, commits: Sequence[Commit]) -> list[Committed]:
        """Commit outcomes of one partition, in order, and return what became of each.

        Raises:
            Overloaded: the queue is full; nothing was written.
            StorageUnavailable: Redis did not answer; which outcomes were recorded is unknown.
        """
        if self.waiting + len(commits) > self._max_waiting and self.waiting > 0:
            raise Overloaded(f"{self.waiting} outcomes wait for Redis")
        item = _Waiting(partition, commits, asyncio.get_running_loop().create_future())
        self._queue.append(item)
        self.waiting += len(commits)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all())
        return await item.done

    async def close(self) -> None:
        """Return when everything submitted has been answered."""
        if self._flusher is not None:
            await asyncio.shield(self._flusher)

    async def _flush_all(self) -> None:
        try:
            while self._queue:
                by_partition: dict[int, list[_Waiting]] = {}
                for item in self._take():
                    by_partition.setdefault(item.partition, []).append(item)
                await asyncio.gather(*(self._flush(*group) for group in by_partition.items()))
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting]:
        taken = [self._queue.popleft()]
        outcomes = len(taken[0].commits)
        while self._queue and outcomes + len(self._queue[0].commits) <= FLUSH_OUTCOMES:
            taken.append(self._queue.popleft())
            outcomes += len(taken[-1].commits)
        return taken

    async def _flush(self, partition: int, items: list[_Waiting]) -> None:
        commits = [single for item in items for single in item.commits]
        try:
            results = await commit(self._redis, partition, commits)
        except StorageError as error:
            self._settle(items, error)
        else:
            recorded = [result.entry for result in results if result.status == "recorded"]
            if recorded:
                self._on_recorded(partition, recorded)
            self._settle(items, results)

    def _settle(self, items: list[_Waiting], outcome: "list[Committed] | StorageError") -> None:
        start = 0
        for item in items:
            self.waiting -= len(item.commits)
            end = start + len(item.commits)
            if not item.done.done():  # the caller may have gone away
                if isinstance(outcome, StorageError):
                    item.done.set_exception(outcome)
                else:
                    item.done.set_result(outcome[start:end])
            start = end
