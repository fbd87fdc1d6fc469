"""The learners as Ray actors: the thin shell around `Learner`. How replicas reach them: `learners.remote`.

Each actor is named `learner-NN`, detached and restarted for ever. A restarted one takes the next epoch, restores
its checkpoint and reads the rest from the log; nobody has to tell it.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray.util import metrics
from threadpoolctl import threadpool_limits

from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
from learners.bandits import ModelView
from learners.display import Display
from learners.gauges import Gauges
from learners.learner import Learner
from learners.model import Features
from storage.archive import Archive
from storage.logs import get_logger

NAMESPACE: Final = "rewardloop"
RESTART_PAUSE_S: Final = 1.0
"""A learner that fails as soon as it starts does not fill the log with its failures."""

_log = get_logger()


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
        offer_gauges: bool,  # noqa: FBT001 - handed through Ray in order
    ) -> None:
        threadpool_limits(1)  # a matrix product must round the same wherever the log is replayed
        self._title = f"Learner(slice={index}/{learners}, partitions={len(range(index, partitions, learners))})"
        own = range(index, partitions, learners)
        name = learner_name(index)
        self._learner = Learner(name, redis_url, own, checkpoint_interval_s, Archive(archive), segment_entries)
        self._gauges = Gauges(metrics, name, offers=offer_gauges)
        self._snapshots = 0
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

    async def show(self) -> None:
        """Keep state files and gauges up to date; whatever goes wrong there, the learner goes on."""
        try:
            await Display(self._learner, _logs_dir() / "learners", self._gauges, self._counts).run()
        except Exception:  # noqa: BLE001 - whatever it is, it is told
            _log.exception("the learner is shown no more", learner=self._learner.name)

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
        published = await self._learner.watch(partition, known, wait_s)
        self._snapshots += sum(one.snapshot is not None for one in published.values())
        return published

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

    def _counts(self) -> Mapping[str, int]:
        outcomes = sum(shard.outcomes for shard in self._learner.shards.values())
        return {"outcomes": outcomes, "snapshots": self._snapshots}


class LearnerActor(_LearnerShell):
    """The actor's class: Ray runs its constructor inside the event loop, where the learner starts itself."""

    async def __init__(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc]  # Ray awaits it
        super().__init__(*args, **kwargs)
        self._task = asyncio.create_task(self.run())
        self._showing = asyncio.create_task(self.show())


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


def _logs_dir() -> Path:
    context = ray.get_runtime_context()
    return Path(context.get_temp_dir()) / context.get_session_name() / "logs"


def _find(name: str) -> Any:
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


def _kill(name: str) -> None:
    handle = _find(name)
    if handle is not None:
        ray.kill(handle, no_restart=True)
