"""History and attribution through HTTP against a plain computation over the same events."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from learners.attribution import MODELS, credits_of, values_of
from storage import checkpoints, keys, log
from storage.entry import Outcome, Touch
from storage.events import KEPT
from tests.conftest import RedisIn, RedisServer
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
DAY_MS = 86_400_000
CLASSES = {"click": "positive", "purchase": "positive", "dismiss": "negative", "impression": "neutral"}
PLACES = {"cr1": ("o1", "ch1"), "cr2": ("o2", "ch2")}


@pytest.fixture(scope="module")
def redis_server(redis_in: RedisIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this module's own: it loses its logs to the archive, which other tests read from position 1."""
    with redis_in(tmp_path_factory.mktemp("trimmed")) as running:
        yield running


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to that Redis."""
    return str(tmp_path_factory.mktemp("archive"))


def sent(count: int, seed: int) -> list[dict[str, Any]]:
    """Return events of three customers over 60 days, told out of order, each with a false offer and channel."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        kind = list(CLASSES)[rng.integers(4)]
        creative = ("cr1", "cr2")[rng.integers(2)]
        made.append(
            {
                "customerId": f"c{n % 3}",
                "creativeId": creative,
                "outcome": kind,
                "timestamp": iso(NOW - timedelta(minutes=int(rng.integers(60 * 24 * 60)))),
                "conversionValue": int(rng.integers(1, 40_000)) / 100 if rng.random() < 0.3 else None,
                "offerId": "o2" if creative == "cr1" else "o1",
                "channelId": "ch2" if creative == "cr1" else "ch1",
                "context": {"n": n},
                "idempotencyKey": f"e{n}",
            }
        )
    return made


def iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


async def record(api: Api, events: list[dict[str, Any]]) -> None:
    for event in events:
        answer = await api.post("/respond", event)
        assert answer.status_code == 201, answer.text
        event["id"] = answer.json()["interactionId"]


async def everything(api: Api, path: str, **params: str) -> list[dict[str, Any]]:
    """Return all rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get(path, params={**params, **cursor, "limit": "7"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        rows += body["data"]
        if not body["pagination"]["hasMore"]:
            assert body["pagination"]["total"] == len(rows)
            return rows
        cursor = {"cursor": body["pagination"]["nextCursor"]}


def newest_first(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    numbered = sorted(enumerate(events), key=lambda pair: (ms(pair[1]["timestamp"]), pair[0]), reverse=True)
    return [event for _, event in numbered]


async def test_history_is_what_was_sent_newest_first(api: Api) -> None:
    events = sent(80, seed=1)
    await record(api, events)
    rows = await everything(api, "/interaction-history", customerId="c1")
    expected = newest_first([one for one in events if one["customerId"] == "c1"])
    assert [row["id"] for row in rows] == [one["id"] for one in expected]
    for row, one in zip(rows, expected, strict=True):
        assert (row["offerId"], row["channelId"]) == PLACES[one["creativeId"]]
        assert row["creativeId"] == one["creativeId"]
        assert row["timestamp"] == one["timestamp"]
        assert row["classification"] == CLASSES[one["outcome"]]
        assert row["context"] == one["context"]
        assert row["conversionValue"] == one["conversionValue"]
        assert row["beforeDecision"] is False
    clicks = await everything(api, "/interaction-history", customerId="c1", type="click", offerId="o1")
    wanted = [one for one in expected if one["outcome"] == "click" and one["creativeId"] == "cr1"]
    assert [row["id"] for row in clicks] == [one["id"] for one in wanted]
    of_all = await everything(api, "/interaction-history")
    assert [row["id"] for row in of_all] == [one["id"] for one in newest_first(events)]


@pytest.mark.parametrize("segment_entries", [5])
async def test_history_reads_what_only_the_archive_has(api: Api) -> None:
    events = sent(30, seed=2)
    await record(api, events)
    before = await everything(api, "/interaction-history", customerId="c2")
    attributed = await everything(api, "/attribution", customerId="c2")
    [last] = await log.heads(api.redis, [api.partition])
    async with asyncio.timeout(20):
        while await checkpoints.archived(api.redis, api.partition) <= last - 5:
            await asyncio.sleep(0.05)
    assert await everything(api, "/interaction-history", customerId="c2") == before
    assert await everything(api, "/attribution", customerId="c2") == attributed
    assert any(one["touches"] for one in attributed)


async def test_a_delivery_counted_by_a_decision_is_in_the_history(api: Api) -> None:
    assert (await api.put("/channels/ch1", {"impressionMode": "implicit"})).status_code == 200
    body = {"customerId": "c7", "channel": "ch1", "context": {"page": "home"}}
    decided = (await api.post("/recommend", body)).json()
    [shown] = [one for one in decided["decisions"] if one["creativeId"] == "cr1"]
    rows = {row["id"]: row for row in await everything(api, "/interaction-history", customerId="c7")}
    assert set(rows) == {one["interactionId"] for one in decided["decisions"]}
    row = rows[shown["interactionId"]]
    assert (row["outcome"], row["classification"], row["direction"]) == ("impression", "neutral", "outbound")
    assert (row["recommendationId"], row["rank"]) == (decided["recommendationId"], shown["rank"])
    assert (row["offerId"], row["context"]) == ("o1", {"page": "home"})


async def test_history_keeps_a_bounded_number_of_events(api: Api) -> None:
    outcomes = [
        {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": f"b{n}"}
        for n in range(KEPT + 20)
    ]
    assert (await api.post("/respond/bulk", {"outcomes": outcomes})).status_code == 207
    answer = (await api.get("/interaction-history", params={"customerId": "c1", "limit": "1"})).json()
    assert answer["pagination"]["total"] == KEPT
    assert await api.redis.pttl(keys.customer_events_key(api.partition, api.tenant, "c1")) > 0


def expected_touches(events: list[dict[str, Any]], place: int, known: int) -> list[dict[str, Any]]:
    """Return what came before event `place` among the first `known` events, oldest first."""
    conversion = events[place]
    time = ms(conversion["timestamp"])
    touches = [
        (ms(one["timestamp"]), n, one)
        for n, one in enumerate(events[:known])
        if n != place
        and one["customerId"] == conversion["customerId"]
        and (one["outcome"] == "impression" or CLASSES[one["outcome"]] == "positive")
        and time - 30 * DAY_MS <= ms(one["timestamp"])
        and (ms(one["timestamp"]), n) < (time, place)
    ]
    return [one for _, _, one in sorted(touches, key=lambda touch: touch[:2])]


def is_conversion(one: dict[str, Any]) -> bool:
    positive = CLASSES[one["outcome"]] == "positive"
    return positive and (one["outcome"] == "purchase" or one["conversionValue"] is not None)


def check(row: dict[str, Any], conversion: dict[str, Any], touches: list[dict[str, Any]], model: Any) -> None:
    times = [ms(one["timestamp"]) for one in touches]
    total = conversion["conversionValue"] or 0.0
    shares = credits_of(model, times, ms(conversion["timestamp"]))
    assert row["conversionId"] == conversion["id"]
    assert row["conversionValue"] == total
    assert [touch["timestamp"] for touch in row["touches"]] == [one["timestamp"] for one in touches]
    assert [touch["creativeId"] for touch in row["touches"]] == [one["creativeId"] for one in touches]
    assert [(touch["offerId"], touch["channelId"]) for touch in row["touches"]] == [
        PLACES[one["creativeId"]] for one in touches
    ]
    assert [touch["credit"] for touch in row["touches"]] == shares
    assert [touch["attributedValue"] for touch in row["touches"]] == values_of(total, shares)


async def test_conversions_out_of_order_are_attributed_to_what_was_known_and_anew_to_all(api: Api) -> None:
    events = sent(90, seed=3)
    await record(api, events)
    by_id = {one["id"]: place for place, one in enumerate(events)}
    late = 0
    for model in MODELS:
        rows = await everything(api, "/attribution", customerId="c0", model=model)
        wanted = [one for one in newest_first(events) if one["customerId"] == "c0" and is_conversion(one)]
        assert [row["conversionId"] for row in rows] == [one["id"] for one in wanted]
        for row in rows:
            place = by_id[row["conversionId"]]
            check(row, events[place], expected_touches(events, place, place), model)
            body = {"customerId": "c0", "conversionId": row["conversionId"], "model": model}
            anew = await api.post("/attribution", body)
            assert anew.status_code == 200, anew.text
            check(anew.json(), events[place], expected_touches(events, place, len(events)), model)
            late += anew.json()["touches"] != row["touches"]
    assert late > 0


async def test_attribution_says_what_it_does_not_know(api: Api) -> None:
    await api.respond("a", outcome="dismiss")
    click = (await api.respond("b")).json()
    purchase = (await api.respond("c", outcome="purchase")).json()
    conversion = purchase["interactionId"]
    for customer, wrong in (("c1", "int_x"), ("c1", click["interactionId"]), ("c2", conversion)):
        answer = await api.post("/attribution", {"customerId": customer, "conversionId": wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    body = {"customerId": "c1", "conversionId": conversion, "conversionValue": 30}
    answer = (await api.post("/attribution", body)).json()
    assert (answer["conversionValue"], answer["touches"][0]["attributedValue"]) == (30, 30)
    for bad in ({"model": "best"}, {"conversionValue": -1}, {"customerId": None}, {"conversionId": 7}):
        assert (await api.post("/attribution", {**body, **bad})).status_code == 400
    assert (await api.get("/attribution", params={"model": "best"})).status_code == 400


async def test_the_entry_carries_the_touches(api: Api) -> None:
    await api.respond("a")
    await api.respond("b", outcome="purchase", conversionValue=12.5)
    archived = await checkpoints.archived(api.redis, api.partition)
    outcomes = [e for e in await log.read(api.redis, api.partition, archived) if isinstance(e.body, Outcome)]
    click, purchase = (entry for entry in outcomes if entry.body.tenant == api.tenant)
    assert click.touches == []
    [touch] = purchase.touches
    assert touch == Touch("o1", "cr1", "ch1", click.time_ms)
