"""A week of two tenants' traffic: every number of every endpoint against pandas, also when counted again."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from redis.asyncio import Redis

from serve import behavioral_metrics
from storage import checkpoints, config, keys, tenants
from storage.archive import Archive
from storage.recounting import DERIVED, Counting, recount
from tests.catalog import CATALOG
from tests.conftest import RedisIn, RedisServer
from tests.integration.conftest import PEPPER, Api, client_of
from tests.integration.source import names

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
CLASSES = {"click": "positive", "purchase": "positive", "dismiss": "negative", "impression": "neutral"}
PLACES = {"cr1": ("o1", "ch1", "cat1"), "cr2": ("o2", "ch2", None)}
FALSE = {"cr1": {"offerId": "o2", "channelId": "ch2"}, "cr2": {"offerId": "o1", "channelId": "ch1"}}
METRIC = {
    "id": "m1",
    "name": "revenue",
    "aggregateFunction": "sum",
    "sourceField": "conversionValue",
    "windowDays": 7,
    "groupByDimensions": ["offerId", "outcome"],
}
EXPERIMENT = {
    "id": "x1",
    "key": "week",
    "status": "active",
    "championModelId": "model_default",
    "trafficSplit": {"championPct": 50},
    "challengers": [{"modelId": "m2", "trafficPct": 50}],
    "holdoutPercent": 20,
}
CAP = {"name": "f", "scope": "channel", "scopeId": "ch1", "maxVolume": 9999, "period": "monthly"}
DECAY_MS = 7 * 86_400_000


@pytest.fixture(scope="module")
def redis_server(redis_in: RedisIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this module's own: most of its log goes to the archive."""
    with redis_in(tmp_path_factory.mktemp("week")) as running:
        yield running


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to that Redis."""
    return str(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def segment_entries() -> int:
    """Small, so that most is archived."""
    return 20


@pytest.fixture
async def other(api: Api) -> AsyncIterator[Api]:
    """A second tenant of the same service."""
    name = f"{api.tenant}-other"
    await tenants.create(api.redis, 64, name, "O", 0)
    key, _ = await tenants.create_key(api.redis, 64, name, "admin", ["admin"], PEPPER, 0)
    headers = {"X-Tenant-Id": name, "Authorization": f"Bearer {key}"}
    async with client_of(api.app, headers) as http:
        made = replace(api, http=http, tenant=name, partition=keys.partition_of(name, 64))
        assert (await made.put("/catalog", CATALOG)).status_code == 200
        yield made


async def prepare(api: Api) -> None:
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 100_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    model = {"id": "m2", "key": "greedy", "modelType": "epsilon_greedy", "status": "challenger"}
    for path, body in (
        ("/algorithm-models", model),
        ("/experiments", EXPERIMENT),
        ("/behavioral-metrics", METRIC),
        (
            "/frequency-caps",
            {"name": "f", "scope": "channel", "scopeId": "ch1", "maxVolume": 9999, "period": "monthly"},
        ),
        ("/contact-policies", {"name": "p", "ruleType": "cooldown", "config": {"cooldownHours": 40}}),
    ):
        answer = await api.post(path, {**body, "scopes": [{"scope": "offer", "scopeId": "o1"}]})
        assert answer.status_code == 201, answer.text


def planned(seed: int, count: int) -> list[dict[str, Any]]:
    """Return a week of events in the order they are told; a third answers a recommendation, some come late."""
    rng = np.random.default_rng(seed)
    events = []
    for n in range(count):
        told = NOW - timedelta(days=6.5) + timedelta(days=6.4 * n / count)
        told = told.replace(microsecond=0)
        late = timedelta(hours=int(rng.integers(30))) if rng.random() < 0.2 else timedelta()
        kind = str(rng.choice(list(CLASSES), p=[0.3, 0.15, 0.15, 0.4]))
        events.append(
            {
                "n": n,
                "customer": f"c{rng.integers(12)}",
                "creative": ("cr1", "cr2")[rng.integers(2)],
                "outcome": kind,
                "time": told - late,
                "value": int(rng.integers(1, 9000)) / 4 if kind == "purchase" else None,
                "recommended": rng.random() < 0.35,
            }
        )
    return events


async def tell(api: Api, events: list[dict[str, Any]]) -> pd.DataFrame:
    """Send events one by one, and some in bulk; return them with what they were resolved to."""
    bulk: list[dict[str, Any]] = []
    for event in events:
        body: dict[str, Any] = {
            "customerId": event["customer"],
            "outcome": event["outcome"],
            "timestamp": event["time"].isoformat(),
            "conversionValue": event["value"],
            "idempotencyKey": f"week-{event['n']}",
        }
        if event["recommended"]:
            decided = (await api.post("/recommend", {"customerId": event["customer"]})).json()
            event |= {"variant": decided["variant"], "recommendation": decided["recommendationId"]}
            if not decided["decisions"]:
                event["dropped"] = True
                continue
            shown = decided["decisions"][-1]
            event["creative"] = shown["creativeId"]
            body |= {"recommendationId": decided["recommendationId"], "rank": shown["rank"]}
        else:
            body["creativeId"] = event["creative"]
        body |= FALSE[event["creative"]]
        bulk.append(body)
        if event["n"] % 7 == 3 or event["n"] == len(events) - 1:
            event_answers = (await api.post("/respond/bulk", {"outcomes": bulk})).json()
            assert event_answers["failed"] == 0, event_answers
        else:
            assert (await api.post("/respond", body)).status_code in {200, 201}
    frame = pd.DataFrame([event for event in events if not event.get("dropped")])
    frame["offer"], frame["channel"], frame["category"] = zip(*frame["creative"].map(PLACES), strict=True)
    frame["class"] = frame["outcome"].map(CLASSES)
    frame["delivery"] = frame["outcome"] == "impression"
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["ms"] = [int(time.timestamp() * 1000) for time in frame["time"]]
    return frame


async def get(api: Api, path: str, **params: Any) -> dict[str, Any]:
    answer = await api.get(path, params={"limit": 100, **params} if "limit" not in params else params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def check_summaries(api: Api, frame: pd.DataFrame) -> None:
    formats = {"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "alltime": "alltime"}
    for customer, own in frame.groupby("customer"):
        for kind, text in formats.items():
            body = await get(api, "/interaction-summaries", customerId=customer, periodType=kind)
            found = {(row["periodKey"], row["creativeId"]): row for row in body["data"]}
            groups = own.groupby([own["time"].dt.strftime(text), "creative"])
            assert len(found) == groups.ngroups
            for (period, creative), rows in groups:
                row = found[period, creative]
                latest = rows.sort_values(["ms", "n"]).iloc[-1]
                assert (row["offerId"], row["channelId"]) == PLACES[str(creative)][:2]
                assert row["impressions"] == rows["delivery"].sum()
                for name in ("positive", "negative", "neutral"):
                    assert row[name] == (rows["class"] == name).sum()
                assert row["converts"] == (rows["outcome"] == "purchase").sum()
                assert row["totalValue"] == rows["value"].sum()
                assert row["lastContactAt"] == latest["time"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
                assert row["lastOutcomeKey"] == latest["outcome"]


async def check_roll_up(api: Api, frame: pd.DataFrame) -> None:
    for kind in ("offer", "creative", "channel", "category"):
        found = {row["id"]: row for row in (await get(api, "/interaction-summary", groupBy=kind, days=30))["data"]}
        for name, rows in frame.fillna({"category": "none"}).groupby(kind):
            row = found[None if name == "none" else name]
            impressions = int(rows["delivery"].sum())
            clicks, bought = (int((rows["outcome"] == one).sum()) for one in ("click", "purchase"))
            counts = (row["impression"], row["click"], row["convert"], row["dismiss"], row["total"])
            assert counts == (impressions, clicks, bought, (rows["outcome"] == "dismiss").sum(), len(rows))
            assert (row["ctr"], row["cvr"]) == tuple(round(100 * one / impressions, 2) for one in (clicks, bought))
            for one in ("positive", "negative", "neutral"):
                assert row[one] == (rows["class"] == one).sum()


async def check_metric_and_cap(api: Api, frame: pd.DataFrame) -> None:
    body = await get(api, "/behavioral-metrics/m1/values")
    within = frame[(frame["time"].dt.date > NOW.date() - timedelta(days=7)) & frame["value"].notna()]
    wanted = within.groupby(["offer", "outcome"])["value"].agg(["sum", "count"])
    found = {tuple(row["dimensions"].values()): (row["value"], row["count"]) for row in body["data"]}
    assert found == {group: (row["sum"], row["count"]) for group, row in wanted.iterrows()}
    [cap] = (await get(api, "/frequency-caps"))["data"]
    month = frame[(frame["time"].dt.strftime("%Y-%m") == f"{NOW:%Y-%m}") & frame["delivery"]]
    assert cap["currentCount"] == (month["channel"] == "ch1").sum()


async def check_history(api: Api, frame: pd.DataFrame) -> None:
    for customer, own in frame.groupby("customer"):
        rows = (await get(api, "/interaction-history", customerId=customer))["data"]
        wanted = own.sort_values(["ms", "n"], ascending=False)
        assert [row["timestamp"] for row in rows] == [f"{t:%Y-%m-%dT%H:%M:%S}.000Z" for t in wanted["time"]]
        for name, column in (("outcome", "outcome"), ("creativeId", "creative"), ("offerId", "offer")):
            assert [row[name] for row in rows] == list(wanted[column])
        assert [row["channelId"] for row in rows] == list(wanted["channel"])
        assert [row["conversionValue"] for row in rows] == [None if pd.isna(v) else v for v in wanted["value"]]


async def check_attribution(api: Api, frame: pd.DataFrame) -> None:
    for customer, own in frame.groupby("customer"):
        rows = (await get(api, "/attribution", customerId=customer, model="time_decay"))["data"]
        bought = own[own["outcome"] == "purchase"].sort_values(["ms", "n"], ascending=False)
        assert len(rows) == len(bought)
        for row, (_, conversion) in zip(rows, bought.iterrows(), strict=True):
            known = own[(own["n"] < conversion["n"]) & (own["ms"] <= conversion["ms"])]
            touches = known[known["delivery"] | (known["class"] == "positive")].sort_values(["ms", "n"])
            assert [one["creativeId"] for one in row["touches"]] == list(touches["creative"])
            weights = 2.0 ** (-(conversion["ms"] - touches["ms"].to_numpy()) / DECAY_MS)
            credit = np.array([one["credit"] for one in row["touches"]])
            np.testing.assert_allclose(credit, weights / weights.sum() if len(weights) else weights, atol=1e-12)
            if len(credit):
                cents = sum(round(100 * one["attributedValue"]) for one in row["touches"])
                assert cents == round(100 * conversion["value"])
                rounded = np.round(credit * conversion["value"], 2)
                values = [one["attributedValue"] for one in row["touches"]]
                np.testing.assert_allclose(values[1:], rounded[1:], atol=0.0051)


async def check_experiment(api: Api, events: list[dict[str, Any]], frame: pd.DataFrame) -> None:
    decided = [event for event in events if event["recommended"]]
    samples = pd.Series([event["variant"] for event in decided if not event.get("dropped")]).value_counts()
    won = frame[frame["recommended"] & (frame["class"] == "positive")]["variant"].value_counts()
    body = await get(api, "/experiments/x1/results")
    for row in body["variants"]:
        assert row["samples"] == samples.get(row["variant"], 0)
        assert row["conversions"] == won.get(row["variant"], 0)
        members = {e["customer"] for e in decided if e["variant"] == row["variant"] and not e.get("dropped")}
        assert row["customers"] == len(members)


async def check_suppressions(api: Api, frame: pd.DataFrame) -> None:
    for customer, own in frame.groupby("customer"):
        rows = (await get(api, f"/customers/{customer}/suppressions"))["data"]
        shown = own[own["delivery"] & (own["offer"] == "o1")]
        until = None if shown.empty else shown["time"].max() + timedelta(hours=40)
        wanted = [] if until is None or until <= pd.Timestamp.now("UTC") else [f"{until:%Y-%m-%dT%H:%M:%S}.000Z"]
        assert [row["until"] for row in rows] == wanted


async def check_models(api: Api, frame: pd.DataFrame) -> None:
    body = await get(api, "/algorithm-models/model_default/state")
    found = {arm["offerId"]: (arm["positives"], arm["negatives"]) for arm in body["data"]}
    counts = pd.crosstab(frame["offer"], frame["class"])
    assert found == {offer: (row["positive"], row["negative"]) for offer, row in counts.iterrows()}


async def check(api: Api, events: list[dict[str, Any]], frame: pd.DataFrame) -> None:
    await check_summaries(api, frame)
    await check_roll_up(api, frame)
    await check_metric_and_cap(api, frame)
    await check_history(api, frame)
    await check_attribution(api, frame)
    await check_experiment(api, events, frame)
    await check_suppressions(api, frame)


async def counted_keys(redis: Redis, tenant: str, partition: int) -> dict[bytes, Any]:
    """Return all that was counted for a tenant, by key."""
    held: dict[bytes, Any] = {}
    prefix = keys.prefix(partition).encode()
    for name in await names(redis, f"{prefix.decode()}*"):
        kind, _, rest = name.removeprefix(prefix).partition(b":")
        if kind in DERIVED and rest.partition(b":")[0] == tenant.encode():
            reads: dict[bytes, Any] = {b"hash": redis.hgetall, b"set": redis.smembers}
            kind_of = await redis.type(name)
            held[name] = await (reads[kind_of](name) if kind_of in reads else redis.lrange(name, 0, -1))
    return held


async def test_every_number_of_a_week_also_when_counted_again(api: Api, other: Api, archive: str) -> None:
    told = []
    for one, seed in ((api, 1), (other, 2)):
        await prepare(one)
        events = planned(seed, 260)
        told.append((one, events, await tell(one, events)))
    for one, events, frame in told:
        await check(one, events, frame)
        position = int(await one.redis.get(keys.sequence_key(one.partition)) or 0)
        await one.learners.watch(one.partition, {(one.tenant, ""): (position - 1, -1)}, 5.0)
        await check_models(one, frame)
    for one, events, frame in told:
        assert await checkpoints.archived(one.redis, one.partition) > 200, "most is in the archive alone"
        before = await counted_keys(one.redis, one.tenant, one.partition)
        assert len(before) > 50
        await one.redis.delete(*before)
        assert (await get(one, "/interaction-history", customerId="c1"))["data"] == []
        stored = await config.read(one.redis, one.partition, one.tenant)
        counting = Counting(one.tenant, behavioral_metrics.active(stored), 400)
        await recount(one.redis, Archive(archive), one.partition, counting, lambda _: None)
        assert await counted_keys(one.redis, one.tenant, one.partition) == before
        await check(one, events, frame)
