"""Secrets and customers that were planted in a service, used in every way and in vain: nothing tells of them."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from storage.keys import partition_of, summary_key
from storage.rundir import run_dir
from tests.redis_server import PASSWORD, ExternalRedis, external_redis
from tests.service import Service, running, until

PEPPER: Final = "planted-pepper-" + "5f0c" * 8
CUSTOMER: Final = "planted-customer-8c1d"
VALUE: Final = "planted-value-77aa"
API: Final = "/api/v1"
ASKED: Final = (
    *("/api/jobs/", "/api/serve/applications/", "/nodes?view=summary", "/logical/actors", "/api/cluster_status"),
    *(f"/api/v0/{kind}?detail=1&limit=1000" for kind in ("actors", "tasks", "workers", "nodes", "runtime_envs")),
    *("/api/v0/logs?node_ip=127.0.0.1", "/events", "/api/prometheus/sd", "/api/version", "/usage_stats_enabled"),
)
"""What the dashboard's pages ask for."""


@dataclass
class Planted:
    """A service, what was planted in it, and what it answered where something was wrong."""

    service: Service
    secrets: dict[str, str]
    refusals: list[str] = field(default_factory=list)

    def told(self, text: bytes | str) -> list[str]:
        """Return the names of what was planted and is in a text."""
        raw = text if isinstance(text, bytes) else text.encode()
        found = {**self.secrets, "customer": CUSTOMER, "value": VALUE}
        return [name for name, one in found.items() if one.encode() in raw]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExternalRedis]:
    with external_redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, store: ExternalRedis) -> Iterator[Planted]:
    data_dir = tmp_path_factory.mktemp("planted")
    variables = {"REWARDLOOP_PEPPER": PEPPER, "REWARDLOOP_REDIS_URL": store.url}
    with running(data_dir, REWARDLOOP_ARCHIVE=str(tmp_path_factory.mktemp("archive")), **variables) as service:
        made = Planted(service, {"pepper": PEPPER, "password of Redis": PASSWORD})
        made.secrets["token"] = (data_dir / "ray_token").read_text().strip()
        made.secrets["login"] = (data_dir / "out.txt").read_text().partition("?once=")[2].split()[0]
        headers = service.tenant("planted")
        made.secrets["key"] = headers["Authorization"].rpartition("_")[2]
        made.secrets["operator's key"] = service.command("keys", "create", "--operator").strip().rpartition("_")[2]
        with httpx.Client(base_url=f"{service.url}{API}", headers=headers, timeout=60) as http:
            used(http)
            made.refusals = refused(http, made.secrets)
            made.refusals.append(broken(http, store))
            made.refusals += disturbed(service, http, store)
        yield made


def body(key: str, **more: Any) -> dict[str, Any]:
    given = {"attributes": {"name": VALUE}, "context": {"note": VALUE}, "outcomeDetails": {"note": VALUE}}
    return {"customerId": CUSTOMER, "creativeId": "cr1", "outcome": "click", "idempotencyKey": key, **given, **more}


def used(http: httpx.Client) -> None:
    """Send what a tenant sends."""
    assert http.post("/respond", json=body("one")).status_code == 201
    assert http.post("/respond/bulk", json={"outcomes": [body("two"), body("three")]}).json()["recorded"] == 2
    asked = {"customerId": CUSTOMER, "attributes": {"name": VALUE}, "segments": [VALUE], "context": {"note": VALUE}}
    assert http.post("/recommend", json=asked).status_code == 200
    made = http.post("/api-keys", json={"name": "k", "scopes": ["read"]})
    assert made.status_code == 201
    for path in ("/interaction-history", "/interaction-summaries", "/attribution"):
        answer = http.get(path, params={"customerId": CUSTOMER})
        assert answer.status_code == 200
        assert CUSTOMER in answer.text or path == "/attribution", "who may know is told"


def refused(http: httpx.Client, secrets: dict[str, str]) -> list[str]:
    """Send what is refused, with secrets in wrong places; return the answers."""
    wrong = {"Authorization": f"Bearer rl_0123456789abcdef_{secrets['key']}"}
    other = {"X-Tenant-Id": "elsewhere"}
    answers = [
        http.post("/respond", json=body("four"), headers=wrong),
        http.post("/respond", json=body("four"), headers=other),
        http.post("/respond", json=body("four"), headers={"Authorization": secrets["key"]}),
        http.get(f"/offers?api_key={secrets['key']}", headers=wrong),
        http.get(f"/{secrets['key']}"),
        http.post("/respond", json=body("four", creativeId="nowhere")),
        http.post("/respond", json=body("four", attributes={"name": [VALUE]})),
        http.post("/respond", json=body("four", timestamp=VALUE)),
        http.post("/respond", json=body("four", conversionValue=VALUE)),
        http.post("/respond", json=body("four", outcome="nothing-known")),
        http.post("/respond", content=f'{{"customerId":"{CUSTOMER}","x":{VALUE}'),
        http.post("/respond", content=VALUE * 30_000, headers={"Content-Type": "application/json"}),
        http.post("/recommend", json={"customerId": CUSTOMER, "limit": VALUE}),
        http.put("/settings", json={"retentionDays": VALUE}),
        http.get("/interaction-history", params={"customerId": CUSTOMER, "cursor": VALUE}),
        http.get("/offers", params={"limit": VALUE}),
    ]
    assert {answer.status_code for answer in answers} <= {400, 401, 404, 413, 415}
    return [f"{answer.headers}{answer.text}" for answer in answers]


def broken(http: httpx.Client, store: ExternalRedis) -> str:
    """Have an error that nobody expected; return its answer."""
    key = summary_key(partition_of("planted", 64), "planted", "all", CUSTOMER)
    with store.connect() as redis:
        assert redis.hlen(key) == 1, "the customer's summary"
        redis.hset(key, next(iter(redis.hgetall(key))), f"\xff{VALUE}{CUSTOMER}")
    answer = http.get("/interaction-summaries", params={"customerId": CUSTOMER, "periodType": "alltime"})
    assert answer.status_code == 500
    return answer.text


def disturbed(service: Service, http: httpx.Client, store: ExternalRedis) -> list[str]:
    """End a learner and a replica, keep Redis from answering for a while; return what was refused meanwhile."""
    with store.connect() as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    refusals = []
    for title in ("ray::LearnerActor", "ray::ServeReplica"):
        service.kill(title)
        for number in range(5):
            try:
                answer = http.post("/respond", json=body(f"{title}-{number}"))
            except httpx.HTTPError:
                continue
            if answer.status_code >= 400:
                refusals.append(f"{answer.headers}{answer.text}")
    until(lambda: len(service.processes("ray::LearnerActor")) == 1, 120, "a learner is there again")
    until(service.ready, 120, "the service is ready again")
    return refusals


def test_no_file_and_no_command_line(planted: Planted) -> None:
    service = planted.service
    folders = [service.data_dir, run_dir(service.data_dir)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    own = {service.data_dir / "ray_token": ["token"], service.data_dir / "out.txt": ["login"]}
    assert len([path for path in files if path.suffix in {".log", ".out", ".err"}]) > 20
    found = {str(path): planted.told(path.read_bytes()) for path in files}
    assert {path: told for path, told in found.items() if told and told != own.get(Path(path))} == {}
    tree = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    assert [planted.told(" ".join(process.cmdline())) for process in tree] == [[]] * len(tree)


def test_the_errors_were_logged(planted: Planted) -> None:
    """So that the test above looks at what it is meant to."""
    logs = [path.read_text(errors="replace") for path in run_dir(planted.service.data_dir).rglob("*.log")]
    [log] = [log for log in logs if "unexpected error" in log and "Traceback" in log]
    assert "/interaction-summaries" in log


def test_no_refusal(planted: Planted) -> None:
    assert len(planted.refusals) > 16
    assert {one: planted.told(one) for one in planted.refusals if planted.told(one)} == {}


def test_no_figure(planted: Planted) -> None:
    pages = [f"{planted.service.url}/-/metrics"]
    [config] = run_dir(planted.service.data_dir).rglob("haproxy.cfg")
    ports = [line.split(":")[-1] for line in config.read_text().splitlines() if "bind 127.0.0.1:" in line]
    pages += [f"http://127.0.0.1:{port}{path}" for port in ports for path in ("/metrics", "/stats")]
    targets = [
        target for group in json.loads(dashboard(planted, "/api/prometheus/sd")) for target in group["targets"]
    ]
    shown = {page: httpx.get(page, timeout=30) for page in pages}
    for target in targets:
        page = f"http://{target}/metrics"
        with suppress(httpx.ConnectError):  # 44217 and 44227 are named by every Ray, and are the first one's alone
            shown[page] = httpx.get(page, timeout=30)
    assert sum(answer.status_code == 200 for answer in shown.values()) >= 4
    assert {
        page: planted.told(answer.content) for page, answer in shown.items() if planted.told(answer.content)
    } == {}


def dashboard(planted: Planted, path: str) -> bytes:
    url = f"http://127.0.0.1:{planted.service.environment['REWARDLOOP_DASHBOARD_PORT']}{path}"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {planted.secrets['token']}"}, timeout=60)
    assert answer.status_code in {200, 404, 500}, f"{path}: {answer.status_code}"
    return answer.content


def test_nothing_that_the_dashboard_answers(planted: Planted) -> None:
    answers = {path: dashboard(planted, path) for path in ASKED}
    assert b"ServeReplica" in b"".join(answers.values())
    assert {path: planted.told(answer) for path, answer in answers.items() if planted.told(answer)} == {}
