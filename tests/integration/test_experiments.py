"""Experiments through HTTP: who gets what, what is counted, and the promotion of who has won."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from learners.assignment import assigned, held_out
from learners.experiments import Arm, compare, sample_ratio
from serve.promotion import promote_due
from serve.services import Services
from storage import keys, log
from storage.entry import Decision
from tests.integration.conftest import Api

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("challenger")]

SHARES = [60.0, 40.0]


@pytest.fixture
async def challenger(api: Api) -> None:
    """A second model, ready to take part."""
    limits = dict.fromkeys(("respond", "bulk", "recommend", "default"), 100_000)
    assert (await api.put("/settings", {"rateLimits": limits})).status_code == 200
    model = {"id": "m2", "key": "greedy", "modelType": "epsilon_greedy", "status": "challenger"}
    assert (await api.post("/algorithm-models", model)).status_code == 201


def experiment(**changed: Any) -> dict[str, Any]:
    return {
        "id": "x1",
        "key": "exp",
        "status": "active",
        "championModelId": "model_default",
        "trafficSplit": {"championPct": SHARES[0]},
        "challengers": [{"modelId": "m2", "trafficPct": SHARES[1]}],
        "holdoutPercent": 20,
        **changed,
    }


async def create(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await api.post("/experiments", experiment(**changed))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def decide(api: Api, customer: str) -> dict[str, Any]:
    answer = await api.post("/recommend", {"customerId": customer})
    assert answer.status_code == 200, answer.text
    decided: dict[str, Any] = answer.json()
    return decided


async def answer_to(api: Api, decided: dict[str, Any], outcome: str, key: str) -> None:
    body = {"recommendationId": decided["recommendationId"], "rank": 1, "creativeId": ...}
    answer = await api.respond(key, customerId=decided["customerId"], outcome=outcome, **body)
    assert answer.status_code == 201, answer.text


def variant_of(customer: str) -> str:
    place = assigned("exp", customer, 20, SHARES)
    return "holdout" if place is None else ("default", "greedy")[place]


async def champion_key(api: Api) -> str:
    key: str = (await api.get("/algorithm-models/model_default")).json()["key"]
    return key


async def test_customers_keep_their_variants_and_results_are_what_was_decided(api: Api) -> None:
    names = {"default": await champion_key(api), "greedy": "greedy", "holdout": "holdout"}
    await create(api)
    samples: Counter[str] = Counter()
    conversions: Counter[str] = Counter()
    customers: dict[str, set[str]] = {name: set() for name in names.values()}
    for n in range(240):
        customer = f"c{n % 90}"
        decided = await decide(api, customer)
        name = names[variant_of(customer)]
        control = name == "holdout"
        assert (decided["variant"], decided["controlGroup"]) == (name, control)
        assert decided["modelKey"] == ("uniform" if control else name)
        if control:
            assert {one["propensity"] for one in decided["decisions"]} == {0.5}
        samples[name] += 1
        customers[name].add(customer)
        if n % 3 == 0:  # twice positive counts once, a dismissal and a click once, a dismissal alone not at all
            await answer_to(api, decided, "dismiss", f"d{n}")
        if n % (5 if control else 2) == 0:
            await answer_to(api, decided, "click", f"k{n}")
            await answer_to(api, decided, "purchase", f"p{n}")
            conversions[name] += 1
    answer = await api.get("/experiments/x1/results")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    rows = {row["variant"]: row for row in body["variants"]}
    assert [row["role"] for row in body["variants"]] == ["champion", "challenger", "holdout"]
    assert [row["trafficPct"] for row in body["variants"]] == pytest.approx([48, 32, 20])
    for name, row in rows.items():
        assert (row["samples"], row["conversions"]) == (samples[name], conversions[name]), name
        assert row["customers"] == len(customers[name])
        assert row["conversionRate"] == conversions[name] / samples[name]
        assert [row["ciLower"], row["ciUpper"]] == list(Arm(samples[name], conversions[name]).interval)
    found = compare(*(Arm(samples[name], conversions[name]) for name in ("greedy", names["default"])))
    assert (rows["greedy"]["uplift"], rows["greedy"]["zScore"]) == (found.uplift, found.z_score)
    assert rows["greedy"]["pValue"] == found.p_value
    assert rows[names["default"]]["uplift"] is None
    treated = Arm(samples.total() - samples["holdout"], conversions.total() - conversions["holdout"])
    against = compare(treated, Arm(samples["holdout"], conversions["holdout"]))
    assert body["treatedVersusHoldout"]["uplift"] == against.uplift
    counts = [len(customers[row["variant"]]) for row in body["variants"]]
    assert body["sampleRatio"] == {"pValue": sample_ratio(counts, [48, 32, 20]), "mismatch": False}
    [end] = await log.heads(api.redis, [api.partition])
    assert body["position"] == end
    entries = await log.read(api.redis, api.partition, 0, 100_000)
    decisions = [entry.body for entry in entries if isinstance(entry.body, Decision)]
    logged = Counter(one.variant for one in decisions if one.tenant == api.tenant and one.experiment_id == "x1")
    assert logged == samples


async def test_the_tenants_own_holdout_comes_before_experiments(api: Api) -> None:
    await create(api, holdoutPercent=0)
    assert (await api.put("/settings", {"holdoutPercent": 30})).status_code == 200
    seen = set()
    for n in range(40):
        decided = await decide(api, f"c{n}")
        out = held_out("holdout", f"c{n}", 30)
        assert decided["controlGroup"] == out
        seen.add(out)
    assert seen == {True, False}
    rows = (await api.get("/experiments/x1/results")).json()["variants"]
    assert sum(row["samples"] for row in rows) == sum(not held_out("holdout", f"c{n}", 30) for n in range(40))


async def test_decisions_that_show_nothing_are_no_samples(api: Api) -> None:
    await create(api)
    body = {"customerId": "c1", "excludeOffers": ["o1", "o2"]}
    assert (await api.post("/recommend", body)).json()["count"] == 0
    rows = (await api.get("/experiments/x1/results")).json()["variants"]
    assert [row["samples"] for row in rows] == [0, 0, 0]
    assert [row["conversionRate"] for row in rows] == [0, 0, 0]


def services_of(api: Api) -> Services:
    found: Services = api.app.state.services
    return found


async def counted(api: Api, variant: str, samples: int, conversions: int) -> None:
    name = keys.experiment_key(api.partition, api.tenant, "x1")
    for what, count in (("samples", samples), ("conversions", conversions)):
        await api.redis.hset(name, f"{what}:{variant}", str(count))


async def statuses(api: Api) -> tuple[str, str, str]:
    first, second = [(await api.get(f"/algorithm-models/{one}")).json() for one in ("model_default", "m2")]
    return first["status"], second["status"], (await api.get("/experiments/x1")).json()["status"]


async def test_who_has_won_is_promoted_once_and_the_audit_log_tells(api: Api) -> None:
    services, champion = services_of(api), await champion_key(api)
    await create(api, autoPromote=True, promoteAfterDays=0, promoteThreshold=0.99)
    await counted(api, champion, 2000, 200)
    for conversions in (200, 230):  # no better, and better but not surely so
        await counted(api, "greedy", 2000, conversions)
        assert await promote_due(services, await services.directory.refresh(api.tenant)) is None
    await counted(api, "greedy", 2000, 320)
    tenant = await services.directory.refresh(api.tenant)
    found = await asyncio.gather(*(promote_due(services, tenant) for _ in range(8)))
    assert sorted(filter(None, found)) == ["m2"], "once, whoever asks"
    assert await statuses(api) == ("challenger", "champion", "completed")
    assert (await api.get("/experiments/x1")).json()["promotedModelId"] == "m2"
    rows = (await api.get("/audit-logs", params={"limit": 100})).json()["data"]
    told = [(row["entityId"], row["action"]) for row in rows if row["actor"] == "experiment:x1"]
    assert sorted(told) == [("m2", "promote"), ("model_default", "promote"), ("x1", "update")]
    assert (await decide(api, "c1"))["modelKey"] == "greedy"
    assert (await api.get("/audit-logs/verify")).json()["intact"] is True


@pytest.mark.parametrize("changed", [{"autoPromote": False}, {"promoteAfterDays": 1}, {"status": "draft"}])
async def test_nobody_is_promoted_unasked_or_early(api: Api, changed: dict[str, Any]) -> None:
    services = services_of(api)
    await create(api, **{"autoPromote": True, "promoteAfterDays": 0, **changed})
    await counted(api, await champion_key(api), 2000, 200)
    await counted(api, "greedy", 2000, 400)
    assert await promote_due(services, await services.directory.refresh(api.tenant)) is None
    assert (await statuses(api))[:2] == ("champion", "challenger")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"trafficSplit": {"championPct": 59}}, "trafficSplit.championPct"),
        ({"trafficSplit": {}}, "trafficSplit.championPct"),
        ({"championModelId": "nothing"}, "championModelId"),
        ({"championModelId": "m2", "challengers": [{"modelId": "m2", "trafficPct": 40}]}, "challengers"),
        ({"challengers": [{"modelId": "nothing", "trafficPct": 40}]}, "challengers.0.modelId"),
        ({"challengers": [{"modelId": "draft", "trafficPct": 40}]}, "challengers.0.modelId"),
        ({"holdoutPercent": 101}, "holdoutPercent"),
        ({"key": "a b"}, "key"),
        ({"promoteThreshold": 1}, "promoteThreshold"),
    ],
)
async def test_a_broken_rule_is_named(api: Api, changed: dict[str, Any], field: str) -> None:
    model = {"id": "draft", "key": "d", "modelType": "ucb"}
    assert (await api.post("/algorithm-models", model)).status_code == 201
    answer = await api.post("/experiments", experiment(**changed))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["details"][0]["field"] == field


async def test_what_customers_were_assigned_by_stays(api: Api) -> None:
    made = await create(api, status="draft")
    assert made["startedAt"] is None
    assert (await api.put("/experiments/x1", {"holdoutPercent": 10})).status_code == 200
    started = (await api.put("/experiments/x1", {"status": "active"})).json()["startedAt"]
    assert started is not None
    frozen = {"holdoutPercent": 5, "key": "other", "trafficSplit": {"championPct": 100}, "challengers": []}
    for changed in ({"holdoutPercent": 5}, {"key": "other"}, {**frozen, "holdoutPercent": 10, "key": "exp"}):
        answer = await api.put("/experiments/x1", changed)
        assert answer.status_code == 400, answer.text
    assert (await api.put("/experiments/x1", {"status": "draft"})).status_code == 400
    paused = await api.put("/experiments/x1", {"status": "paused"})
    assert (paused.status_code, paused.json()["startedAt"]) == (200, started)
    assert (await decide(api, "c1"))["variant"] is None
    other = experiment(id="x2", key="exp2")
    assert (await api.post("/experiments", other)).status_code == 201
    second = await api.put("/experiments/x1", {"status": "active"})
    assert (second.status_code, second.json()["error"]["details"][0]["field"]) == (400, "status")
    assert (await api.post("/experiments", experiment(id="x3"))).status_code == 400  # one is active
    assert (await api.post("/experiments", experiment(id="x3", status="draft"))).status_code == 409  # the key
    assert (await api.delete("/experiments/x2")).status_code == 204
    assert (await api.get("/experiments/x2/results")).status_code == 404
