"""The loop over real HTTP: recommend, respond, and the next choice is better."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from storage.entry import Decision, Entry, Outcome
from tests.load import Connection
from tests.service import Service, until

pytestmark = pytest.mark.anyio

CONNECTIONS = 8
CUSTOMERS = 5_000
RATES = {f"offer-{i}": rate for i, rate in enumerate([0.04, 0.06, 0.08, 0.45, 0.10, 0.12, 0.15, 0.20])}
"""The environment: eight offers, each clicked by this share of customers, whoever they are."""
BEST = "offer-3"
SEGMENTED = {"young": {"offer-0": 0.5, "offer-1": 0.1}, "old": {"offer-0": 0.1, "offer-1": 0.5}}
"""Another: two offers, and who likes which depends on the customer."""


def catalog(offers: list[str]) -> dict[str, Any]:
    return {
        "categories": [{"id": "cat", "name": "Loop cards"}],
        "channels": [{"id": "web", "name": "Shop", "channelType": "web"}],
        "placements": [{"id": "hero", "name": "Banner", "channelId": "web"}],
        "offers": [{"id": one, "name": one.title(), "categoryId": "cat"} for one in offers],
        "creatives": [
            {"id": f"cr-{one}", "name": f"{one} hero", "offerId": one, "channelId": "web", "placementId": "hero"}
            for one in offers
        ],
    }


@dataclass
class Loop:
    """Customers who are recommended one offer each and click as the environment says."""

    port: int
    headers: dict[str, str]
    rate: Callable[[dict[str, Any], str], float]
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    async def run(self, customers: list[dict[str, Any]], seed: int = 1) -> list[str]:
        """Return the offers shown, in order."""
        rng, shown = np.random.default_rng(seed), list[str]()
        waiting = list(enumerate(customers))[::-1]

        async def one_connection() -> None:
            connection = Connection(self.port, self.headers)
            while waiting:
                number, attributes = waiting.pop()
                shown.append(await self._one(connection, f"c{seed}-{number}", attributes, rng))
            await connection.close()

        await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
        return shown

    async def _one(
        self, connection: Connection, customer: str, attributes: dict[str, Any], rng: np.random.Generator
    ) -> str:
        request = {"customerId": customer, "placement": "hero", "limit": 1, "attributes": attributes}
        status, raw = await connection.post("/api/v1/recommend", json.dumps(request).encode())
        assert status == 200, raw
        recommendation = json.loads(raw)
        [decision] = recommendation["decisions"]
        clicked = rng.random() < self.rate(attributes, decision["offerId"])
        response = {
            "customerId": customer,
            "recommendationId": recommendation["recommendationId"],
            "rank": 1,
            "outcome": "click" if clicked else "dismiss",
            "idempotencyKey": customer,
        }
        status, raw = await connection.post("/api/v1/respond", json.dumps(response).encode())
        assert status == 201, raw
        self.answers.append((recommendation, json.loads(raw)))
        return str(decision["offerId"])


def api(service: Service, headers: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30)


async def test_five_thousand_customers_teach_the_service_the_best_offer(service: Service, tmp_path: Path) -> None:
    headers = service.tenant("loop")
    with api(service, headers) as http:
        assert http.put("/catalog", json=catalog(list(RATES))).status_code == 200
    loop = Loop(service.port, headers, lambda _, offer: RATES[offer])
    shown = await loop.run([{}] * CUSTOMERS)
    first, last = shown[:100], shown[-1000:]
    # Nothing is known at the very first: an eighth each, counted in 100 draws, within five standard errors.
    # How fast the share rises from there is chance: two clicks can do it.
    decisions = [e.body for e in await service.entries("loop") if isinstance(e.body, Decision)]
    assert abs(decisions[0].shown[0].propensity - 1 / 8) < 5 * (1 / 8 * 7 / 8 / 100) ** 0.5
    assert first.count(BEST) / 100 < last.count(BEST) / 1000
    assert last.count(BEST) / 1000 > 0.9
    await everything_is_in_the_log(service, "loop", loop)
    outcomes, shard, live = await service.fold("loop")
    assert len(outcomes) == CUSTOMERS
    assert shard.state() == live, "a fresh fold of the log is byte for byte what lives"
    service.command("export", "--tenant", "loop", "--out", str(tmp_path))
    evaluation_finds_the_environment(service, tmp_path / "loop.parquet", outcomes)


def evaluation_finds_the_environment(service: Service, log: Path, outcomes: list[Entry]) -> None:
    """What the service logged tells what other policies would have earned."""
    policies = {"uniform": float(np.mean(list(RATES.values()))), f"constant:{BEST}": RATES[BEST]}
    asked = [part for policy in policies for part in ("--policy", policy)]
    said = service.command("evaluate", str(log), "--json", "--estimator", "ips", "--policy", "logged", *asked)
    report = json.loads(said)
    values = {one["policy"]: one["estimates"][0] for one in report["policies"]}
    clicks = sum(isinstance(entry.body, Outcome) and entry.body.outcome == "click" for entry in outcomes)
    assert values["logged"]["value"] == pytest.approx(clicks / CUSTOMERS)
    for policy, value in policies.items():
        assert values[policy]["anytimeLower"] <= value <= values[policy]["anytimeUpper"]
    # Nine of ten customers saw the best offer: its value is known well.
    assert values[f"constant:{BEST}"]["value"] == pytest.approx(RATES[BEST], abs=0.05)


async def everything_is_in_the_log(service: Service, tenant: str, loop: Loop) -> None:
    entries = await service.entries(tenant)
    decisions = {e.body.recommendation_id: e.body for e in entries if isinstance(e.body, Decision)}
    outcomes = {e.body.interaction_id: e for e in entries if isinstance(e.body, Outcome)}
    assert len(decisions) == len(outcomes) == len(loop.answers)
    for recommendation, answer in loop.answers:
        [told] = recommendation["decisions"]
        [shown] = decisions[recommendation["recommendationId"]].shown
        entry = outcomes[answer["interactionId"]]
        assert entry.resolution == shown.resolution
        assert entry.decision is not None
        assert entry.decision.propensity == shown.propensity == told["propensity"]
        resolved = entry.resolution
        assert (resolved.offer_id, resolved.creative_id) == (told["offerId"], told["creativeId"])
        assert (resolved.channel_id, resolved.placement_id, resolved.category_id) == ("web", "hero", "cat")
        named = ("offerName", "creativeName", "channelName", "categoryName")
        assert [answer[name] for name in named] == [told[name] for name in named]


async def test_a_contextual_champion_shows_each_segment_what_it_likes(service: Service) -> None:
    headers = service.tenant("segments")
    offers = list(SEGMENTED["old"])
    loop = Loop(service.port, headers, lambda who, offer: SEGMENTED[who["segment"]][offer])
    rng = np.random.default_rng(5)
    customers = [
        {"segment": str(rng.choice(list(SEGMENTED))), "age": float(rng.normal(40, 10))} for _ in range(1_200)
    ]
    with api(service, headers) as http:
        for one in ("cr1", "cr2"):
            assert http.delete(f"/creatives/{one}").status_code == 204
        assert http.put("/catalog", json=catalog(offers)).status_code == 200
        await loop.run(customers[:300], seed=1)
        body = {"key": "linear", "modelType": "lin_ts", "status": "challenger", "config": {"explore": 0.3}}
        made = http.post("/algorithm-models", json={**body, "from": "log"}).json()
        assert made["trainingSamples"] == 300
        assert http.post(f"/algorithm-models/{made['id']}/promote", json={"to": "champion"}).status_code == 200
        await loop.run(customers[300:600], seed=2)
        shown = await loop.run(customers[600:], seed=3)
        assert len(shown) == 600
        last = loop.answers[-600:]
        features = {
            e.body.recommendation_id: e.body
            for e in await service.entries("segments")
            if isinstance(e.body, Decision)
        }
        liked = {"young": "offer-0", "old": "offer-1"}
        right = [
            told["decisions"][0]["offerId"] == liked[str(features[told["recommendationId"]].features["segment"])]
            for told, _ in last
        ]
        assert sum(right) / 600 > 0.9
        assert {told["modelKey"] for told, _ in last} == {"linear"}
        metrics = http.get(f"/algorithm-models/{made['id']}").json()["metrics"]
        assert metrics["auc"] > 0.55
    _, shard, live = await service.fold("segments")
    assert shard.state() == live


async def test_an_acknowledged_reward_is_in_the_next_recommendation_that_asks_for_it(service: Service) -> None:
    headers = service.tenant("fresh")
    with api(service, headers) as http:
        for i in range(200):
            outcome = {"customerId": "c", "creativeId": "cr1", "outcome": "click", "idempotencyKey": str(i)}
            position = http.post("/respond", json=outcome).headers["X-Log-Position"]
            answer = http.post(
                "/recommend", json={"customerId": "c", "debug": True}, headers={"X-Min-Log-Position": position}
            )
            assert int(answer.headers["X-Log-Position"]) >= int(position)
            assert answer.json()["meta"]["modelVersion"] == int(position)


async def test_a_killed_learner_leaves_recommendations_as_they_were(service: Service) -> None:
    headers = service.tenant("headless")
    with api(service, headers) as http:
        http.post("/recommend", json={"customerId": "c"})
        service.kill("ray::LearnerActor")
        statuses, asked = [], 0
        while asked < 50 or http.get("/algorithm-models").status_code != 200:
            statuses.append(http.post("/recommend", json={"customerId": "c"}).status_code)
            asked += 1
            assert asked < 20_000, "the learner never came back"
        assert set(statuses) == {200}
        outcome = {"customerId": "c", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "after"}
        position = int(http.post("/respond", json=outcome).headers["X-Log-Position"])

        def caught_up() -> bool:
            return int(http.post("/recommend", json={"customerId": "c"}).headers["X-Log-Position"]) >= position

        until(caught_up, 30, "recommendations follow the learner again")
