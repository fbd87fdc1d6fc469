"""The coalescer: what arrives while one flush is under way leaves together in the next.

One flush is one round trip and one fsync for all its items. Nothing waits for company: a lone request flushes
at once. Partitions take turns and share the places (stochastic fairness, McKenney 1990): a tenant that sends
more than Redis takes holds up its own outcomes, and those of the few tenants in its partition.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from serve.places import Places
from storage.commit import Committed
from storage.errors import Overloaded, StorageError

if TYPE_CHECKING:
    from redis.asyncio import Redis

FLUSH_ITEMS: Final = 256
"""Items a flush: about 5 ms of Redis's time, so that no other client of it waits long."""

Item = TypeVar("Item")
Send: TypeAlias = "Callable[[Redis, int, Sequence[Item]], Awaitable[list[Committed]]]"


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    partition: int
    items: Sequence[Item]
    done: "asyncio.Future[list[Committed]]"


class Coalescer(Generic[Item]):
    """Sends items to Redis in shared flushes and hands the entries of those recorded to `on_recorded`.

    Args:
        redis: the writer.
        send: commits items of one partition, in order.
        on_recorded: takes a partition and packed entries.
        max_waiting: items that may wait, shared as `serve.places` does; more are refused.
    """

    def __init__(
        self,
        redis: "Redis",
        send: "Send[Item]",
        on_recorded: Callable[[int, list[bytes]], None],
        max_waiting: int = 8192,
    ) -> None:
        self._redis = redis
        self._send = send
        self._on_recorded = on_recorded
        self._places = Places(max_waiting)
        self._queues: dict[int, deque[_Waiting[Item]]] = {}
        """By partition, the one whose turn it is first; none is empty."""
        self._flusher: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Items that wait or are on their way."""
        return self._places.taken

    async def submit(self, partition: int, items: Sequence[Item]) -> list[Committed]:
        """Commit items of one partition, in order, and return what became of each.

        Raises:
            Overloaded: the queue is full; nothing was written.
            StorageUnavailable: Redis did not answer; which items were recorded is unknown.
        """
        if not self._places.take(partition, len(items)):
            raise Overloaded(f"{self.waiting} items wait for Redis")
        item = _Waiting(partition, items, asyncio.get_running_loop().create_future())
        self._queues.setdefault(partition, deque()).append(item)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_all())
        return await item.done

    async def close(self) -> None:
        """Return when everything submitted has been answered."""
        if self._flusher is not None:
            await asyncio.shield(self._flusher)

    async def _flush_all(self) -> None:
        try:
            while self._queues:
                by_partition: dict[int, list[_Waiting[Item]]] = {}
                for item in self._take():
                    by_partition.setdefault(item.partition, []).append(item)
                await asyncio.gather(*(self._flush(*group) for group in by_partition.items()))
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting[Item]]:
        """Return what leaves next: of each partition in turn the eldest, as many as fit."""
        taken: list[_Waiting[Item]] = []
        count = 0
        while self._queues:
            partition, queue = next(iter(self._queues.items()))
            if taken and count + len(queue[0].items) > FLUSH_ITEMS:
                break
            taken.append(queue.popleft())
            count += len(taken[-1].items)
            del self._queues[partition]
            if queue:
                self._queues[partition] = queue
        return taken

    async def _flush(self, partition: int, waiting: list[_Waiting[Item]]) -> None:
        items = [single for item in waiting for single in item.items]
        try:
            results = await self._send(self._redis, partition, items)
        except StorageError as error:
            self._settle(waiting, error)
        else:
            recorded = [result.entry for result in results if result.status == "recorded"]
            if recorded:
                self._on_recorded(partition, recorded)
            self._settle(waiting, results)

    def _settle(self, waiting: list[_Waiting[Item]], outcome: "list[Committed] | StorageError") -> None:
        start = 0
        for item in waiting:
            self._places.give_back(item.partition, len(item.items))
            end = start + len(item.items)
            if not item.done.done():  # the caller may have gone away
                if isinstance(outcome, StorageError):
                    item.done.set_exception(outcome)
                else:
                    item.done.set_result(outcome[start:end])
            start = end
