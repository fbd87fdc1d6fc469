"""`rewardloop up` on a Ray that runs already, and goes on when the service has stopped."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from learners import kernels
from tests.nodes import Node, nodes
from tests.serverun import ray_environment
from tests.service import Service, running

LEARNER, REPLICA = "ray::Learner", "ray::ServeReplica"


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[tuple[Service, Node]]:
    """A service on a node whose environment knows nothing of it."""
    (tmp_path / "node").mkdir()
    environment = ray_environment(tmp_path / "node")
    others = {name: value for name, value in environment.items() if name not in kernels.AVX2}
    with (
        nodes(tmp_path, others, workers=0) as (address, [node]),
        running(
            tmp_path / "data",
            REWARDLOOP_RAY_ADDRESS=address,
            RAY_AUTH_TOKEN_PATH=environment["RAY_AUTH_TOKEN_PATH"],
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="1",
        ) as service,
    ):
        yield service, node


def test_it_runs_there_and_leaves_it_as_it_was(joined: tuple[Service, Node]) -> None:
    service, node = joined
    headers = service.tenant("joined")
    outcome = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k1"}
    assert httpx.post(f"{service.url}/api/v1/respond", headers=headers, json=outcome, timeout=30).status_code == 201
    [learner] = node.processes(LEARNER)
    assert psutil.Process(learner.pid).environ().items() >= kernels.chosen().items()
    service.stop(signal.SIGTERM)
    assert node.processes(LEARNER) == node.processes(REPLICA) == []
    assert node.process.is_running()
