"""Frequency caps: counted in the commit, obeyed by the very next recommendation."""

import asyncio
import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from serve import tenancy
from storage import caps, periods
from storage.entry import Decision
from storage.log import read
from storage.scripts import joined
from tests.integration.conftest import Api
from tests.integration.source import names

pytestmark = pytest.mark.anyio

CAP = {"name": "Gold a day", "scope": "offer", "scopeId": "o1", "maxVolume": 3, "period": "daily"}


async def make(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await api.post("/frequency-caps", {**CAP, **changed})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def recommended(api: Api, customer: str = "c1", **more: Any) -> dict[str, Any]:
    answer = await api.post("/recommend", {"customerId": customer, "debug": True, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def offers(body: dict[str, Any]) -> set[str]:
    return {one["offerId"] for one in body["decisions"]}


async def impression(api: Api, key: str, **changed: Any) -> None:
    assert (await api.respond(key, outcome="impression", **changed)).status_code == 201


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(caps).failed == 0
    assert doctest.testmod(periods).failed == 0


async def test_a_cap_lives_through_create_read_update_delete(api: Api) -> None:
    made = await make(api, id="cap1")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert made["currentCount"] == 0
    assert made["resetAt"] == midnight.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (made["enabled"], made["version"], made["maxVolume"]) == (True, 1, 3)
    changed = (await api.put("/frequency-caps/cap1", {"maxVolume": 9, "enabled": False})).json()
    assert (changed["maxVolume"], changed["enabled"], changed["version"]) == (9, False, 2)
    assert (await api.get("/frequency-caps/cap1")).json() == changed
    assert (await api.get("/frequency-caps")).json()["data"] == [changed]
    assert (await api.delete("/frequency-caps/cap1")).status_code == 204
    assert (await api.get("/frequency-caps/cap1")).status_code == 404
    assert (await api.get("/frequency-caps")).json()["data"] == []
    rows = (await api.get("/audit-logs?limit=3")).json()["data"]
    assert [(row["action"], row["entityType"]) for row in rows] == [
        ("delete", "frequencyCap"),
        ("update", "frequencyCap"),
        ("create", "frequencyCap"),
    ]


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"maxVolume": 0}, 400, "maxVolume"),
        ({"maxVolume": "3"}, 400, "maxVolume"),
        ({"period": "hourly"}, 400, "period"),
        ({"scope": "customer"}, 400, "scope"),
        ({"scopeId": None}, 400, "scopeId"),
        ({"scopeId": "o9"}, 400, "scopeId"),
        ({"name": "Other"}, 400, "period"),
        ({"period": "weekly"}, 409, ""),
    ],
)
async def test_what_breaks_a_rule_is_refused(api: Api, changed: dict[str, Any], status: int, field: str) -> None:
    await make(api)
    fresh = {"name": "Other", "period": "monthly"} if "period" not in changed and "name" not in changed else {}
    answer = await api.post("/frequency-caps", {**CAP, **fresh, **changed})
    assert answer.status_code == status, answer.text
    if field:
        assert answer.json()["error"]["details"][0]["field"] == field


@pytest.mark.parametrize(("scope", "scope_id"), [("offer", "o1"), ("category", "cat1"), ("channel", "ch1")])
@pytest.mark.parametrize("period", ["daily", "weekly", "monthly"])
async def test_what_is_reached_is_no_candidate(api: Api, scope: str, scope_id: str, period: str) -> None:
    cap = await make(api, scope=scope, scopeId=scope_id, period=period, maxVolume=2)
    await impression(api, "i1")
    assert offers(await recommended(api)) == {"o1", "o2"}
    await impression(api, "i2", customerId="c2")
    body = await recommended(api)
    assert offers(body) == {"o2"}
    assert {"offerId": "o1", "reason": "frequencyCap", "ruleId": cap["id"]} in body["meta"]["removed"]
    assert (body["meta"]["candidateCount"], body["meta"]["afterSuppression"]) == (2, 2)
    assert body["meta"]["afterContactPolicy"] == 1
    assert (await api.get(f"/frequency-caps/{cap['id']}")).json()["currentCount"] == 2


async def test_only_deliveries_count(api: Api) -> None:
    cap = await make(api)
    for key, outcome in enumerate(("click", "dismiss", "not_presented", "expired", "view")):
        await api.respond(f"k{key}", outcome=outcome)
    await impression(api, "i1")
    await api.respond("i1", outcome="impression")  # a duplicate
    assert (await api.get(f"/frequency-caps/{cap['id']}")).json()["currentCount"] == 1


async def test_a_late_delivery_counts_in_its_own_period(api: Api) -> None:
    monthly = await make(api, name="m", period="monthly")
    daily = await make(api)
    await impression(api, "late", timestamp=(datetime.now(UTC) - timedelta(days=40)).isoformat())
    for cap in (daily, monthly):
        assert (await api.get(f"/frequency-caps/{cap['id']}")).json()["currentCount"] == 0


async def test_deliveries_before_the_cap_count_and_changes_hold_at_once(api: Api) -> None:
    await impression(api, "i1")
    cap = await make(api, maxVolume=1)
    assert cap["currentCount"] == 1
    assert offers(await recommended(api)) == {"o2"}
    await api.put(f"/frequency-caps/{cap['id']}", {"maxVolume": 2})
    assert offers(await recommended(api)) == {"o1", "o2"}
    await impression(api, "i2")
    assert offers(await recommended(api)) == {"o2"}
    await api.put(f"/frequency-caps/{cap['id']}", {"enabled": False})
    assert offers(await recommended(api)) == {"o1", "o2"}


async def test_everything_capped_is_an_empty_answer(api: Api) -> None:
    await make(api, maxVolume=1)
    await make(api, name="other", scopeId="o2", maxVolume=1)
    await impression(api, "i1")
    await impression(api, "i2", creativeId="cr2")
    assert (await recommended(api))["decisions"] == []


async def test_caps_hold_under_concurrency(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 recommendations at once, each delivered as it is made: the cap is exact, whatever a replica remembers."""
    await api.put("/channels/ch1", {"impressionMode": "implicit"})
    cap = await make(api, maxVolume=100)
    monkeypatch.setattr(tenancy, "REACHED_MS", 0)
    bodies = await asyncio.gather(*(recommended(api, f"c{n}") for n in range(200)))
    shown = [body for body in bodies if "o1" in offers(body)]
    assert len(shown) == 100
    assert (await api.get(f"/frequency-caps/{cap['id']}")).json()["currentCount"] == 100
    entries = [
        e.body for e in await read(api.redis, api.partition, 0, count=10_000) if isinstance(e.body, Decision)
    ]
    own = [body for body in entries if body.tenant == api.tenant]
    with_it = [n for n, body in enumerate(own) if any(one.resolution.offer_id == "o1" for one in body.shown)]
    assert len(own) == 200
    assert with_it == list(range(100)), "once it was reached, no later decision has it"


async def test_periods_are_right_in_every_year(api: Api) -> None:
    rng = np.random.default_rng(2)
    moments = [
        datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=d) for year in range(1998, 2034) for d in (-3, 0, 3)
    ]
    moments += [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(rng.integers(2**34))) for _ in range(200)]
    lua = joined("batch", "summary", "caps")
    script = f"{lua}\nlocal p = periods(tonumber(ARGV[1]))\nreturn {{p[1][1], p[2][1], p[3][1], p[2][2]}}"
    for moment in moments:
        time_ms = int(moment.timestamp()) * 1000
        *got, week_end = await api.redis.eval(script, 0, str(time_ms))
        kinds: tuple[periods.Period, ...] = ("daily", "weekly", "monthly")
        assert [one.decode() for one in got] == [periods.period_key(kind, moment.date()) for kind in kinds], moment
        assert week_end * 86_400_000 == caps.reset_ms("weekly", time_ms)


async def test_a_tenants_deliveries_expire(api: Api) -> None:
    await impression(api, "i1")
    keys = await names(api.redis, f"*f:{api.tenant}:*")
    assert len(keys) == 3
    for key in keys:
        assert 0 < await api.redis.pttl(key) <= 33 * 86_400_000
