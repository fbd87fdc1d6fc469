"""A cluster of three Ray nodes, one of which dies: its learners move, and the promises hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from anyio import to_thread

from storage.entry import Outcome
from tests.load import send_all
from tests.nodes import Node, nodes
from tests.redis_server import external_redis
from tests.serverun import ray_environment, ray_service
from tests.service import Service, environment_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

OUTCOMES, KILL_AFTER = 6_000, 1_500
LEARNERS = 6
LEARNER = "ray::Learner"
PEPPER = "a pepper of at least thirty-two characters"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Service, list[Node]]]:
    folder = tmp_path / "data"
    folder.mkdir()
    with external_redis(tmp_path) as redis:
        settings = {
            "REWARDLOOP_REDIS_URL": redis.url,
            "REWARDLOOP_PEPPER": PEPPER,
            "REWARDLOOP_ARCHIVE": str(folder / "archive"),
            "REWARDLOOP_LEARNERS": str(LEARNERS),
            "REWARDLOOP_REPLICAS": "2",
            "REWARDLOOP_CHECKPOINT_INTERVAL_S": "0.5",
        }
        environment = ray_environment(folder, **settings)
        with (
            nodes(folder, environment, workers=2) as (address, started),
            ray_service(folder, {**environment, "RAY_ADDRESS": address}) as url,
        ):
            port = int(url.rpartition(":")[2])
            unused: Any = mock.sentinel.process
            yield Service(unused, port, folder, environment_of(folder, port, **settings)), started


def outcome(number: int) -> dict[str, Any]:
    told = {"customerId": f"c{number % 97}", "creativeId": "cr1", "outcome": "click"}
    return {**told, "idempotencyKey": f"key-{number}"}


async def test_a_node_dies_under_load(cluster: tuple[Service, list[Node]]) -> None:
    service, (head, *workers) = cluster
    headers = service.tenant("nodes")
    where = {node: len(node.processes(LEARNER)) for node in (head, *workers)}
    assert sum(where.values()) == LEARNERS
    victim = max(workers, key=lambda node: where[node])
    assert where[victim] > 0

    async def kill() -> None:
        await to_thread.run_sync(victim.kill)

    load = await send_all(service.port, headers, [outcome(i) for i in range(OUTCOMES)], at=(KILL_AFTER, kill))
    left = [node for node in (head, *workers) if node is not victim]

    def moved() -> bool:
        return sum(len(node.processes(LEARNER)) for node in left) == LEARNERS

    await to_thread.run_sync(lambda: until(moved, 90, "the learners have moved"))
    await to_thread.run_sync(lambda: until(service.ready, 90, "the service is ready"))
    outcomes, shard, live = await service.fold("nodes")
    logged = [entry.body.interaction_id for entry in outcomes if isinstance(entry.body, Outcome)]
    assert len(logged) == len(set(logged)) == OUTCOMES
    assert set(logged) == {answer["interactionId"] for answer in load.acknowledged.values()}
    assert shard.state() == live

    def learned() -> bool:
        arms = service.state(headers)
        return bool(arms["o1"]["positives"] == OUTCOMES)

    await to_thread.run_sync(lambda: until(learned, 30, "the model has learned each of them once"))
