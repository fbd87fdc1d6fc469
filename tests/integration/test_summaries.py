"""Summaries of customers against a plain computation over the same events."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from storage import keys
from storage.entry import Outcome
from storage.log import read
from storage.scripts import joined
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
DAYS_AGO = (0, 0, 1, 6, 29, 31, 200, 390)
CLASSES = {"click": "positive", "purchase": "positive", "dismiss": "negative", "impression": "neutral"}
OF_CREATIVE = {"cr1": ("o1", "cr1", "ch1"), "cr2": ("o2", "cr2", "ch2")}


def events(count: int, seed: int) -> list[dict[str, Any]]:
    """Return outcomes of three customers over 390 days, out of order; values are exact in binary."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        time = NOW - timedelta(days=DAYS_AGO[rng.integers(8)], seconds=int(rng.integers(86_400)))
        kind = list(CLASSES)[rng.integers(4)]
        made.append(
            {
                "customerId": f"c{n % 3}",
                "creativeId": ("cr1", "cr2")[rng.integers(2)],
                "outcome": kind,
                "timestamp": time.isoformat().replace("+00:00", "Z"),
                "conversionValue": int(rng.integers(400)) / 4 if kind == "purchase" else None,
                "direction": ("inbound", "outbound")[rng.integers(2)],
                "idempotencyKey": f"e{n}",
            }
        )
    return made


def period_of(time: datetime, kind: str) -> str:
    week = time.isocalendar()
    return {
        "daily": f"{time:%Y-%m-%d}",
        "weekly": f"{week.year}-W{week.week:02d}",
        "monthly": f"{time:%Y-%m}",
        "alltime": "alltime",
    }[kind]


def expected(sent: list[dict[str, Any]], customer: str, kind: str) -> list[dict[str, Any]]:
    """Return the rows that the events make, computed one by one."""
    groups: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in sent:
        if one["customerId"] == customer:
            time = datetime.fromisoformat(one["timestamp"])
            groups[(period_of(time, kind), *OF_CREATIVE[one["creativeId"]])].append(one)
    rows = []
    for (period, offer, creative, channel), own in sorted(groups.items()):
        latest = max(enumerate(own), key=lambda pair: (datetime.fromisoformat(pair[1]["timestamp"]), pair[0]))[1]
        classes = [CLASSES[one["outcome"]] for one in own]
        rows.append(
            {
                "customerId": customer,
                "offerId": offer,
                "creativeId": creative,
                "channelId": channel,
                "periodType": kind,
                "periodKey": period,
                "impressions": sum(one["outcome"] == "impression" for one in own),
                "positive": classes.count("positive"),
                "negative": classes.count("negative"),
                "neutral": classes.count("neutral"),
                "converts": sum(one["outcome"] == "purchase" for one in own),
                "totalValue": sum(one["conversionValue"] or 0.0 for one in own),
                "lastContactAt": latest["timestamp"].replace("Z", ".000Z"),
                "lastOutcomeKey": latest["outcome"],
                "direction": latest["direction"],
            }
        )
    return rows


async def send(api: Api, sent: list[dict[str, Any]]) -> None:
    for start in range(0, len(sent), 500):
        answer = await api.post("/respond/bulk", {"outcomes": sent[start : start + 500]})
        assert answer.json()["failed"] == 0, answer.text


async def summaries(api: Api, customer: str, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await api.get(f"/interaction-summaries?customerId={customer}&limit=7{query}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["data"]
        if not page["pagination"]["hasMore"]:
            assert page["pagination"]["total"] == len(rows)
            return rows
        cursor = f"&cursor={page['pagination']['nextCursor']}"


@pytest.mark.parametrize("kind", ["daily", "weekly", "monthly", "alltime"])
async def test_every_number_is_that_of_a_plain_computation(api: Api, kind: str) -> None:
    sent = events(600, seed=3)
    await send(api, sent)
    await send(api, sent[:100])  # duplicates count nothing
    for customer in ("c0", "c1", "c2"):
        rows = await summaries(api, customer, f"&periodType={kind}")
        assert rows == expected(sent, customer, kind)


async def test_dates_are_right_in_every_year(api: Api) -> None:
    """What the script makes of a time, over leap years and turns of centuries, far beyond what is kept."""
    rng = np.random.default_rng(1)
    moments = [datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC) for year in (1970, 1999, 2000, 2024, 2100, 2400)]
    moments += [moment + timedelta(seconds=1) for moment in moments]
    moments += [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(rng.integers(2**34))) for _ in range(200)]
    functions = joined("batch", "summary")
    script = f"{functions}\nreturn {{civil(math.floor(ARGV[1] / DAY_MS))}}"
    for moment in moments:
        got = await api.redis.eval(script, 0, str(int(moment.timestamp()) * 1000))
        assert got == [moment.year, moment.month, moment.day], moment


async def test_filters_and_bad_queries(api: Api) -> None:
    await send(api, events(60, seed=4))
    rows = await summaries(api, "c0", "&periodType=alltime&offerId=o1")
    assert [row["offerId"] for row in rows] == ["o1"]
    rows = await summaries(api, "c0", "&channelId=ch2")
    assert {row["channelId"] for row in rows} == {"ch2"}
    assert {row["periodType"] for row in rows} == {"daily", "weekly", "monthly", "alltime"}
    assert await summaries(api, "nobody") == []
    wrong = ("periodType=hourly", "limit=0", "cursor=x")
    for query in ("", "?customerId=", *(f"?customerId=c&{one}" for one in wrong)):
        answer = await api.get(f"/interaction-summaries{query}")
        assert answer.status_code == 400, query
        assert answer.json()["error"]["code"] == "BAD_REQUEST"


async def test_what_the_body_says_of_offer_and_channel_does_not_count(api: Api) -> None:
    await api.respond("k1", offerId="o2", channelId="ch2")
    [row] = await summaries(api, "c1", "&periodType=alltime")
    assert (row["offerId"], row["creativeId"], row["channelId"]) == ("o1", "cr1", "ch1")


async def test_days_expire_and_all_time_stays(api: Api) -> None:
    await api.put("/settings", {"retentionDays": 10})
    await api.respond("new")
    await api.respond("old", timestamp=(NOW - timedelta(days=60)).isoformat())
    [alltime] = await summaries(api, "c1", "&periodType=alltime")
    assert alltime["positive"] == 2
    [day] = await summaries(api, "c1", "&periodType=daily")
    assert (day["positive"], day["periodKey"]) == (1, f"{datetime.now(UTC):%Y-%m-%d}")
    month = keys.summary_key(api.partition, api.tenant, f"{datetime.now(UTC):%Y-%m}", "c1")
    life_days = await api.redis.pttl(month) / 86_400_000
    assert 10 <= life_days <= 10 + 32
    assert await api.redis.pttl(keys.summary_key(api.partition, api.tenant, "all", "c1")) == -1


async def test_the_log_makes_the_same_numbers(api: Api) -> None:
    """Nothing is counted that is not in the log, in the order of the log."""
    sent = events(300, seed=5)
    await send(api, sent)
    entries = [e for e in await read(api.redis, api.partition, 0, count=10_000) if isinstance(e.body, Outcome)]
    own = [e for e in entries if e.body.tenant == api.tenant]
    told = [
        {
            "customerId": e.body.customer_id,
            "creativeId": e.resolution.creative_id,
            "outcome": e.body.outcome,
            "timestamp": datetime.fromtimestamp(e.event_time_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
            "conversionValue": e.body.value,
            "direction": e.body.direction,
        }
        for e in own
        if isinstance(e.body, Outcome) and e.resolution is not None
    ]
    for kind in ("daily", "alltime"):
        assert await summaries(api, "c0", f"&periodType={kind}") == expected(told, "c0", kind)
