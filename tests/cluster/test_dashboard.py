"""What the Ray dashboard and Prometheus see of the learners, on a running service."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.rundir import run_dir
from tests.service import Service, running, until

SHOWN_WITHIN_S = 60
"""Ray's agents export every ten seconds; the learner shows itself every three."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("shown"), "--learners", "2", REWARDLOOP_OFFER_GAUGES="true") as started:
        yield started


@pytest.fixture(scope="module")
def learned(service: Service) -> dict[str, str]:
    """Return the headers of a tenant who learned of 30 outcomes."""
    headers = service.tenant("shown")
    rows = [
        {"customerId": f"customer-{i}", "creativeId": "cr1", "outcome": "click", "idempotencyKey": f"k{i}"}
        for i in range(30)
    ]
    answer = httpx.post(f"{service.url}/api/v1/respond/bulk", json={"outcomes": rows}, headers=headers)
    assert answer.json()["recorded"] == 30, answer.text
    return headers


def dashboard(service: Service, path: str) -> Any:
    """Return what the dashboard answers, asked as its page asks: with the token."""
    url = f"http://127.0.0.1:{service.environment['REWARDLOOP_DASHBOARD_PORT']}{path}"
    token = (service.data_dir / "ray_token").read_text().strip()
    assert httpx.get(url).status_code == 401
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def agents(service: Service) -> list[str]:
    """Return the addresses that the service discovery of deploy/prometheus/prometheus.yml finds."""
    return [target for group in dashboard(service, "/api/prometheus/sd") for target in group["targets"]]


def series(service: Service) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return our figures by name and our tags, from all agents."""
    found = {}
    for target in agents(service):
        text = httpx.get(f"http://{target}/metrics", timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("ray_rewardloop_"):
                    tags = {k: v for k, v in sample.labels.items() if k in {"learner", "tenant", "model", "offer"}}
                    found[sample.name, frozenset(tags.items())] = sample.value
    return found


def test_learners_are_actors_with_a_telling_name(service: Service) -> None:
    listed = dashboard(service, "/api/v0/actors?detail=1")["data"]["result"]["result"]
    named = {one["name"]: one for one in listed if one["class_name"] == "LearnerActor"}
    assert {name: one["repr_name"] for name, one in named.items()} == {
        "learner-00": "Learner(slice=0/2, partitions=32)",
        "learner-01": "Learner(slice=1/2, partitions=32)",
    }
    assert {one["state"] for one in named.values()} == {"ALIVE"}


def test_state_files_lie_where_the_logs_page_looks(service: Service, learned: dict[str, str]) -> None:
    [node] = dashboard(service, "/api/v0/nodes")["data"]["result"]["result"]

    def names() -> list[str]:
        listed = dashboard(service, f"/api/v0/logs?node_id={node['node_id']}&glob=learners/*")
        return [name for group in listed["data"]["result"].values() for name in group]

    until(lambda: len(names()) == 4, SHOWN_WITHIN_S, "both learners have both files")
    folder = run_dir(service.data_dir) / "ray" / "session_latest" / "logs" / "learners"
    assert folder.stat().st_mode & 0o077 == 0
    state = service.state(learned)
    offer = next(arm for name, arm in state.items() if name != "position" and arm["pulls"] == 30)

    def rows() -> list[dict[str, Any]]:
        lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
        return [line for line in lines if line.get("tenant") == "shown" and line["pulls"] == 30]

    [row] = until(rows, SHOWN_WITHIN_S, "the file shows what was learned")
    assert (row["offerId"], row["mean"], row["ciLower"]) == (offer["offerId"], offer["mean"], offer["ciLower"])
    table = "".join(path.read_text() for path in folder.glob("*.txt"))
    assert re.search(rf"{offer['offerId']}\u00a0+30\u00a0+{offer['mean']:.4g}\u00a0.*█+$", table, re.MULTILINE)
    assert "customer-" not in table + "".join(path.read_text() for path in folder.glob("*.jsonl"))


def test_prometheus_finds_the_learners_figures(service: Service, learned: dict[str, str]) -> None:
    state = service.state(learned)
    offer = next(arm for name, arm in state.items() if name != "position" and arm["pulls"] == 30)
    of_offer = {("tenant", "shown"), ("model", "default"), ("offer", offer["offerId"])}

    def values(name: str) -> list[float]:
        return [value for (found, _), value in series(service).items() if found == f"ray_rewardloop_{name}"]

    until(lambda: sum(values("learner_outcomes_total")) == 30, SHOWN_WITHIN_S, "30 outcomes are counted")
    assert sum(values("learner_position")) >= state["position"]
    assert values("learner_behind") == [0, 0]
    assert all(0 <= lag < 5 for lag in values("learner_lag_seconds"))
    shown = {
        name: value
        for (name, tags), value in series(service).items()
        if name.startswith("ray_rewardloop_offer") and of_offer <= tags
    }
    assert shown == {"ray_rewardloop_offer_mean": offer["mean"], "ray_rewardloop_offer_pulls": 30}


def test_the_agent_takes_no_port_that_another_service_may_have(service: Service) -> None:
    tree = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    ports = {one.laddr.port for process in tree for one in process.net_connections("inet") if one.laddr}
    assert service.port in ports
    assert 52365 not in ports
