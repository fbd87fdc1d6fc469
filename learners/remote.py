"""The learners as a replica reaches them: calls that answer or say that the learner is away, and pushes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import ray
from ray.exceptions import ActorDiedError, RayError

from learners.actor import NAMESPACE, learner_name
from learners.answers import Known, LearnerStatus, ModelOf, ModelState, Published, Scored
from learners.bandits import ModelView
from learners.errors import LearnersUnavailable
from learners.model import Features

CALL_TIMEOUT_S: Final = 2.0
"""An answer from memory takes a millisecond; after 2 s the caller is told to come back."""
PUSH_BYTES: Final = 90_000
"""Ray sends arguments of up to 100 kB with the call; larger ones take a detour over the object store."""
PUSH_INTERVAL_S: Final = 0.01
"""Between two pushes to a learner: a call of Ray costs more than what a few entries teach."""
MAX_PENDING: Final = 20_000
"""Entries kept for a learner that is slow or away. Beyond that it reads them from the log, which is faster."""


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
    """One replica's line to one learner: a push now and then, what comes meanwhile leaves together."""

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
                pause = None if self._pending else asyncio.create_task(asyncio.sleep(PUSH_INTERVAL_S))
                try:
                    await self._actor().push.remote(batch)
                except (RayError, LearnersUnavailable) as error:
                    self._forget(error)
                    self._pending.clear()  # it reads the log when it is back
                if pause is not None:
                    await pause
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
