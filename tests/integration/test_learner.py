"""A learner on a real log: pushes, gaps, restarts, and a zombie with an old epoch."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from learners.errors import LearnersUnavailable
from learners.learner import Learner
from learners.shard import fold_log
from storage import checkpoints, commit, config, keys, log, tenants
from storage.commit import Commit
from storage.embedded import EmbeddedRedis
from storage.entry import Outcome, Resolution, pack

pytestmark = pytest.mark.anyio

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
            counter="p",
        )

    async def fold(self) -> bytes:
        """Return the state that the whole log makes."""
        return fold_log(self.partition, [await log.read(self.redis, self.partition, 0, count=1_000_000)]).state()


@pytest.fixture
async def source(redis: Redis, partitions: int, tenant_id: str) -> Source:
    await tenants.create(redis, partitions, tenant_id, "T", 0)
    partition = keys.partition_of(tenant_id, partitions)
    return Source(redis, tenant_id, partition, (await config.read(redis, partition, tenant_id)).version)


@asynccontextmanager
async def learning(server: EmbeddedRedis, partition: int, interval_s: float = 0.05) -> AsyncIterator[Learner]:
    learner = Learner("learner-test", server.url, [partition], interval_s)
    task = asyncio.create_task(learner.run())
    try:
        await until(lambda: learner.status().lag_ms < 1000)
        yield learner
    finally:
        learner.stop()
        await task


async def until(true: Callable[[], bool], deadline_s: float = 20.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def pulls(learner: Learner, source: Source) -> int:
    state = learner.model_state(source.partition, source.tenant, tenants.DEFAULT_MODEL_ID, "o1")
    assert state is not None
    return sum(arm["pulls"] for arm in state["data"])


async def test_pushes_in_any_order_and_number_are_learned_once(redis_server: EmbeddedRedis, source: Source) -> None:
    async with learning(redis_server, source.partition) as learner:
        first, second, third = [await source.commit(5) for _ in range(3)]
        for batch in (third, first, first, second, third, []):
            await learner.push({source.partition: batch})
        assert pulls(learner, source) == 15
        assert learner.state(source.partition) == await source.fold()


async def test_what_no_push_brought_is_read_from_the_log(redis_server: EmbeddedRedis, source: Source) -> None:
    async with learning(redis_server, source.partition) as learner:
        await source.commit(7)
        await until(lambda: pulls(learner, source) == 7)


async def test_a_restarted_learner_goes_on_from_its_checkpoint(redis_server: EmbeddedRedis, source: Source) -> None:
    async with learning(redis_server, source.partition):
        await source.commit(10)
    saved = await source.redis.get(keys.checkpoint_key(source.partition))
    assert saved == await source.fold(), "the last checkpoint is written on the way out"
    await source.commit(5)
    async with learning(redis_server, source.partition) as learner:
        assert pulls(learner, source) == 15
        assert learner.state(source.partition) == await source.fold()


async def test_a_zombie_writes_nothing_and_stops(redis_server: EmbeddedRedis, source: Source) -> None:
    async with learning(redis_server, source.partition) as zombie:
        await source.commit(3)
        await until(lambda: pulls(zombie, source) == 3)
        successor = await checkpoints.take(source.redis, source.partition)
        await checkpoints.write(source.redis, successor, b"the successor's")
        await source.commit(1)
        await until(lambda: zombie.fenced)
        assert await source.redis.get(keys.checkpoint_key(source.partition)) == b"the successor's"
        with pytest.raises(LearnersUnavailable, match="fenced off"):
            zombie.model_state(source.partition, source.tenant, tenants.DEFAULT_MODEL_ID, None)
    await source.redis.delete(keys.checkpoint_key(source.partition))


async def test_a_learner_waits_for_redis_instead_of_dying(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = EmbeddedRedis(tmp_path_factory.mktemp("late"))
    learner = Learner("learner-late", server.url, range(4))
    task = asyncio.create_task(learner.run())
    with pytest.raises(LearnersUnavailable, match="starting"):
        learner.models(0, "t")
    server.start()
    await until(lambda: learner.status().lag_ms < 1000)
    server.stop()
    learner.stop()
    await task
