"""The snapshots that a replica holds: fetched when a tenant is first asked for, then followed.

A learner that is away leaves everything as it was: replicas go on ranking with what they hold.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias

from learners.answers import Known, ModelOf, Published
from learners.errors import LearnersUnavailable
from learners.snapshot import Snapshot, unpack_snapshot

LONG_POLL_S: Final = 2.0
PAUSE_S: Final = 0.03
"""Between two looks at a partition: rewards of this time arrive in one snapshot. Whoever asks for a position skips
it."""
RETRY_S: Final = 0.2
FIRST_WAIT_S: Final = 1.0
"""A tenant made a moment ago has its champion as soon as the learner has read of it in the log."""
HELD: Final = 512
"""Snapshots that a replica keeps; the one asked for longest ago goes first."""

Watch: TypeAlias = Callable[[int, Mapping[ModelOf, Known], float], Awaitable[Mapping[ModelOf, Published]]]


class Held(NamedTuple):
    """A model; None if there is none that can run. True for everything up to `position` of the log."""

    snapshot: Snapshot | None
    position: int
    version: int


class Snapshots:
    """Follows the models that were asked for.

    Args:
        watch: returns what is new of a partition's models, waiting some seconds for anything to be.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._held: OrderedDict[tuple[int, ModelOf], Held] = OrderedDict()
        self._followers: dict[int, asyncio.Task[None]] = {}
        self._fetches: dict[tuple[int, ModelOf], asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()

    async def get(self, partition: int, model: ModelOf, min_position: int = 0, wait_s: float = 0.0) -> Held:
        """Return what is held of a model, waiting up to `wait_s` for `min_position`, else the newest there is.

        Raises:
            LearnersUnavailable: nothing is held, and the learner is away.
        """
        key = (partition, model)
        held = self._held.get(key) or await self._fetch(key)
        if partition not in self._followers:
            self._followers[partition] = asyncio.create_task(self._follow(partition))
        if held.snapshot is not None and held.position >= min_position:
            self._held.move_to_end(key)
            return held
        if held.snapshot is None:
            wait_s = max(wait_s, FIRST_WAIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while held.snapshot is None or held.position < min_position:
                    news = self._news
                    self._hurry.set()
                    await news.wait()
                    held = self._held.get(key, held)
        return held

    async def close(self) -> None:
        """Stop following."""
        for task in self._followers.values():
            task.cancel()
        await asyncio.gather(*self._followers.values(), return_exceptions=True)

    async def _fetch(self, key: tuple[int, ModelOf]) -> Held:
        """Return a model's first snapshot; requests that ask at one time share the call."""
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.ensure_future(self._look(key[0], {key[1]: (-1, -1)}, 0.0))
            task.add_done_callback(lambda _: self._fetches.pop(key, None))
        await asyncio.shield(task)
        held = self._held.get(key)
        if held is None:
            raise LearnersUnavailable(f"partition {key[0]} has no snapshot yet")
        return held

    async def _follow(self, partition: int) -> None:
        try:
            while known := self._known(partition):
                try:
                    await self._look(partition, known, LONG_POLL_S)
                except LearnersUnavailable:
                    await asyncio.sleep(RETRY_S)
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), PAUSE_S)
                    self._hurry.clear()
        finally:
            del self._followers[partition]  # whoever asks next starts it again

    async def _look(self, partition: int, known: Mapping[ModelOf, Known], wait_s: float) -> None:
        for model, published in (await self._watch(partition, known, wait_s)).items():
            held = self._held.get((partition, model))
            if held is not None and held.position >= published.position:
                continue  # a learner that has just restarted is behind what it once published
            snapshot = held.snapshot if held is not None else None
            if published.snapshot is not None:
                snapshot = unpack_snapshot(published.snapshot)
            self._held[partition, model] = Held(snapshot, published.position, published.version)
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        self._news.set()
        self._news = asyncio.Event()

    def _known(self, partition: int) -> dict[ModelOf, Known]:
        items = self._held.items()
        return {model: (held.position, held.version) for (owner, model), held in items if owner == partition}
