"""A primary of Redis dies by kill -9: what is lost with no replica waited for, and that nothing is with one.

By Sentinel and in a cluster, with real servers, the whole application and a learner in this process.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from anyio import to_thread
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from learners.shard import fold_log
from storage import checkpoints, client, durability, installation, keys, log, recommendations, replicas, tenants
from storage.errors import StorageUnavailable
from storage.recommendations import Recommendation
from storage.redis_cluster import slot_of
from tests.cluster.test_redis_acl import SECRET, advised
from tests.integration.conftest import Api, recorded
from tests.redis_ha import Cluster, Watched, cluster, watched, with_replica
from tests.service import until

pytestmark = pytest.mark.anyio

LOAD: Final = 400
KILL_AFTER: Final = 150
SENDERS: Final = 16
DEADLINE_S: Final = 60.0
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A primary and a replica that a Sentinel watches; or a cluster, whose first primary has a replica."""
    folder = tmp_path_factory.mktemp(request.param)
    with watched(folder) if request.param == "sentinel" else cluster(folder, 3, 1) as running:
        yield running


@pytest.fixture
def redis_replicas() -> int:
    """Waited for where a test does not say otherwise, whatever --redis says."""
    return 0


@pytest.fixture
async def redis(redis_server: Watched | Cluster) -> AsyncIterator[Redis]:
    """The test's own client waits for no replica: in the cluster one primary alone has one."""
    async with client.writer(redis_server.url) as connected:
        yield connected


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to those servers."""
    return str(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def tenant_id(redis_server: Watched | Cluster) -> str:
    """A tenant whose partition has a replica."""
    names = (f"f{number}" for number in _numbers)
    return next(name for name in names if redis_server.replica(slot(keys.partition_of(name, 64))) is not None)


def slot(partition: int) -> int:
    return slot_of(keys.prefix(partition))


async def replicated(api: Api, servers: Watched | Cluster) -> None:
    """Wait until the replica has all that the primary has."""
    primary, replica = servers.primary(slot(api.partition)), servers.replica(slot(api.partition))
    assert replica is not None
    async with asyncio.timeout(DEADLINE_S):
        while replica.info()["slave_repl_offset"] < primary.info()["master_repl_offset"]:
            await asyncio.sleep(0.01)


async def acknowledged(api: Api, key: str) -> tuple[int, str]:
    """Send an outcome until it is acknowledged; return the status and the interaction's id."""
    deadline = time.monotonic() + DEADLINE_S
    while (answer := await api.respond(key)).status_code not in (200, 201):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return answer.status_code, answer.json()["interactionId"]


async def reconnected(api: Api) -> None:
    """Have the test's own client, which is not the service's, find the new primary."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(StorageUnavailable):
                await log.heads(api.redis, [api.partition])
                return
            await asyncio.sleep(0.05)


async def the_learner_is_what_the_log_makes(api: Api, pulls: int) -> None:
    """Wait until the learner is at the end of the log, with the state that a fold of this log has, to the byte."""
    learner = api.learners.learner
    async with asyncio.timeout(DEADLINE_S):
        while True:
            entries = await log.read(api.redis, api.partition, 0, count=100_000)
            if learner.state(api.partition) == fold_log(api.partition, [entries]).state():
                break
            await asyncio.sleep(0.05)
    state = learner.model_state(api.partition, api.tenant, "model_default", "o1")
    assert state is not None
    assert sum(arm["pulls"] for arm in state["data"]) == pulls


@pytest.mark.parametrize("redis_server", ["cluster"], indirect=True)  # a Sentinel takes ten seconds for it
async def test_a_primary_that_is_made_a_replica_is_left(api: Api, redis_server: Cluster) -> None:
    at = slot(api.partition)
    before = redis_server.primary(at)
    await to_thread.run_sync(redis_server.hand_over, at)
    number = 0
    async with asyncio.timeout(DEADLINE_S):
        while redis_server.owner(at) in (None, before) or (await api.respond(f"k{number}")).status_code != 201:
            number += 1
            await asyncio.sleep(0.02)
    _, interaction = await acknowledged(api, f"k{number}")
    assert redis_server.primary(at).ask("ROLE")[0] == b"master"
    await reconnected(api)
    assert (await recorded(api))[-1] == interaction
    follows = lambda: redis_server.primary(at).info()["connected_slaves"] == 1  # noqa: E731
    await to_thread.run_sync(until, follows, DEADLINE_S, "the other follows")


async def test_without_a_replica_to_wait_for_what_was_not_sent_yet_is_lost(
    api: Api, redis_server: Watched | Cluster
) -> None:
    """And only that: the service goes on from what the new primary has, learners and configuration too."""
    at = slot(api.partition)
    replica = redis_server.replica(at)
    assert replica is not None
    _, kept = await acknowledged(api, "kept")
    await replicated(api, redis_server)
    await to_thread.run_sync(replica.cut_off)
    changed = {"holdoutPercent": 50}
    assert (await api.put("/settings", changed)).status_code == 200
    answers = [await api.respond(f"lost-{number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [201] * 5, "all are acknowledged"
    await the_learner_is_what_the_log_makes(api, 6)

    dead = await to_thread.run_sync(redis_server.fail_over, at)
    await to_thread.run_sync(replica.may_join)
    status, after = await acknowledged(api, "after")
    assert status == 201
    await reconnected(api)
    assert await recorded(api) == [kept, after], "what was acknowledged is gone, its positions belong to others"
    assert (await api.get("/settings")).json()["holdoutPercent"] == 0
    await the_learner_is_what_the_log_makes(api, 2)
    assert (await acknowledged(api, "kept"))[0] == 200
    status, again = await acknowledged(api, "lost-0")
    assert status == 201, "the caller that repeats mends it"
    assert await recorded(api) == [kept, after, again]
    await the_learner_is_what_the_log_makes(api, 3)
    await to_thread.run_sync(redis_server.revive, dead)


@pytest.mark.parametrize("redis_replicas", [1])
async def test_with_one_replica_waited_for_nothing_acknowledged_is_lost(
    api: Api, redis_server: Watched | Cluster
) -> None:
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 100_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    seen: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    queue = [f"key-{number}" for number in range(LOAD)]
    killed: list[asyncio.Task[Any]] = []

    def kill_and_revive() -> None:
        redis_server.revive(redis_server.fail_over(slot(api.partition)))

    async def send() -> None:
        while queue:
            key = queue.pop()
            while key not in seen:
                answer = await api.respond(key)
                statuses[answer.status_code] += 1
                if answer.status_code in (200, 201):
                    seen[key] = answer.json()["interactionId"]
                else:
                    await asyncio.sleep(0.05)
            if not killed and len(seen) >= KILL_AFTER:
                killed.append(asyncio.create_task(to_thread.run_sync(kill_and_revive)))

    async with asyncio.timeout(2 * DEADLINE_S):
        await asyncio.gather(*(send() for _ in range(SENDERS)))
        await asyncio.gather(*killed)
    await reconnected(api)
    assert set(statuses) <= {200, 201, 503}
    assert statuses[503], "callers were asked to come back"
    logged = await recorded(api)
    assert len(logged) == len(set(logged)) == len(seen) == LOAD
    assert set(logged) == set(seen.values()), "each acknowledgement is in the log, once"
    await the_learner_is_what_the_log_makes(api, LOAD)


@pytest.mark.parametrize("redis_replicas", [1])
async def test_what_too_few_replicas_have_is_not_acknowledged_and_neither_is_its_repetition(
    api: Api, redis_server: Watched | Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "WAIT_MS", 300)
    replica = redis_server.replica(slot(api.partition))
    assert replica is not None
    await to_thread.run_sync(replica.cut_off)
    for status in (503, 503):
        answer = await api.respond("k")
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "1")
    bulk = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k"}
    assert (await api.post("/respond/bulk", {"outcomes": [bulk]})).status_code == 503
    asked = await api.post("/recommend", {"customerId": "c1", "channel": "ch1", "limit": 1})
    assert asked.status_code == 503
    assert (await api.put("/settings", {"holdoutPercent": 1})).status_code == 503
    [interaction] = await recorded(api)
    await to_thread.run_sync(replica.join_again)
    assert await acknowledged(api, "k") == (200, interaction)


async def test_a_replica_refuses_as_storage_that_is_away_and_the_connection_is_not_kept(tmp_path: Any) -> None:
    with with_replica(tmp_path) as (primary, replica):
        async with client.writer(primary.url) as redis:
            await redis.set("k", b"1")
            own = await redis.client_id()
            primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))

            with pytest.raises(StorageUnavailable, match="primary no more"):
                await checkpoints.take(redis, 0)
            primary.ask("REPLICAOF", "NO", "ONE")
            assert (await checkpoints.take(redis, 0)).epoch == 1
            assert await redis.client_id() != own


async def test_the_advised_user_may_wait_for_replicas(tmp_path: Any) -> None:
    with with_replica(tmp_path) as (primary, _):
        primary.ask(*advised(), "+wait")
        async with client.writer(f"redis://rewardloop:{SECRET}@127.0.0.1:{primary.port}/0", 1) as redis:
            partitions = await installation.ensure(redis, None)
            await tenants.create(redis, partitions, "t", "T", 0)
            assert await durability.doubts(redis, 1) == [
                "it could not be checked whether Redis may lose acknowledged outcomes: CONFIG GET is refused"
            ]


async def test_the_start_tells_of_replicas_that_nobody_waits_for_and_of_those_that_are_not_there(
    tmp_path: Any,
) -> None:
    with with_replica(tmp_path, **{"aof-load-truncated": "no", "maxmemory-policy": "noeviction"}) as (primary, _):
        async with client.reader(primary.url) as redis:
            assert await durability.doubts(redis, 1) == []
            [alone] = await durability.doubts(redis, 0)
            [missing] = await durability.doubts(redis, 2)
    assert alone == "Redis may lose acknowledged outcomes in a fail-over: no replica is waited for"
    assert missing == "nothing can be recorded: 2 replicas are waited for, and 1 are connected"


async def test_waiting_takes_no_round_trip_of_its_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    send = AbstractConnection.send_packed_command

    async def counted(self: AbstractConnection, command: Any, check_health: bool = True) -> None:  # noqa: FBT002
        sent.append(command)
        await send(self, command, check_health)

    with with_replica(tmp_path) as (primary, _):
        async with client.writer(primary.url, 1) as redis:
            made = Recommendation("r1", "c1", {}, [], b"digest")
            assert await recommendations.register(redis, 0, "t", made, 60_000) == "created"
            monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
            assert await recommendations.register(redis, 0, "t", made, 60_000) == "repeated"
            assert len(sent) == 1
            assert b"WAIT" in b"".join(sent[0])
