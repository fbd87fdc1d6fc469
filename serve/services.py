"""What the routes work with, opened once for a replica."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from serve.coalescer import Coalescer
from serve.gate import Gate
from serve.metrics import Metrics
from serve.tenancy import Directory
from storage import client

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from learners.bandits import ModelView
    from learners.learner import LearnerStatus, ModelState


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
    coalescer: Coalescer
    learners: Learners
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica is opened with; it is pickled to wherever the replica runs."""

    redis_url: str
    partitions: int
    pepper: bytes
    max_queued_commits: int
    labels: Mapping[str, str]


@asynccontextmanager
async def open_services(plan: Plan, learners: Learners) -> AsyncIterator[Services]:
    """Open the services in the running event loop, and close them when the block ends."""
    redis, reader = client.writer(plan.redis_url), client.reader(plan.redis_url)
    directory = Directory(reader, plan.partitions)
    coalescer = Coalescer(redis, learners.push, plan.max_queued_commits)
    metrics = Metrics(lambda: coalescer.waiting, plan.labels)
    gate = Gate(redis, directory, plan.pepper)
    try:
        yield Services(redis, reader, plan.partitions, plan.pepper, directory, gate, coalescer, learners, metrics)
    finally:
        await coalescer.close()
        await redis.aclose()
        await reader.aclose()
