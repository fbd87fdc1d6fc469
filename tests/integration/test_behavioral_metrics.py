"""Behavioural metrics against a plain computation over the same events."""

import asyncio
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from storage import log, scripts
from storage.scripts import script
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
PLACES: dict[str, dict[str, Any]] = {
    "cr1": {"creativeId": "cr1", "offerId": "o1", "channelId": "ch1", "categoryId": "cat1"},
    "cr2": {"creativeId": "cr2", "offerId": "o2", "channelId": "ch2", "categoryId": None},
}
CLASSES = {"click": "positive", "purchase": "positive", "dismiss": "negative", "view": "neutral"}
METRICS: list[dict[str, Any]] = [
    {"name": "all", "aggregateFunction": "count"},
    {"name": "by", "aggregateFunction": "count", "windowDays": 7, "groupByDimensions": ["outcome", "customerId"]},
    {
        "name": "revenue",
        "aggregateFunction": "sum",
        "sourceField": "conversionValue",
        "windowDays": 30,
        "groupByDimensions": ["offerId", "categoryId"],
        "filterConditions": {"classification": "positive"},
    },
    {
        "name": "slowest",
        "aggregateFunction": "max",
        "sourceField": "responseTime",
        "groupByDimensions": ["channelId"],
    },
    {"name": "fastest", "aggregateFunction": "min", "sourceField": "responseTime", "windowDays": 1},
    {
        "name": "size",
        "aggregateFunction": "avg",
        "sourceField": "attributes.size",
        "windowDays": 400,
        "groupByDimensions": ["direction", "creativeId", "classification"],
        "filterConditions": {"outcome": ["click", "dismiss", "view"], "channelId": ["ch1", "ch2"]},
    },
    {"name": "none", "aggregateFunction": "sum", "sourceField": "attributes.never"},
]


async def create(api: Api, metric: dict[str, Any]) -> str:
    answer = await api.post("/behavioral-metrics", metric)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def values(api: Api, metric_id: str) -> dict[str, Any]:
    answer = await api.get(f"/behavioral-metrics/{metric_id}/values")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def events(count: int, seed: int) -> list[dict[str, Any]]:
    """Return outcomes over 60 days, out of order, with false offers and channels; numbers are exact in binary."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        creative = ("cr1", "cr2")[rng.integers(2)]
        size: Any = [int(rng.integers(100)), int(rng.integers(800)) / 8, True, "12"][rng.integers(4)]
        made.append(
            {
                "customerId": f"c{rng.integers(4)}",
                "creativeId": creative,
                "outcome": list(CLASSES)[rng.integers(4)],
                "timestamp": (NOW - timedelta(minutes=int(rng.integers(60 * 24 * 60)))).isoformat(),
                "conversionValue": int(rng.integers(4000)) / 4 if rng.random() < 0.5 else None,
                "responseTime": int(rng.integers(10_000)) if rng.random() < 0.5 else None,
                "attributes": {"size": size} if rng.random() < 0.8 else None,
                "direction": ("inbound", "outbound")[rng.integers(2)],
                "offerId": "o2" if creative == "cr1" else "o1",
                "channelId": "ch2" if creative == "cr1" else "ch1",
                "idempotencyKey": f"m{n}",
            }
        )
    return made


def source(event: dict[str, Any], field: str | None) -> Any:
    if field is None:
        return 0
    found = event.get(field) if "." not in field else (event["attributes"] or {}).get(field.partition(".")[2])
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def expected(sent: list[dict[str, Any]], metric: dict[str, Any]) -> dict[tuple[Any, ...], tuple[float, int]]:
    """Return value and count of each group."""
    groups: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
    for event in sent:
        told = {**event, **PLACES[event["creativeId"]], "classification": CLASSES[event["outcome"]]}
        number = source(event, metric.get("sourceField"))
        window = metric.get("windowDays")
        age = (NOW.date() - datetime.fromisoformat(event["timestamp"]).date()).days
        wanted = metric.get("filterConditions", {}).items()
        kept = all(told[name] in ([value] if isinstance(value, str) else value) for name, value in wanted)
        if number is not None and kept and (window is None or age < window):
            groups[tuple(told[name] for name in metric.get("groupByDimensions", []))].append(number)
    functions = {"count": len, "sum": sum, "avg": np.mean, "min": min, "max": max}
    function: Any = functions[metric["aggregateFunction"]]
    return {group: (float(function(numbers)), len(numbers)) for group, numbers in groups.items()}


def found(metric: dict[str, Any], body: dict[str, Any]) -> dict[tuple[Any, ...], tuple[float, int]]:
    names = metric.get("groupByDimensions", [])
    rows = body["data"]
    assert all(list(row["dimensions"]) == names for row in rows)
    return {tuple(row["dimensions"].values()): (row["value"], row["count"]) for row in rows}


async def test_every_value_equals_a_plain_computation(api: Api) -> None:
    ids = [await create(api, metric) for metric in METRICS]
    sent = events(240, seed=1)
    assert (await api.post("/respond/bulk", {"outcomes": sent[:200]})).json()["recorded"] == 200
    for event in sent[200:]:
        assert (await api.post("/respond", event)).status_code == 201
    again = await api.post("/respond/bulk", {"outcomes": sent})
    assert again.json()["duplicates"] == 240
    [position] = await log.heads(api.redis, [api.partition])
    for metric, metric_id in zip(METRICS, ids, strict=True):
        body = await values(api, metric_id)
        assert found(metric, body) == expected(sent, metric), metric["name"]
        assert body.keys() == {"data", "position"}
        assert body["position"] == position
    assert len(expected(sent, METRICS[1])) > 10


async def test_an_outcome_of_a_recommendation_counts_where_it_was_resolved(api: Api) -> None:
    metric_id = await create(api, {**METRICS[0], "groupByDimensions": ["offerId", "channelId"]})
    decided = (await api.post("/recommend", {"customerId": "c1", "channel": "Mail"})).json()
    body = {"recommendationId": decided["recommendationId"], "rank": 1, "creativeId": ..., "channelId": "ch1"}
    assert (await api.respond("r", **body)).status_code == 201
    [row] = (await values(api, metric_id))["data"]
    assert row == {"dimensions": {"offerId": "o2", "channelId": "ch2"}, "value": 1, "count": 1}


async def test_another_definition_counts_anew_and_another_function_does_not(api: Api) -> None:
    metric_id = await create(api, {"name": "v", "aggregateFunction": "sum", "sourceField": "conversionValue"})
    for n, value in enumerate((2.5, 4.0)):
        await api.respond(f"a{n}", outcome="purchase", conversionValue=value)
    for function, value in (("sum", 6.5), ("avg", 3.25), ("min", 2.5), ("max", 4.0)):
        changed = await api.put(
            f"/behavioral-metrics/{metric_id}", {"aggregateFunction": function, "name": function}
        )
        assert changed.status_code == 200
        assert (await values(api, metric_id))["data"] == [{"dimensions": {}, "value": value, "count": 2}]
    await api.put(f"/behavioral-metrics/{metric_id}", {"groupByDimensions": ["offerId"]})
    assert (await values(api, metric_id))["data"] == []
    assert (await api.delete(f"/behavioral-metrics/{metric_id}")).status_code == 204
    assert (await api.get(f"/behavioral-metrics/{metric_id}/values")).status_code == 404


async def test_huge_values_stay_numbers(api: Api) -> None:
    metric_id = await create(api, {"name": "v", "aggregateFunction": "sum", "sourceField": "conversionValue"})
    for n in range(3):
        await api.respond(f"h{n}", outcome="purchase", conversionValue=1e308)
    assert (await values(api, metric_id))["data"][0]["value"] == pytest.approx(1.7976931348623157e308)
    summary = (await api.get("/interaction-summaries", params={"customerId": "c1", "periodType": "alltime"})).json()
    assert summary["data"][0]["totalValue"] == pytest.approx(1.7976931348623157e308)


async def test_concurrent_outcomes_are_counted_exactly(api: Api) -> None:
    metric_id = await create(api, METRICS[0])
    await asyncio.gather(*(api.respond(f"p{n % 60}") for n in range(120)))
    assert (await values(api, metric_id))["data"] == [{"dimensions": {}, "value": 60, "count": 60}]


async def test_groups_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scripts.Script("commit")
    made.source, changed = re.subn(r"MAX_GROUPS = 10000", "MAX_GROUPS = 3", made.source)
    assert changed == 1
    made.sha = await api.redis.script_load(made.source)
    monkeypatch.setattr("storage.commit.script", lambda name: made if name == "commit" else script(name))
    metric_id = await create(api, {**METRICS[0], "groupByDimensions": ["customerId"]})
    for n in (0, 1, 2, 3, 4, 0):
        assert (await api.respond(f"g{n}{n == 0}", customerId=f"c{n}")).status_code in {200, 201}
    body = await values(api, metric_id)
    assert [row["dimensions"]["customerId"] for row in body["data"]] == ["c0", "c1", "c2"]
    assert body["truncated"] is True


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"aggregateFunction": "median"}, "aggregateFunction"),
        ({"aggregateFunction": "sum"}, "sourceField"),
        ({"sourceField": "conversionValue"}, "sourceField"),
        ({"aggregateFunction": "sum", "sourceField": "price"}, "sourceField"),
        ({"aggregateFunction": "sum", "sourceField": "attributes."}, "sourceField"),
        ({"windowDays": 0}, "windowDays"),
        ({"groupByDimensions": ["offerId", "offerId"]}, "groupByDimensions"),
        ({"groupByDimensions": ["age"]}, "groupByDimensions.0"),
        ({"filterConditions": {"age": "x"}}, "filterConditions.age"),
        ({"filterConditions": {"outcome": []}}, "filterConditions.outcome"),
        ({"filterConditions": {"outcome": 3}}, "filterConditions.outcome"),
    ],
)
async def test_a_broken_rule_is_named(api: Api, changed: dict[str, Any], field: str) -> None:
    answer = await api.post("/behavioral-metrics", {**METRICS[0], **changed})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["details"][0]["field"] == field, error
    assert error["message"].startswith(f"{field} "), error


async def test_a_tenant_has_at_most_twenty(api: Api) -> None:
    for n in range(20):
        await create(api, {**METRICS[0], "name": f"n{n}"})
    answer = await api.post("/behavioral-metrics", {**METRICS[0], "name": "one more"})
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "name")
    listed = (await api.get("/behavioral-metrics", params={"limit": 100})).json()
    assert listed["pagination"]["total"] == 20
    assert (await api.delete(f"/behavioral-metrics/{listed['data'][0]['id']}")).status_code == 204
    await create(api, {**METRICS[0], "name": "one more"})
    assert (await api.post("/behavioral-metrics", {**METRICS[0], "name": "n5"})).status_code == 400
