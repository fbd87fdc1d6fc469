"""The commit script against a real Redis."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from storage import client, commit, config, keys, log, recommendations, summaries, tenants
from storage.commit import Commit
from storage.entry import DecisionPoint, Entry, Outcome, Resolution, pack, unpack_entry
from storage.errors import StorageUnavailable
from storage.recommendations import Recommendation, Shown

pytestmark = pytest.mark.anyio

EVENT = summaries.event("positive", "click", "inbound", delivery=False, days_kept=400)
RESOLUTION = Resolution("o1", "cr1", "ch1", None, "cat1", "Offer", "Creative", "Channel", "Category")
HOUR_MS = 3_600_000
CREATIVE = config.Write("creative", "cr1", None, {"id": "cr1"})


class Bench:
    """A tenant whose outcomes can be committed."""

    def __init__(self, redis: Redis, tenant: str, partition: int, version: int) -> None:
        self.redis, self.tenant, self.partition, self.version = redis, tenant, partition, version

    def outcome(self, key: str, **changed: object) -> Commit:
        body = Outcome(self.tenant, f"int_{key}", "c1", "click", "positive", "inbound", delivery=False)
        made = Commit(
            tenant=self.tenant,
            config_version=self.version,
            route="respond",
            limit=0,
            idempotency_digest=keys.idempotency_digest(self.tenant, key),
            idempotency_ttl_ms=HOUR_MS,
            fingerprint=b"meaning1",
            refused=False,
            customer_id="c1",
            body=pack(body),
            resolution=pack(RESOLUTION),
            recommendation_id="",
            rank=0,
            event=EVENT,
        )
        return replace(made, **changed)  # type: ignore[arg-type]

    async def commit(self, *items: Commit) -> list[commit.Committed]:
        return await commit.commit(self.redis, self.partition, items)

    async def outcomes(self) -> list[Entry]:
        entries = await log.read(self.redis, self.partition, 0, count=100_000)
        return [e for e in entries if isinstance(e.body, Outcome) and e.body.tenant == self.tenant]


@pytest.fixture
async def bench(redis: Redis, partitions: int, tenant_id: str) -> Bench:
    await tenants.create(redis, partitions, tenant_id, "T", 0)
    partition = keys.partition_of(tenant_id, partitions)
    stored = await config.read(redis, partition, tenant_id)
    return Bench(redis, tenant_id, partition, stored.version)


async def test_a_recorded_outcome_is_the_entry_the_log_holds(bench: Bench) -> None:
    [result] = await bench.commit(bench.outcome("k"))
    [entry] = await bench.outcomes()
    assert result.status == "recorded"
    assert unpack_entry(result.entry) == entry
    assert entry.position == result.position
    assert entry.resolution == RESOLUTION


async def test_positions_are_dense_across_tenants_of_a_partition(bench: Bench) -> None:
    before = (await log.heads(bench.redis, [bench.partition]))[0]
    results = await bench.commit(*(bench.outcome(f"k{i}") for i in range(50)))
    assert [r.position for r in results] == list(range(before + 1, before + 51))


async def test_a_used_key_answers_with_the_first_entry(bench: Bench) -> None:
    first, again = await bench.commit(bench.outcome("k"), bench.outcome("k", fingerprint=b"meaning2"))
    assert again.status == "duplicate"
    assert again.entry == first.entry
    assert again.fingerprint == b"meaning1"
    assert len(await bench.outcomes()) == 1


async def test_a_duplicate_is_found_before_anything_else_is_looked_at(bench: Bench) -> None:
    await bench.commit(bench.outcome("k"))
    [again] = await bench.commit(bench.outcome("k", refused=True, recommendation_id="nowhere"))
    assert again.status == "duplicate"


async def test_a_refused_outcome_leaves_no_trace(bench: Bench) -> None:
    [refused] = await bench.commit(bench.outcome("k", refused=True))
    assert refused.status == "refused"
    assert await bench.outcomes() == []
    [later] = await bench.commit(bench.outcome("k"))
    assert later.status == "recorded"


async def test_an_old_configuration_commits_nothing(bench: Bench) -> None:
    [stale] = await bench.commit(bench.outcome("k", config_version=bench.version - 1, limit=1))
    assert stale.status == "stale"
    [fresh] = await bench.commit(bench.outcome("k", limit=1))
    assert fresh.status == "recorded", "a stale commit takes no place of the limit"


async def test_the_limit_counts_refused_and_duplicate_requests(bench: Bench) -> None:
    items = [bench.outcome("a"), bench.outcome("a"), bench.outcome("b", refused=True), bench.outcome("c")]
    results = await bench.commit(*(replace(item, limit=3) for item in items))
    assert [r.status for r in results] == ["recorded", "duplicate", "refused", "limited"]
    assert [r.remaining for r in results] == [2, 1, 0, 0]
    assert 59_000 <= results[3].wait_ms <= 60_001
    assert len(await bench.outcomes()) == 1


async def test_concurrent_commits_of_one_key_record_once(bench: Bench) -> None:
    results = await asyncio.gather(*(bench.commit(bench.outcome("k")) for _ in range(32)))
    statuses = [r.status for [r] in results]
    assert statuses.count("recorded") == 1
    assert statuses.count("duplicate") == 31


async def test_counters_follow_class_and_delivery(bench: Bench) -> None:
    refusal = summaries.event("negative", "dismiss", "inbound", delivery=False, days_kept=400)
    shown = summaries.event("neutral", "impression", "outbound", delivery=True, days_kept=400)
    items = [bench.outcome("a"), bench.outcome("b", event=refusal), bench.outcome("c", event=shown)]
    await bench.commit(*items, items[0])
    [counted] = await summaries.read(bench.redis, bench.partition, bench.tenant, "c1", ["alltime"], 0, 1)
    assert counted.place == ("alltime", "alltime", "o1", "cr1", "ch1")
    assert (counted.positive, counted.negative, counted.neutral, counted.impressions) == (1, 1, 1, 1)
    assert (counted.last_outcome_key, counted.direction) == ("impression", "outbound")


async def test_a_recommendation_resolves_by_rank(bench: Bench) -> None:
    await config.write(bench.redis, bench.partition, bench.tenant, [CREATIVE])
    version = (await config.read(bench.redis, bench.partition, bench.tenant)).version
    made = Recommendation("r1", "c1", {"age": 38}, [Shown(2, RESOLUTION, 0.25, "m", "v")], b"digest")
    assert await recommendations.register(bench.redis, bench.partition, bench.tenant, made, HOUR_MS) == "created"

    def by(key: str, **changed: object) -> Commit:
        given = {"resolution": b"", "recommendation_id": "r1", "rank": 2, "config_version": version, **changed}
        return bench.outcome(key, **given)

    other = pack(Resolution("o2", "cr2", "ch1", None, None, "", "", "", None))
    found, no_rank, no_rec, stranger, disagree = await bench.commit(
        by("a"),
        by("b", rank=1),
        by("c", recommendation_id="r2"),
        by("d", customer_id="c2"),
        by("e", resolution=other),
    )
    statuses = [r.status for r in (found, no_rank, no_rec, stranger, disagree)]
    assert statuses == ["recorded", "no_rank", "no_recommendation", "no_recommendation", "disagree"]
    entry = unpack_entry(found.entry)
    assert entry.resolution == RESOLUTION
    assert entry.decision is not None
    assert without_time(entry.decision) == DecisionPoint(0, {"age": 38}, 0.25, "m", "v")


async def test_a_recommendation_of_a_deleted_creative_is_gone(bench: Bench) -> None:
    await config.write(bench.redis, bench.partition, bench.tenant, [CREATIVE])
    gone = config.Write("creative", "cr1", 1, {"id": "cr1"}, live=False)
    await config.write(bench.redis, bench.partition, bench.tenant, [gone])
    version = (await config.read(bench.redis, bench.partition, bench.tenant)).version
    made = Recommendation("r1", "c1", {}, [Shown(1, RESOLUTION)], b"digest")
    await recommendations.register(bench.redis, bench.partition, bench.tenant, made, HOUR_MS)
    [result] = await bench.commit(
        bench.outcome("k", resolution=b"", recommendation_id="r1", rank=1, config_version=version)
    )
    assert result.status == "deleted"


async def test_registering_twice_changes_nothing_and_other_content_is_refused(bench: Bench) -> None:
    made = Recommendation("r9", "c1", {}, [Shown(1, RESOLUTION)], b"digest")
    answers = [
        await recommendations.register(bench.redis, bench.partition, bench.tenant, item, HOUR_MS)
        for item in (made, made, replace(made, customer_id="c2", digest=b"another"))
    ]
    assert answers == ["created", "repeated", "taken"]


async def test_lost_scripts_are_sent_again(bench: Bench) -> None:
    await bench.redis.script_flush()
    [result] = await bench.commit(bench.outcome("k"))
    assert result.status == "recorded"


async def test_an_unreachable_redis_is_one_error() -> None:
    async with client.writer("unix:///nowhere.sock") as redis:
        with pytest.raises(StorageUnavailable):
            await log.heads(redis, [0])


def without_time(decision: DecisionPoint) -> DecisionPoint:
    assert decision.time_ms > 0
    return DecisionPoint(0, decision.features, decision.propensity, decision.model_key, decision.variant)
