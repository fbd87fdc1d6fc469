"""The learners in this process: for tests and for running the service without Ray."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
from learners.bandits import ModelView
from learners.learner import Learner
from learners.model import Features


class LocalLearners:
    """One learner for all partitions, behind the interface that the service uses."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self._pushes: set[asyncio.Task[None]] = set()

    def push(self, partition: int, entries: Sequence[bytes]) -> None:
        """Hand over committed entries."""
        task = asyncio.ensure_future(self.learner.push({partition: entries}))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def models(self, partition: int, tenant: str) -> list[ModelView]:
        """Return the tenant's models. Raises LearnersUnavailable."""
        return self.learner.models(partition, tenant)

    async def model_state(
        self, partition: int, tenant: str, model_id: str, offer_id: str | None
    ) -> ModelState | None:
        """Return a model with its state by offer, None if there is none. Raises LearnersUnavailable."""
        return self.learner.model_state(partition, tenant, model_id, offer_id)

    async def score(
        self, partition: int, tenant: str, model_id: str, features: Features, offers: Mapping[str, str | None]
    ) -> Scored | None:
        """Return what a model says of offers, None if there is none. Raises LearnersUnavailable."""
        return self.learner.score(partition, tenant, model_id, features, offers)

    async def watch(
        self, partition: int, known: Mapping[ModelOf, Known], wait_s: float
    ) -> dict[ModelOf, Published]:
        """Return what is new of models. Raises LearnersUnavailable."""
        return await self.learner.watch(partition, known, wait_s)

    async def status(self) -> Sequence[LearnerStatus]:
        """Return where the learner stands."""
        return [self.learner.status()]


@asynccontextmanager
async def local_learners(redis_url: str, partitions: int, **options: Any) -> AsyncIterator[LocalLearners]:
    """Run a learner for all partitions, made with `options`, while the block lasts."""
    learner = Learner("learner-local", redis_url, range(partitions), **options)
    running = asyncio.create_task(learner.run())
    try:
        yield LocalLearners(learner)
    finally:
        learner.stop()
        await running
