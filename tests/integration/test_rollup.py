"""The roll-up of a tenant's events against a plain computation over them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.integration.test_summaries import CLASSES, NOW, OF_CREATIVE, events, send

pytestmark = pytest.mark.anyio

CATEGORY = {"cr1": "cat1", "cr2": None}
NAMES = {"o1": "Gold", "o2": "Silver", "cr1": "Gold hero", "cr2": "Silver mail", "ch1": "Web", "ch2": "Mail"}


def group(creative: str, group_by: str) -> str | None:
    if group_by == "category":
        return CATEGORY[creative]
    return OF_CREATIVE[creative][("offer", "creative", "channel").index(group_by)]


def expected(sent: list[dict[str, Any]], group_by: str, days: int) -> dict[str | None, dict[str, Any]]:
    first = (datetime.now(UTC) - timedelta(days=days - 1)).date()
    counted: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for one in sent:
        if datetime.fromisoformat(one["timestamp"]).date() >= first:
            kind = one["outcome"]
            own = counted[group(one["creativeId"], group_by)]
            own.update({"convert" if kind == "purchase" else kind: 1, CLASSES[kind]: 1, "total": 1})
    names = ("impression", "click", "dismiss", "accept", "convert", "total", "positive", "negative", "neutral")
    return {
        key: {
            **{name: own[name] for name in names},
            "ctr": round(100 * own["click"] / own["impression"], 2) if own["impression"] else 0.0,
            "cvr": round(100 * own["convert"] / own["impression"], 2) if own["impression"] else 0.0,
        }
        for key, own in counted.items()
    }


async def rolled(api: Api, query: str) -> dict[str | None, dict[str, Any]]:
    answer = await api.get(f"/interaction-summary?{query}")
    assert answer.status_code == 200, answer.text
    rows = answer.json()["data"]
    assert [row["total"] for row in rows] == sorted((row["total"] for row in rows), reverse=True)
    for row in rows:
        assert row["name"] == ("Cards" if row["id"] == "cat1" else NAMES.get(row["id"]))
    return {row["id"]: {name: value for name, value in row.items() if name not in ("id", "name")} for row in rows}


@pytest.mark.parametrize("group_by", ["offer", "creative", "channel", "category"])
async def test_every_number_is_that_of_a_plain_computation(api: Api, group_by: str) -> None:
    sent = events(500, seed=9)
    await send(api, sent)
    await send(api, sent[:50])  # duplicates count nothing
    for days in (1, 2, 7, 30, 400):
        assert await rolled(api, f"groupBy={group_by}&days={days}") == expected(sent, group_by, days), days


async def test_by_day_each_day_stands_for_itself_oldest_first(api: Api) -> None:
    sent = events(300, seed=4)
    await send(api, sent)
    rows = (await api.get("/interaction-summary?days=92&by=day")).json()["data"]
    days = [row["day"] for row in rows]
    assert days == sorted(days)
    first = (datetime.now(UTC) - timedelta(days=91)).date().isoformat()
    assert set(days) == {one["timestamp"][:10] for one in sent if one["timestamp"] >= first}
    for day in set(days):
        own = [one for one in sent if datetime.fromisoformat(one["timestamp"]).date().isoformat() == day]
        wanted = expected(own, "offer", 400)
        found = {row.pop("id"): row for row in rows if row["day"] == day}
        names = ("day", "name")
        assert {key: {k: v for k, v in row.items() if k not in names} for key, row in found.items()} == wanted


async def test_rates_are_percent_with_two_digits(api: Api) -> None:
    sent = [
        {"customerId": f"c{n}", "creativeId": "cr1", "outcome": kind, "idempotencyKey": f"{kind}{n}"}
        for kind, count in (("impression", 1250), ("click", 87))
        for n in range(count)
    ]
    await send(api, sent)
    [row] = (await api.get("/interaction-summary")).json()["data"]
    assert (row["id"], row["impression"], row["click"], row["ctr"], row["cvr"]) == ("o1", 1250, 87, 6.96, 0.0)


async def test_implicit_impressions_are_no_outcomes(api: Api) -> None:
    await api.put("/channels/ch1", {"impressionMode": "implicit"})
    body = (await api.post("/recommend", {"customerId": "c1"})).json()
    [rank] = [one["rank"] for one in body["decisions"] if one["channelId"] == "ch1"]
    assert (await rolled(api, "groupBy=channel"))["ch1"]["impression"] == 1
    assert (await rolled(api, "groupBy=channel"))["ch1"]["total"] == 0
    answer = await api.respond(
        "k", creativeId=..., outcome="impression", recommendationId=body["recommendationId"], rank=rank
    )
    assert answer.status_code == 201
    after = (await rolled(api, "groupBy=channel"))["ch1"]
    assert (after["impression"], after["total"], after["neutral"]) == (1, 1, 1)


async def test_the_position_is_that_of_the_last_event(api: Api) -> None:
    position = int((await api.respond("k")).headers["X-Log-Position"])
    assert (await api.get("/interaction-summary")).json()["position"] == position


async def test_old_days_expire_and_bad_queries_are_refused(api: Api) -> None:
    await api.put("/settings", {"retentionDays": 10})
    await api.respond("old", timestamp=(NOW - timedelta(days=30)).isoformat())
    assert await rolled(api, "days=400") == {}
    for query in ("groupBy=customer", "days=0", "days=401", "days=x", "by=week", "by=day&days=93"):
        assert (await api.get(f"/interaction-summary?{query}")).status_code == 400
