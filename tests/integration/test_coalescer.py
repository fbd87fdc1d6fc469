"""The coalescer: what arrives together leaves together; what cannot leave is refused or told."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from serve.coalescer import FLUSH_ITEMS, Coalescer
from storage import client, config, keys, summaries, tenants
from storage.commit import Commit, Committed, commit
from storage.entry import Outcome, Resolution, pack, unpack_entry
from storage.errors import Overloaded, StorageUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def click(redis: Redis, partitions: int, tenant_id: str) -> tuple[int, Commit]:
    await tenants.create(redis, partitions, tenant_id, "T", 0)
    partition = keys.partition_of(tenant_id, partitions)
    version = (await config.read(redis, partition, tenant_id)).version
    body = Outcome(tenant_id, "int_1", "c1", "click", "positive", "inbound", delivery=False)
    resolution = Resolution("o1", "cr1", "ch1", None, None, "O", "C", "CH", None)
    made = Commit(
        tenant_id,
        version,
        "",
        0,
        b"",
        3_600_000,
        b"12345678",
        False,
        "c1",
        pack(body),
        pack(resolution),
        "",
        0,
        summaries.event("positive", "click", "inbound", delivery=False, days_kept=400),
    )
    return partition, made


def numbered(one: Commit, number: int) -> Commit:
    return replace(one, idempotency_digest=keys.idempotency_digest(one.tenant, str(number)))


class Counting:
    """A Redis client that counts round trips."""

    def __init__(self, redis: Redis) -> None:
        self._redis, self.trips = redis, 0

    async def evalsha(self, *args: Any) -> Any:
        self.trips += 1
        return await self._redis.evalsha(*args)

    async def eval(self, *args: Any) -> Any:
        return await self._redis.eval(*args)


async def test_concurrent_outcomes_share_round_trips(redis: Redis, click: tuple[int, Commit]) -> None:
    partition, one = click
    pushed: list[bytes] = []
    counting = Counting(redis)
    coalescer = Coalescer(counting, commit, lambda _, entries: pushed.extend(entries))  # type: ignore[arg-type]
    results = await asyncio.gather(*(coalescer.submit(partition, [numbered(one, i)]) for i in range(1000)))
    assert counting.trips == -(-1000 // FLUSH_ITEMS)
    positions = [result.position for [result] in results]
    assert positions == list(range(positions[0], positions[0] + 1000)), "in the order of their arrival"
    assert [unpack_entry(entry).position for entry in pushed] == positions, "and so the learners get them"
    assert coalescer.waiting == 0


async def test_only_what_was_recorded_is_pushed(redis: Redis, click: tuple[int, Commit]) -> None:
    partition, one = click
    pushed: list[bytes] = []
    coalescer = Coalescer(redis, commit, lambda _, entries: pushed.extend(entries))
    first = numbered(one, 1)
    await coalescer.submit(partition, [first, first, replace(numbered(one, 2), refused=True)])
    await coalescer.submit(partition, [first])
    assert len(pushed) == 1


async def test_a_full_queue_refuses_and_recovers(redis: Redis, click: tuple[int, Commit]) -> None:
    partition, one = click
    coalescer = Coalescer(redis, commit, lambda *_: None, max_waiting=20)
    answers = await asyncio.gather(
        *(coalescer.submit(partition, [numbered(one, i)]) for i in range(30)), return_exceptions=True
    )
    refused = [a for a in answers if isinstance(a, Overloaded)]
    assert len(refused) == 20, "half of the places are for others"
    assert len(await coalescer.submit(partition, [numbered(one, 99)])) == 1


async def test_whoever_sends_little_does_not_wait_behind_whoever_sends_much() -> None:
    flushed: list[tuple[int, int]] = []

    async def send(_: Redis, partition: int, items: Sequence[int]) -> list[Committed]:
        flushed.append((partition, len(items)))
        await asyncio.sleep(0)
        return [Committed("limited", 0, b"", b"", 0, 0)] * len(items)

    coalescer: Coalescer[int] = Coalescer(None, send, lambda *_: None)  # type: ignore[arg-type]  # no Redis is asked
    much = [asyncio.create_task(coalescer.submit(1, [0])) for _ in range(10 * FLUSH_ITEMS)]
    await asyncio.sleep(0)
    little = asyncio.create_task(coalescer.submit(2, [0]))
    await little
    assert sum(one.done() for one in much) <= 2 * FLUSH_ITEMS
    assert all(len(one) == 1 for one in await asyncio.gather(*much))
    assert sum(count for partition, count in flushed if partition == 1) == 10 * FLUSH_ITEMS


async def test_storage_being_away_is_told_to_everyone_who_waits(click: tuple[int, Commit]) -> None:
    partition, one = click
    async with client.writer("unix:///nowhere.sock") as nowhere:
        coalescer = Coalescer(nowhere, commit, lambda *_: None)
        answers = await asyncio.gather(
            *(coalescer.submit(partition, [numbered(one, i)]) for i in range(5)), return_exceptions=True
        )
        assert all(isinstance(answer, StorageUnavailable) for answer in answers)
        assert coalescer.waiting == 0


async def test_a_caller_that_goes_away_disturbs_nobody(redis: Redis, click: tuple[int, Commit]) -> None:
    partition, one = click
    coalescer = Coalescer(redis, commit, lambda *_: None)
    gone = asyncio.create_task(coalescer.submit(partition, [numbered(one, 1)]))
    stays = asyncio.create_task(coalescer.submit(partition, [numbered(one, 2)]))
    await asyncio.sleep(0)
    gone.cancel()
    [result] = await stays
    assert result.status == "recorded"
    await coalescer.close()
