"""The learners as Ray actors: the thin shell around `Learner`, and how replicas reach it.

Each actor is named `learner-NN`, detached and restarted for ever. A restarted one takes the next epoch, restores
its checkpoint and reads the rest from the log; nobody has to tell it.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ray
import structlog
from ray.exceptions import ActorDiedError, RayError

from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
from learners.bandits import ModelView
from learners.errors import LearnersUnavailable
from learners.learner import Learner
from learners.model import Features
from storage.archive import Archive

NAMESPACE: Final = "rewardloop"
CALL_TIMEOUT_S: Final = 2.0
"""An answer from memory takes a millisecond; after 2 s the caller is told to come back."""
PUSH_BYTES: Final = 90_000
"""Ray sends arguments of up to 100 kB with the call; larger ones take a detour over the object store."""
RESTART_PAUSE_S: Final = 1.0
"""A learner that fails as soon as it starts does not fill the log with its failures."""
MAX_PENDING: Final = 20_000
"""Entries kept for a learner that is slow or away. Beyond that it reads them from the log, which is faster."""

_log = structlog.get_logger()


def learner_name(index: int) -> str:
    """Return the name of a learner's actor."""
    return f"learner-{index:02d}"


class _LearnerShell:
    """What runs in the actor."""

    def __init__(
        self,
        index: int,
        learners: int,
        partitions: int,
        redis_url: str,
        checkpoint_interval_s: float,
        archive: str,
        segment_entries: int,
    ) -> None:
        self._title = f"Learner(slice={index}/{learners}, partitions={len(range(index, partitions, learners))})"
        own = range(index, partitions, learners)
        name = learner_name(index)
        self._learner = Learner(name, redis_url, own, checkpoint_interval_s, Archive(archive), segment_entries)
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return self._title

    async def run(self) -> None:
        """Follow the logs until stopped; a learner that was fenced off ends its actor for good.

        An error that nobody expects ends the process, and Ray starts another: an actor that lived on without
        following the log would answer from an ever older state.
        """
        try:
            await self._learner.run()
        except Exception:  # noqa: BLE001 - whatever it is, the process ends
            _log.exception("learner failed, starting anew from its checkpoint", learner=self._learner.name)
            await asyncio.sleep(RESTART_PAUSE_S)
            os._exit(1)
        if self._learner.fenced:
            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    async def push(self, batches: Mapping[int, Sequence[bytes]]) -> None:
        """Learn from committed entries, by partition."""
        await self._learner.push(batches)

    async def models(self, partition: int, tenant: str) -> list[ModelView]:
        """Return the tenant's models."""
        return self._learner.models(partition, tenant)

    async def model_state(
        self, partition: int, tenant: str, model_id: str, offer_id: str | None
    ) -> ModelState | None:
        """Return a model with its state by offer."""
        return self._learner.model_state(partition, tenant, model_id, offer_id)

    async def score(
        self, partition: int, tenant: str, model_id: str, features: Features, offers: Mapping[str, str | None]
    ) -> Scored | None:
        """Return what a model says of offers."""
        return self._learner.score(partition, tenant, model_id, features, offers)

    async def watch(
        self, partition: int, known: Mapping[ModelOf, Known], wait_s: float
    ) -> dict[ModelOf, Published]:
        """Return what is new of models."""
        return await self._learner.watch(partition, known, wait_s)

    async def status(self) -> LearnerStatus:
        """Return where the learner stands."""
        return self._learner.status()

    async def state(self, partition: int) -> bytes:
        """Return a shard's state as a checkpoint would hold it."""
        return self._learner.state(partition)

    async def stop(self) -> None:
        """Write a last checkpoint; return when it is written."""
        self._learner.stop()
        if self._task is not None:
            await self._task


class LearnerActor(_LearnerShell):
    """The actor's class: Ray runs its constructor inside the event loop, where the learner starts itself."""

    async def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        super().__init__(*args, **kwargs)
        self._task = asyncio.create_task(self.run())


def start_learners(learners: int, *args: Any) -> None:
    """Start the actors anew; those of an earlier run, which may hold older code, are ended first.

    Args:
        learners: how many there are.
        args: what each is made with, behind its index and their number.
    """
    for index in range(learners):
        name = learner_name(index)
        _kill(name)
        ray.remote(LearnerActor).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=-1,
            max_concurrency=1000,
            num_cpus=0,
        ).remote(index, learners, *args)


def stop_learners(learners: int, timeout_s: float = 5.0) -> None:
    """Have the actors write their last checkpoints, then end them."""
    handles = [handle for index in range(learners) if (handle := _find(learner_name(index))) is not None]
    ray.wait([handle.stop.remote() for handle in handles], num_returns=len(handles) or 1, timeout=timeout_s)
    for handle in handles:
        ray.kill(handle, no_restart=True)


def _find(name: str) -> Any:
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _kill(name: str) -> None:
    handle = _find(name)
    if handle is not None:
        ray.kill(handle, no_restart=True)


class RayLearners:
    """The learners as a replica reaches them."""

    def __init__(self, learners: int) -> None:
        self._feeds = [_Feed(learner_name(index)) for index in range(learners)]

    def push(self, partition: int, entries: Sequence[bytes]) -> None:
        """Hand over committed entries; they leave together with what else waits for that learner."""
        self._feed(partition).put(partition, entries)

    async def models(self, partition: int, tenant: str) -> list[ModelView]:
        """Return the tenant's models. Raises LearnersUnavailable."""
        views: list[ModelView] = await self._feed(partition).ask("models", partition, tenant)
        return views

    async def model_state(
        self, partition: int, tenant: str, model_id: str, offer_id: str | None
    ) -> ModelState | None:
        """Return a model with its state by offer, None if there is none. Raises LearnersUnavailable."""
        state: ModelState | None = await self._feed(partition).ask(
            "model_state", partition, tenant, model_id, offer_id
        )
        return state

    async def score(
        self, partition: int, tenant: str, model_id: str, features: Features, offers: Mapping[str, str | None]
    ) -> Scored | None:
        """Return what a model says of offers, None if there is none. Raises LearnersUnavailable."""
        scored: Scored | None = await self._feed(partition).ask(
            "score", partition, tenant, model_id, features, offers
        )
        return scored

    async def watch(
        self, partition: int, known: Mapping[ModelOf, Known], wait_s: float
    ) -> dict[ModelOf, Published]:
        """Return what is new of models. Raises LearnersUnavailable."""
        published: dict[ModelOf, Published] = await self._feed(partition).ask(
            "watch", partition, known, wait_s, timeout_s=wait_s + CALL_TIMEOUT_S
        )
        return published

    async def status(self) -> Sequence[LearnerStatus]:
        """Return where each learner stands. Raises LearnersUnavailable."""
        statuses: list[LearnerStatus] = await asyncio.gather(*(feed.ask("status") for feed in self._feeds))
        return statuses

    def _feed(self, partition: int) -> "_Feed":
        return self._feeds[partition % len(self._feeds)]


class _Feed:
    """One replica's line to one learner: one push under way, the rest waits and leaves together."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: Any = None
        self._pending: list[tuple[int, bytes]] = []
        self._sender: asyncio.Task[None] | None = None

    def put(self, partition: int, entries: Sequence[bytes]) -> None:
        """Send entries soon, or forget them all if too many wait: the learner reads the log then."""
        if len(self._pending) + len(entries) > MAX_PENDING:
            self._pending.clear()
            return
        self._pending += [(partition, entry) for entry in entries]
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())

    async def ask(self, method: str, *args: object, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Return the answer of one of the actor's methods. Raises LearnersUnavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                return await getattr(self._actor(), method).remote(*args)
        except LearnersUnavailable:
            raise
        except (RayError, TimeoutError) as error:
            self._forget(error)
            raise LearnersUnavailable(f"{self._name} is away") from error

    async def _send_all(self) -> None:
        try:
            while self._pending:
                batch = self._take()
                try:
                    await self._actor().push.remote(batch)
                except (RayError, LearnersUnavailable) as error:
                    self._forget(error)
                    self._pending.clear()  # it reads the log when it is back
        finally:
            self._sender = None

    def _take(self) -> dict[int, list[bytes]]:
        batch: dict[int, list[bytes]] = {}
        size = count = 0
        for partition, entry in self._pending:
            size += len(entry)
            if count and size > PUSH_BYTES:
                break
            batch.setdefault(partition, []).append(entry)
            count += 1
        del self._pending[:count]
        return batch

    def _actor(self) -> Any:
        if self._handle is None:
            try:
                self._handle = ray.get_actor(self._name, namespace=NAMESPACE)
            except ValueError as error:
                raise LearnersUnavailable(f"{self._name} is not there") from error
        return self._handle

    def _forget(self, error: Exception) -> None:
        if isinstance(error, ActorDiedError):  # it was replaced, not restarted: look its name up again
            self._handle = None
