"""kill -9 in the middle of load: what was acknowledged is in the log once and in the models once."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from anyio import to_thread

from storage.entry import Outcome
from tests.load import Load, send_all
from tests.service import Service, until

pytestmark = pytest.mark.anyio

OUTCOMES = 6_000
KILL_AFTER = 1_500


def outcome(number: int) -> dict[str, Any]:
    return {
        "customerId": f"c{number % 97}",
        "creativeId": ("cr1", "cr2")[number % 2],
        "outcome": ("click", "dismiss")[number % 3 == 0],
        "idempotencyKey": f"key-{number}",
    }


async def under_load(service: Service, tenant: str, kill: Callable[[], None]) -> tuple[dict[str, str], Load]:
    headers = service.tenant(tenant)

    async def act() -> None:
        await to_thread.run_sync(kill)  # the load goes on while the process is looked for

    load = await send_all(service.port, headers, [outcome(i) for i in range(OUTCOMES)], at=(KILL_AFTER, act))
    return headers, load


async def nothing_lost_nothing_doubled(service: Service, tenant: str, headers: dict[str, str], load: Load) -> None:
    until(service.ready, 60, "the service is ready again")
    assert len(load.acknowledged) == OUTCOMES
    outcomes, shard, live = await service.fold(tenant)
    logged = [entry.body.interaction_id for entry in outcomes if isinstance(entry.body, Outcome)]
    assert len(logged) == len(set(logged)) == OUTCOMES
    assert set(logged) == {answer["interactionId"] for answer in load.acknowledged.values()}
    assert shard.state() == live, "a fresh fold of the log is byte for byte what lives"

    def learned() -> bool:
        arms = service.state(headers)
        return bool(arms["position"] >= outcomes[-1].position)

    until(learned, 30, "the model has learned from all")
    arms = service.state(headers)
    for index, offer in enumerate(("o1", "o2")):
        mine = [outcome(i)["outcome"] for i in range(OUTCOMES) if i % 2 == index]
        assert arms[offer]["positives"] == mine.count("click")
        assert arms[offer]["negatives"] == mine.count("dismiss")


async def test_killing_the_learner(service: Service) -> None:
    headers, load = await under_load(service, "learner", lambda: service.kill("ray::LearnerActor"))
    assert load.statuses == {201: OUTCOMES}, "callers notice nothing"
    await nothing_lost_nothing_doubled(service, "learner", headers, load)


async def test_killing_the_replica(service: Service) -> None:
    headers, load = await under_load(service, "replica", lambda: service.kill("ray::ServeReplica"))
    assert load.broken or set(load.statuses) - {200, 201}, "the kill came while requests were under way"
    await nothing_lost_nothing_doubled(service, "replica", headers, load)


async def test_killing_redis(service: Service) -> None:
    headers, load = await under_load(service, "redis", lambda: service.kill("redis-server"))
    assert load.statuses.get(503), "callers are asked to come back"
    await nothing_lost_nothing_doubled(service, "redis", headers, load)


async def test_bad_health_is_told_while_redis_is_away(service: Service) -> None:
    [server] = service.processes("redis-server")
    server.suspend()
    try:
        answer = until(lambda: _unready(service), 20, "readiness says that storage is away")
        assert answer.headers["Retry-After"] == "1"
        assert httpx.get(f"{service.url}/-/healthz", timeout=10).status_code == 200
    finally:
        server.resume()
    until(service.ready, 30, "the service is ready again")


def _unready(service: Service) -> httpx.Response | None:
    answer = httpx.get(f"{service.url}/-/readyz", timeout=15)
    return answer if answer.status_code == 503 and "storage does not answer" in answer.json()["reasons"] else None
