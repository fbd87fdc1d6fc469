"""Erasure: afterwards nothing, anywhere, names the customer, and the models are what they were."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from learners import learner
from learners.bandits import BanditFold
from storage import checkpoints, erasure, history, keys, log, recounting
from storage.archive import Archive
from storage.entry import Decision, Entry, Outcome, pack_entry
from storage.erased import Customer
from storage.errors import StorageUnavailable
from storage.redis_cluster import ClusterClient
from tests.conftest import RedisIn, RedisServer
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

ODD = ["plain-customer", "a*[b]?c", "{p01}:x:y", "ключ\x00é\n", "%s/../..", "t\\1"]


@pytest.fixture(scope="module")
def redis_server(redis_in: RedisIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this module's own: all of it is searched."""
    with redis_in(tmp_path_factory.mktemp("erased")) as running:
        yield running


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to that Redis."""
    return str(tmp_path_factory.mktemp("archive"))


@pytest.fixture(autouse=True)
def archiving_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "ARCHIVE_INTERVAL_S", 0.1)


async def everything(redis: Redis) -> dict[bytes, bytes]:
    """Return all that Redis holds, by key, as one text each."""
    held: dict[bytes, bytes] = {}
    if isinstance(redis, ClusterClient):
        for part in (await redis.everywhere(everything)).values():
            held |= part
        return held
    async for name in redis.scan_iter(count=1000):
        kind = await redis.type(name)
        found: Any
        match kind:
            case b"hash":
                found = [part for pair in (await redis.hgetall(name)).items() for part in pair]
            case b"list":
                found = await redis.lrange(name, 0, -1)
            case b"set":
                found = await redis.smembers(name)
            case b"zset":
                found = await redis.zrange(name, 0, -1)
            case b"stream":
                rows: Any = await redis.xrange(name)
                found = [part for _, fields in rows for part in fields.values()]
            case _:
                found = [await redis.get(name) or b""]  # it may have expired
        held[name] = b"\n".join(found)
    return held


def in_archive(archive: str, partition: int, tenant: str) -> dict[int, bytes]:
    place = Archive(archive)
    files = place.files(partition, tenant)
    return {position: raw for file in files for position, raw in place.raw_entries(file).items()}


def held(archive: str, api: Api) -> bytes:
    """Return all that the archive holds of the tenant as one text."""
    return b"".join(in_archive(archive, api.partition, api.tenant).values())


async def entries_of(api: Api, archive: str) -> list[Entry]:
    """Return the tenant's entries, from archive and Redis."""
    [end] = await log.heads(api.redis, [api.partition])
    segments = [one async for one in history.follow(api.redis, Archive(archive), api.partition, 0, end)]
    return [entry for one in segments for entry in one.entries if entry.body.tenant == api.tenant]


async def settled(api: Api) -> None:
    """Wait until what is closed is archived and the learner has caught up."""
    [end] = await log.heads(api.redis, [api.partition])
    async with asyncio.timeout(20):
        while await checkpoints.archived(api.redis, api.partition) <= end - 5 or await _learned(api) < end:
            await asyncio.sleep(0.02)


async def _learned(api: Api) -> int:
    return dict((await api.learners.status())[0].positions).get(api.partition, 0)


async def traffic(api: Api, customers: list[str]) -> None:
    """Make every kind of record for each customer."""
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 100_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    await api.put("/channels/ch1", {"impressionMode": "implicit"})
    metric = {"name": "m", "aggregateFunction": "count", "groupByDimensions": ["customerId"]}
    assert (await api.post("/behavioral-metrics", metric)).status_code in {201, 409}
    experiment = {"key": "x", "status": "active", "championModelId": "model_default", "holdoutPercent": 10}
    await api.post("/experiments", {**experiment, "trafficSplit": {"championPct": 100}})
    for n, customer in enumerate(customers):
        decided = (await api.post("/recommend", {"customerId": customer, "context": {"name": customer}})).json()
        for rank, outcome in ((1, "click"), (2, "purchase")):
            body = {
                "customerId": customer,
                "recommendationId": decided["recommendationId"],
                "rank": rank,
                "creativeId": ...,
                "context": {"mail": customer},
                "outcomeDetails": {"who": customer},
                "interactionId": customer,
                "conversionValue": 5,
                "attributes": {"tier": "gold"},
                "timestamp": "2026-01-15T10:00:00Z" if rank == 2 else ...,
            }
            answer = await api.respond(f"{customer}-{n}-{rank}", outcome=outcome, **body)
            assert answer.status_code == 201, answer.text
        registered = {"customerId": customer, "decisions": [{"rank": 1, "creativeId": "cr1"}]}
        assert (await api.put(f"/recommendations/reg{n}", registered)).status_code in {200, 201}


async def erase(api: Api, customer: str) -> dict[str, Any]:
    answer = await api.post("/gdpr/erasure", {"customerId": customer})
    assert answer.status_code == 200, answer.text
    erased: dict[str, Any] = answer.json()
    return erased


def learned(entries: list[Entry]) -> Any:
    """Return the state of all models that the entries make."""
    fold = BanditFold()
    fold.apply(entries)
    return fold.state()


async def nowhere(api: Api, archive: str, customer: str) -> None:
    wanted = customer.encode()
    for name, held in (await everything(api.redis)).items():
        assert wanted not in name, name
        assert wanted not in held, name
    for position, raw in in_archive(archive, api.partition, api.tenant).items():
        assert wanted not in raw, position


@pytest.mark.parametrize("segment_entries", [5])
@pytest.mark.parametrize("customer", ODD)
async def test_nothing_names_the_customer_any_more(api: Api, archive: str, customer: str) -> None:
    others = ["someone else", "another"]
    await traffic(api, [*others, customer, *others])
    await settled(api)
    before = await entries_of(api, archive)
    state = await api.learners.model_state(api.partition, api.tenant, "model_default", None)
    assert customer.encode() in held(archive, api)
    erased = await erase(api, customer)
    assert erased["deleted"]["summaries"] >= 2
    assert (erased["deleted"]["history"], erased["deleted"]["recommendations"]) == (1, 2)
    assert erased["pseudonymised"]["archive"] > 0
    await nowhere(api, archive, customer)
    await settled(api)
    after = await entries_of(api, archive)
    assert [entry.position for entry in after] == [entry.position for entry in before]
    changed = 0
    for old, new in zip(before, after, strict=True):
        if isinstance(old.body, Outcome | Decision) and old.body.customer_id == customer:
            changed += 1
            assert isinstance(new.body, Outcome | Decision)
            assert new.body.customer_id == erased["pseudonym"]
            assert new.resolution == old.resolution
            assert new.learning_features == old.learning_features
        else:
            assert pack_entry(new) == pack_entry(old)
    assert changed == 3
    assert learned(after) == learned(before)
    assert await api.learners.model_state(api.partition, api.tenant, "model_default", None) == state
    again = await erase(api, customer)
    assert set(again["deleted"].values()) | set(again["pseudonymised"].values()) == {0}
    row = (await api.get("/audit-logs", params={"limit": 2})).json()["data"][1]
    assert (row["action"], row["entityType"], row["entityId"]) == ("erase", "customer", erased["pseudonym"])
    assert (await api.get("/audit-logs/verify")).json()["intact"] is True
    assert (await api.get("/interaction-history", params={"customerId": customer})).json()["data"] == []
    assert (await api.get("/interaction-history", params={"customerId": "another"})).json()["data"] != []


async def test_commits_go_on_and_none_is_lost(api: Api, archive: str) -> None:
    await traffic(api, ["1", "2"])
    stop, sent = asyncio.Event(), 0

    async def respond(customer: str) -> None:
        nonlocal sent
        while not stop.is_set():
            answer = await api.respond(f"go-{sent}-{customer}", customerId=customer)
            sent += answer.status_code == 201
            await asyncio.sleep(0.02 if customer == "1" else 0)

    clients = [asyncio.create_task(respond(one)) for one in ("1", "2", "2")]
    await asyncio.sleep(0.1)
    for _ in range(5):
        await erase(api, "1")
    stop.set()
    await asyncio.gather(*clients)
    await erase(api, "1")
    own = [e for e in await entries_of(api, archive) if isinstance(e.body, Outcome)]
    assert len(own) == sent + 4
    assert not any(e.body.customer_id == "1" for e in own if isinstance(e.body, Outcome))
    [end] = await log.heads(api.redis, [api.partition])
    async with asyncio.timeout(10):
        while await _learned(api) < end:
            await asyncio.sleep(0.02)
    state = await api.learners.model_state(api.partition, api.tenant, "model_default", None)
    assert state is not None
    assert sum(arm["pulls"] for arm in state["data"]) == sent + 4


async def test_what_is_counted_behind_the_look_goes_too(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its summary is new: the look at Redis's keys has not met it."""
    look, looks = erasure._look, 0

    async def overtaken(redis: Redis, customer: Customer) -> Any:
        nonlocal looks
        looks += 1
        found = await look(redis, customer)
        if looks == 1:
            assert (await api.respond("behind", customerId="met-late")).status_code == 201
        return found

    monkeypatch.setattr(erasure, "_look", overtaken)
    assert (await erase(api, "met-late"))["pseudonymised"]["log"] == 1
    await nowhere(api, archive, "met-late")


async def test_what_was_cut_off_is_completed_by_the_next_request(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic(api, ["halved"])
    with monkeypatch.context() as broken:

        async def fails(*_: object) -> None:
            raise StorageUnavailable("cut off")

        broken.setattr(erasure, "_swap", fails)
        before = await entries_of(api, archive)
        answer = await api.post("/gdpr/erasure", {"customerId": "halved"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert await entries_of(api, archive) == before
    assert (await erase(api, "halved"))["pseudonymised"]["log"] == 3
    await nowhere(api, archive, "halved")
    assert keys.rewritten_log_key(api.partition).encode() not in await everything(api.redis)


@pytest.mark.parametrize("segment_entries", [5])
async def test_what_was_cut_off_behind_redis_is_completed_though_nobody_asks_again(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic(api, ["behind", "other", "behind"])
    await settled(api)
    assert b"behind" in held(archive, api)

    async def fails(*_: object) -> None:
        raise StorageUnavailable("cut off")

    monkeypatch.setattr(erasure, "_followed", fails)
    answer = await api.post("/gdpr/erasure", {"customerId": "behind"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    async with asyncio.timeout(20):
        while await api.redis.hlen(keys.erased_key(api.partition)):
            await asyncio.sleep(0.02)
    await nowhere(api, archive, "behind")
    assert b"other" in held(archive, api)


@pytest.mark.parametrize("segment_entries", [50])
async def test_erasures_at_one_time_do_not_undo_each_other_in_a_file(api: Api, archive: str) -> None:
    customers = [f"together-{n}-" for n in range(4)]
    await traffic(api, customers)
    for n in range(50):
        assert (await api.respond(f"filling-{n}", customerId="filling")).status_code == 201
    async with asyncio.timeout(20):
        while not all(one.encode() in held(archive, api) for one in customers):
            await asyncio.sleep(0.02)
    await asyncio.gather(*(erase(api, one) for one in customers))
    for one in customers:
        await nowhere(api, archive, one)


async def test_a_lock_of_a_clock_that_was_set_back_since_holds_up_no_longer_than_any(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "LOCK_MS", 500)
    await api.redis.set(keys.erasing_key(api.partition), "of one that died", px=600_000)
    await erase(api, "nobody")
    assert await api.redis.get(keys.erasing_key(api.partition)) is None


async def test_who_comes_back_keeps_the_name_though_the_archive_follows_late() -> None:
    outcome = Outcome("t", "i", "c", "click", "positive", "inbound", delivery=False)
    entries = [Entry(position, 0, outcome) for position in (1, 2)]
    customer = Customer(0, "t", "c", "erased_1", last=1)
    before, after = (customer.hide(pack_entry(one)) for one in entries)
    assert before is not None
    assert b"erased_1" in before
    assert after is None
    assert Customer(0, "another", "c", "erased_1", last=1).hide(pack_entry(entries[0])) is None


async def test_who_may_erase_whom(api: Api) -> None:
    await api.respond("k")
    reading = {"Authorization": f"Bearer {await api.key('read', 'write')}"}
    assert (await api.post("/gdpr/erasure", {"customerId": "c1"}, headers=reading)).status_code == 403
    for body in ({}, {"customerId": ""}, {"customerId": 5}, {"customerId": "x" * 256}):
        assert (await api.post("/gdpr/erasure", body)).status_code == 400
    assert set((await erase(api, "nobody"))["deleted"].values()) == {0}
    assert (await api.get("/interaction-history", params={"customerId": "c1"})).json()["data"] != []


@pytest.mark.parametrize("segment_entries", [5])
async def test_a_segment_that_is_being_written_does_not_bring_the_customer_back(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, erased = threading.Event(), threading.Event()
    write = Archive.write

    def slow(self: Archive, partition: int, entries: Sequence[Entry]) -> None:
        if any(isinstance(e.body, Outcome) and e.body.customer_id == "late" for e in entries):
            reading.set()
            erased.wait(10)
        write(self, partition, entries)

    monkeypatch.setattr(Archive, "write", slow)
    await traffic(api, ["late", "other"])
    assert await asyncio.to_thread(reading.wait, 10)
    before = await api.redis.get(keys.erasures_key(api.partition))
    erasing = asyncio.create_task(erase(api, "late"))
    async with asyncio.timeout(5):
        while await api.redis.get(keys.erasures_key(api.partition)) == before:
            await asyncio.sleep(0.01)
    erased.set()
    await erasing
    await settled(api)
    assert in_archive(archive, api.partition, api.tenant)
    await nowhere(api, archive, "late")


async def test_counting_again_does_not_bring_the_customer_back(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic(api, ["counted", "other"])
    put_in_place = recounting._put_in_place

    async def late(*args: Any) -> int:
        await erase(api, "counted")
        return await put_in_place(*args)

    counting = recounting.Counting(api.tenant, [], 400)
    with monkeypatch.context() as slow:
        slow.setattr(recounting, "_put_in_place", late)
        with pytest.raises(StorageUnavailable, match="erased meanwhile"):
            await recounting.recount(api.redis, Archive(archive), api.partition, counting, lambda _: None)
    await nowhere(api, archive, "counted")
    await recounting.recount(api.redis, Archive(archive), api.partition, counting, lambda _: None)
    await nowhere(api, archive, "counted")


@pytest.mark.parametrize("segment_entries", [5])
async def test_what_was_trimmed_meanwhile_stays_away(
    api: Api, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic(api, ["trimmed"])
    find = erasure._look
    starts: list[int] = []

    async def slow(redis: Redis, customer: Any) -> Any:
        if not starts:
            starts.append(await start_of(api))
            await traffic_of_others(api)
            await trimmed(api, starts[0] + 10)
            starts.append(await start_of(api))
        return await find(redis, customer)

    monkeypatch.setattr(erasure, "_look", slow)
    await erase(api, "trimmed")
    assert starts[0] < starts[1] <= await start_of(api)
    await nowhere(api, archive, "trimmed")


async def start_of(api: Api) -> int:
    """Return the first position that Redis still has."""
    rows: Any = await api.redis.xrange(keys.log_key(api.partition), count=1)
    [end] = await log.heads(api.redis, [api.partition])
    return int(rows[0][0].partition(b"-")[0]) if rows else end + 1


async def trimmed(api: Api, behind: int) -> None:
    """Wait until Redis has nothing up to a position any more."""
    async with asyncio.timeout(20):
        while await start_of(api) <= behind:
            await asyncio.sleep(0.02)


async def traffic_of_others(api: Api) -> None:
    for n in range(23):
        assert (await api.respond(f"others-{n}", customerId="somebody")).status_code == 201


@pytest.mark.parametrize("segment_entries", [5])
async def test_what_a_replica_has_read_of_the_archive_is_read_anew(api: Api) -> None:
    assert (await api.respond("old", customerId="cached")).status_code == 201
    await traffic_of_others(api)
    [end] = await log.heads(api.redis, [api.partition])
    await trimmed(api, end - 20)
    assert (await api.respond("old", customerId="cached")).json()["customerId"] == "cached"
    pseudonym = (await erase(api, "cached"))["pseudonym"]
    again = await api.respond("old", customerId="cached")
    assert (again.status_code, again.json()["customerId"]) == (200, pseudonym)
