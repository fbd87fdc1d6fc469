"""Contact policies: the very next recommendation obeys, and suppressions are what a plain computation says."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
PLACES = {"cr1": {"offer": "o1", "channel": "ch1"}, "cr2": {"offer": "o2", "channel": "ch2"}}
SCOPES = [("global", None), ("offer", "o1"), ("channel", "ch2"), ("creative", "cr1")]


def policy(
    name: str, rule: str, config: dict[str, Any], *scopes: tuple[str, str | None], **more: Any
) -> dict[str, Any]:
    given = [{"scope": scope, "scopeId": scope_id} for scope, scope_id in scopes or SCOPES[:1]]
    return {"name": name, "ruleType": rule, "config": config, "scopes": given, **more}


async def create(api: Api, *args: Any, **more: Any) -> dict[str, Any]:
    answer = await api.post("/contact-policies", policy(*args, **more))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def offers(api: Api, customer: str = "c1") -> set[str]:
    answer = await api.post("/recommend", {"customerId": customer})
    assert answer.status_code == 200, answer.text
    return {one["offerId"] for one in answer.json()["decisions"]}


async def suppressed(api: Api, customer: str) -> list[dict[str, Any]]:
    answer = await api.get(f"/customers/{customer}/suppressions", params={"limit": 100})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def test_an_unsubscription_silences_at_once_and_for_its_offer_alone(api: Api) -> None:
    made = await create(
        api, "quiet", "outcome_based", {"afterOutcome": ["unsubscribe"], "suppressForDays": 30}, ("offer", "o1")
    )
    before = await offers(api)
    assert "o1" in before
    time = NOW - timedelta(days=2)
    assert (await api.respond("u", outcome="unsubscribe", timestamp=time.isoformat())).status_code == 201
    assert await offers(api) == before - {"o1"}
    assert await offers(api, "c2") == before
    [row] = await suppressed(api, "c1")
    assert row == {
        "policyId": made["id"],
        "policyName": "quiet",
        "ruleType": "outcome_based",
        "scope": "offer",
        "scopeId": "o1",
        "until": (time + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    meta = (await api.post("/recommend", {"customerId": "c1", "debug": True})).json()["meta"]
    assert {"offerId": "o1", "reason": "suppressed", "ruleId": made["id"]} in meta["removed"]
    assert meta["candidateCount"] - meta["afterSuppression"] == 1
    assert (await api.put(f"/contact-policies/{made['id']}", {"status": "paused"})).status_code == 200
    assert await offers(api) == before
    assert await suppressed(api, "c1") == []


async def test_a_wrong_channel_in_the_body_counts_nowhere(api: Api) -> None:
    await create(api, "once", "frequency_cap", {"maxPerDay": 1}, ("channel", "ch1"))
    await create(api, "other", "frequency_cap", {"maxPerDay": 1}, ("channel", "ch2"))
    await api.respond("i", outcome="impression", channelId="ch2", offerId="o2")
    assert [row["scopeId"] for row in await suppressed(api, "c1")] == ["ch1"]


async def test_limits_hold_when_many_ask_at_once(api: Api) -> None:
    assert (await api.put("/channels/ch1", {"impressionMode": "implicit"})).status_code == 200
    await create(api, "three a day", "frequency_cap", {"maxPerDay": 3})
    body = {"customerId": "c1", "channel": "ch1", "limit": 1}
    answers = await asyncio.gather(*(api.post("/recommend", body) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    shown = sum(answer.json().get("count", 0) for answer in answers)
    assert shown == 3
    meta = (await api.post("/recommend", {**body, "debug": True})).json()["meta"]
    assert (meta["afterSuppression"] > 0, meta["afterContactPolicy"]) == (True, 0)


def counts(event: dict[str, Any], scope: str, scope_id: str | None) -> bool:
    creative = event["creativeId"]
    ids: dict[str, str | None] = {"global": None, "creative": creative, **PLACES[creative]}
    return ids[scope] == scope_id


def period(time: datetime, name: str) -> Any:
    return {"Day": time.date(), "Week": time.isocalendar()[:2], "Month": (time.year, time.month)}[name]


def expected(events: list[dict[str, Any]], rules: list[dict[str, Any]]) -> set[tuple[str, str, str | None]]:
    """Return what the rules hold back now: policy name, scope, scope id."""
    found = set()
    for rule in rules:
        for scope in rule["scopes"]:
            own = [one for one in events if counts(one, scope["scope"], scope["scopeId"])]
            times = [one["time"] for one in own if one["outcome"] == "impression"]
            config = rule["config"]
            held = False
            match rule["ruleType"]:
                case "frequency_cap":
                    for name in ("Day", "Week", "Month"):
                        limit = config.get(f"maxPer{name}")
                        if limit is not None:
                            held |= sum(period(time, name) == period(NOW, name) for time in times) >= limit
                case "cooldown":
                    held = any(time + timedelta(hours=config["cooldownHours"]) > NOW for time in times)
                case "outcome_based":
                    days = timedelta(days=config["suppressForDays"])
                    held = any(one["outcome"] in config["afterOutcome"] and one["time"] + days > NOW for one in own)
            if held:
                found.add((rule["name"], scope["scope"], scope["scopeId"]))
    return found


async def test_suppressions_equal_a_plain_computation(api: Api) -> None:
    silence = {"afterOutcome": ["dismiss", "unsubscribe"], "suppressForDays": 9.5}
    rules = [
        policy("limits", "frequency_cap", {"maxPerDay": 3, "maxPerWeek": 5, "maxPerMonth": 9}, *SCOPES),
        policy("pause", "cooldown", {"cooldownHours": 30.5}, *SCOPES),
        policy("no", "outcome_based", silence, *SCOPES),
    ]
    for rule in rules:
        assert (await api.post("/contact-policies", rule)).status_code == 201
    rng = np.random.default_rng(5)
    events: dict[str, list[dict[str, Any]]] = {f"p{n}": [] for n in range(12)}
    outcomes = []
    for n in range(150):
        customer = f"p{rng.integers(12)}"
        time = NOW - timedelta(minutes=int(rng.integers(40 * 24 * 60)) // int(rng.integers(1, 30)))
        kind = ("impression", "impression", "dismiss", "click", "unsubscribe")[rng.integers(5)]
        event = {"creativeId": ("cr1", "cr2")[rng.integers(2)], "outcome": kind}
        events[customer].append({**event, "time": time})
        more = {"customerId": customer, "timestamp": time.isoformat(), "idempotencyKey": f"k{n}"}
        outcomes.append({**event, **more})
    assert (await api.post("/respond/bulk", {"outcomes": outcomes})).json()["recorded"] == 150
    seen = set()
    for customer, own in events.items():
        found = {(row["policyName"], row["scope"], row["scopeId"]) for row in await suppressed(api, customer)}
        assert found == expected(own, rules), customer
        seen |= found
    assert len(seen) > 8, "the traffic must make most of the rules bite"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"ruleType": "never"}, "ruleType"),
        ({"config": {}}, "config"),
        ({"config": {"maxPerDay": 0}}, "config.maxPerDay"),
        ({"config": {"cooldownHours": 3}}, "config.cooldownHours"),
        ({"ruleType": "cooldown", "config": {}}, "config.cooldownHours"),
        (
            {"ruleType": "outcome_based", "config": {"afterOutcome": ["x"], "suppressForDays": 1}},
            "config.afterOutcome",
        ),
        ({"ruleType": "time_window", "config": {"startHour": 5, "endHour": 5}}, "config"),
        ({"ruleType": "time_window", "config": {"allowedDays": ["monday"]}}, "config.allowedDays.0"),
        ({"scopes": [{"scope": "offer"}]}, "scopes.0"),
        ({"scopes": [{"scope": "offer", "scopeId": "nothing"}]}, "scopes.0.scopeId"),
        ({"scopes": []}, "scopes"),
        ({"priority": -1}, "priority"),
    ],
)
async def test_a_broken_rule_is_named(api: Api, changed: dict[str, Any], field: str) -> None:
    answer = await api.post("/contact-policies", {**policy("p", "frequency_cap", {"maxPerDay": 1}), **changed})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["details"][0]["field"] == field
    assert error["message"].startswith(f"{field} "), error


async def test_policies_are_kept_by_the_rules_of_all_configuration(api: Api) -> None:
    made = await create(api, "p", "frequency_cap", {"maxPerDay": 1})
    assert (await api.post("/contact-policies", policy("p", "cooldown", {"cooldownHours": 1}))).status_code == 409
    assert (await api.get(f"/contact-policies/{made['id']}")).json() == made
    changed = (await api.put(f"/contact-policies/{made['id']}", {"config": {"maxPerWeek": 2}})).json()
    assert (changed["config"], changed["version"]) == ({"maxPerWeek": 2}, 2)
    assert [one["id"] for one in (await api.get("/contact-policies")).json()["data"]] == [made["id"]]
    assert (await api.delete(f"/contact-policies/{made['id']}")).status_code == 204
    assert (await api.get(f"/contact-policies/{made['id']}")).status_code == 404
