"""A learner on a real log: pushes, gaps, restarts, and a zombie with an old epoch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from learners.errors import LearnersUnavailable
from learners.learner import Learner
from storage import checkpoints, keys, tenants
from storage.embedded import EmbeddedRedis
from tests.conftest import RedisServer
from tests.integration.source import Source, pulls, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def learning(server: RedisServer, partition: int, interval_s: float = 0.05) -> AsyncIterator[Learner]:
    learner = Learner("learner-test", server.url, [partition], interval_s)
    task = asyncio.create_task(learner.run())
    try:
        await until(lambda: learner.status().lag_ms < 1000)
        yield learner
    finally:
        learner.stop()
        await task


async def test_pushes_in_any_order_and_number_are_learned_once(redis_server: RedisServer, source: Source) -> None:
    async with learning(redis_server, source.partition) as learner:
        first, second, third = [await source.commit(5) for _ in range(3)]
        for batch in (third, first, first, second, third, []):
            await learner.push({source.partition: batch})
        assert pulls(learner, source) == 15
        assert learner.state(source.partition) == await source.fold()


async def test_what_no_push_brought_is_read_from_the_log(redis_server: RedisServer, source: Source) -> None:
    async with learning(redis_server, source.partition) as learner:
        await source.commit(7)
        await until(lambda: pulls(learner, source) == 7)


async def test_a_restarted_learner_goes_on_from_its_checkpoint(redis_server: RedisServer, source: Source) -> None:
    async with learning(redis_server, source.partition):
        await source.commit(10)
    saved = await source.redis.get(keys.checkpoint_key(source.partition))
    assert saved == await source.fold(), "the last checkpoint is written on the way out"
    await source.commit(5)
    async with learning(redis_server, source.partition) as learner:
        assert pulls(learner, source) == 15
        assert learner.state(source.partition) == await source.fold()


async def test_a_zombie_writes_nothing_and_stops(redis_server: RedisServer, source: Source) -> None:
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
