"""What the routes work with, opened once for a replica."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from learners.snapshots import Snapshots
from serve.coalescer import Coalescer
from serve.console.dashboard import Dashboard
from serve.gate import Gate
from serve.metrics import Metrics
from serve.plan import Plan
from serve.tenancy import Directory
from storage import client
from storage.archive import Archive
from storage.commit import commit
from storage.decisions import decide
from storage.past import PastEntries

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
    from learners.bandits import ModelView
    from learners.model import Features
    from storage.commit import Commit
    from storage.decisions import Deciding


class Learners(Protocol):
    """The learners as the service sees them, whether in actors or in this process."""

    def push(self, partition: int, entries: Sequence[bytes]) -> None:
        """Hand over committed entries. Nothing is lost if they do not arrive: learners read the log."""

    async def models(self, partition: int, tenant: str) -> "list[ModelView]":
        """Return the tenant's models. Raises LearnersUnavailable."""

    async def model_state(
        self, partition: int, tenant: str, model_id: str, offer_id: str | None
    ) -> "ModelState | None":
        """Return a model with its state by offer, None if there is none. Raises LearnersUnavailable."""

    async def score(
        self, partition: int, tenant: str, model_id: str, features: "Features", offers: Mapping[str, str | None]
    ) -> "Scored | None":
        """Return what a model says of offers (id → category), None if there is none. Raises LearnersUnavailable."""

    async def watch(
        self, partition: int, known: "Mapping[ModelOf, Known]", wait_s: float
    ) -> "Mapping[ModelOf, Published]":
        """Return what is new of models. Raises LearnersUnavailable."""

    async def status(self) -> "Sequence[LearnerStatus]":
        """Return where each learner stands. Raises LearnersUnavailable."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need."""

    redis: "Redis"
    reader: "Redis"
    partitions: int
    pepper: bytes
    directory: Directory
    gate: Gate
    coalescer: "Coalescer[Commit]"
    decisions: "Coalescer[Deciding]"
    learners: Learners
    snapshots: Snapshots
    archive: Archive
    past: PastEntries
    metrics: Metrics
    rng: np.random.Generator
    """Of this replica alone: which of a policy's orders is shown."""
    dashboard: Dashboard | None


@asynccontextmanager
async def open_services(plan: Plan, learners: Learners) -> AsyncIterator[Services]:
    """Open the services in the running event loop, and close them when the block ends."""
    redis, reader = client.writer(plan.redis_url, plan.redis_replicas), client.reader(plan.redis_url)
    directory = Directory(reader, plan.partitions)
    coalescer = Coalescer(redis, commit, learners.push, plan.max_queued_commits)
    decisions = Coalescer(redis, decide, learners.push, plan.max_queued_commits)
    snapshots = Snapshots(learners.watch)
    metrics = Metrics(lambda: coalescer.waiting + decisions.waiting, plan.labels)
    gate = Gate(redis, directory, plan.pepper)
    archive = Archive(plan.archive)
    try:
        yield Services(
            redis,
            reader,
            plan.partitions,
            plan.pepper,
            directory,
            gate,
            coalescer,
            decisions,
            learners,
            snapshots,
            archive,
            PastEntries(archive),
            metrics,
            np.random.default_rng(),
            plan.dashboard,
        )
    finally:
        await snapshots.close()
        await coalescer.close()
        await decisions.close()
        await redis.aclose()
        await reader.aclose()
