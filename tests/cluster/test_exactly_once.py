"""Exactly once, over real HTTP, through Ray Serve, Redis and a learner actor."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from storage import client, summaries
from storage.entry import Outcome
from storage.keys import partition_of
from tests.load import Connection, send_all
from tests.service import Service, until

pytestmark = pytest.mark.anyio

OUTCOMES = 20_000
KINDS = ("click", "dismiss", "view", "impression", "purchase")


def outcome(number: int) -> dict[str, Any]:
    return {
        "customerId": f"c{number % 97}",
        "creativeId": ("cr1", "cr2")[number % 2],
        "outcome": KINDS[number % len(KINDS)],
        "idempotencyKey": f"key-{number}",
    }


async def test_64_concurrent_requests_with_one_key_record_once(service: Service) -> None:
    headers = service.tenant("one-key")
    body = json.dumps(outcome(0)).encode()

    async def ask() -> tuple[int, bytes]:
        connection = Connection(service.port, headers)
        try:
            return await connection.post("/api/v1/respond", body)
        finally:
            await connection.close()

    answers = await asyncio.gather(*(ask() for _ in range(64)))
    assert Counter(status for status, _ in answers) == {201: 1, 200: 63}
    assert len({json.loads(content)["interactionId"] for _, content in answers}) == 1
    outcomes, shard, live = await service.fold("one-key")
    assert len(outcomes) == 1
    assert shard.state() == live
    arm = service.state(headers)["o1"]
    assert (arm["pulls"], arm["parameters"]) == (1, {"alpha": 2.0, "beta": 1.0})


async def test_20_000_outcomes_are_logged_counted_and_learned_once(service: Service) -> None:
    headers = service.tenant("many")
    load = await send_all(service.port, headers, [outcome(i) for i in range(OUTCOMES)], connections=32)
    assert load.statuses == {201: OUTCOMES}

    outcomes, shard, live = await service.fold("many")
    assert len(outcomes) == OUTCOMES
    positions = [entry.position for entry in outcomes]
    assert positions == list(range(positions[0], positions[0] + OUTCOMES)), "a gap, or a stranger in between"
    bodies = [entry.body for entry in outcomes if isinstance(entry.body, Outcome)]
    assert {body.interaction_id for body in bodies} == {a["interactionId"] for a in load.acknowledged.values()}
    assert shard.state() == live

    def all_learned() -> bool:
        return bool(service.state(headers)["position"] >= positions[-1])

    until(all_learned, 10, "the model has learned from all")
    state = service.state(headers)
    expected = Counter((i % 2, KINDS[i % len(KINDS)]) for i in range(OUTCOMES))
    for index, offer in enumerate(("o1", "o2")):
        wins = expected[index, "click"] + expected[index, "purchase"]
        losses = expected[index, "dismiss"]
        assert state[offer]["parameters"] == {"alpha": 1.0 + wins, "beta": 1.0 + losses}
        assert (state[offer]["positives"], state[offer]["negatives"]) == (wins, losses)

    async with client.reader(service.redis_url) as redis:
        for customer in ("c0", "c96"):
            rows = await summaries.read(redis, partition_of("many", 64), "many", customer, ["alltime"], 0, 1)
            counted = {row.creative_id: row for row in rows}
            mine = [outcome(i) for i in range(OUTCOMES) if outcome(i)["customerId"] == customer]
            for creative in ("cr1", "cr2"):
                kinds = Counter(one["outcome"] for one in mine if one["creativeId"] == creative)
                row = counted[creative]
                assert row.positive == kinds["click"] + kinds["purchase"]
                assert row.negative == kinds["dismiss"]
                assert row.neutral == kinds["view"] + kinds["impression"]
                assert row.impressions == kinds["impression"]
                assert row.converts == kinds["purchase"]
