"""A tenant that outcomes can be committed for, without HTTP."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from redis.asyncio import Redis

from learners.learner import Learner
from learners.shard import fold_log
from storage import commit, config, keys, log, summaries, tenants
from storage.commit import Commit
from storage.entry import ModelChange, Outcome, Resolution, pack
from storage.redis_cluster import ClusterClient

RESOLUTION = pack(Resolution("o1", "cr1", "ch1", None, None, "Offer", "Creative", "Channel", None))


class Source:
    """A tenant that outcomes can be committed for, in a partition of its own learner."""

    def __init__(self, redis: Redis, tenant: str, partition: int, version: int) -> None:
        self.redis, self.tenant, self.partition, self.version = redis, tenant, partition, version
        self._sent = 0

    async def commit(self, count: int) -> list[bytes]:
        """Commit `count` clicks and return their entries."""
        made = [self._click(self._sent + i) for i in range(count)]
        self._sent += count
        results = await commit.commit(self.redis, self.partition, made)
        assert {one.status for one in results} == {"recorded"}
        return [one.entry for one in results]

    async def change(self, body: ModelChange) -> None:
        """Have the log tell of a change of models."""
        write = config.Write("test", body.model_id, None, {})
        await config.write(self.redis, self.partition, self.tenant, [write], [body])
        self.version = (await config.read(self.redis, self.partition, self.tenant)).version

    def _click(self, number: int) -> Commit:
        body = Outcome(self.tenant, f"int_{number}", "c1", "click", "positive", "inbound", delivery=False)
        return Commit(
            tenant=self.tenant,
            config_version=self.version,
            route="",
            limit=0,
            idempotency_digest=keys.idempotency_digest(self.tenant, str(number)),
            idempotency_ttl_ms=3_600_000,
            fingerprint=b"12345678",
            refused=False,
            customer_id="c1",
            body=pack(body),
            resolution=RESOLUTION,
            recommendation_id="",
            rank=0,
            event=summaries.event("positive", "click", "inbound", delivery=False, days_kept=400),
        )

    async def fold(self) -> bytes:
        """Return the state that the whole log makes."""
        return fold_log(self.partition, [await log.read(self.redis, self.partition, 0, count=1_000_000)]).state()


async def until(true: Callable[[], bool], deadline_s: float = 20.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def pulls(learner: Learner, source: Source, model: str = tenants.DEFAULT_MODEL_ID) -> int:
    state = learner.model_state(source.partition, source.tenant, model, "o1")
    assert state is not None
    return sum(arm["pulls"] for arm in state["data"])


async def names(redis: Redis, pattern: str = "*") -> set[bytes]:
    """Return the keys of all nodes that match."""
    if isinstance(redis, ClusterClient):
        found = await redis.everywhere(partial(names, pattern=pattern))
        return set[bytes]().union(*found.values())
    return {bytes(name) for name in await redis.keys(pattern)}  # type: ignore[arg-type]  # redis-py's: or text
