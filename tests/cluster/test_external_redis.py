"""A Redis that somebody else runs, with a password: `rewardloop up` on it, and Ray Serve as Kubernetes runs it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from serve.settings import SettingsError
from storage.rundir import run_dir
from tests.rayserve import from_environment
from tests.redis_server import PASSWORD, ExternalRedis, external_redis
from tests.serverun import ray_environment, ray_service
from tests.service import REWARDLOOP, Service, free_port, running, until

PEPPER = "a pepper of at least thirty-two characters"
LEARNED_S = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExternalRedis]:
    with external_redis(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the settings that all services on that Redis share."""
    return {"REWARDLOOP_PEPPER": PEPPER, "REWARDLOOP_ARCHIVE": str(tmp_path_factory.mktemp("archive"))}


def click(url: str, headers: dict[str, str], key: str) -> int:
    body = {"customerId": "c", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key}
    return httpx.post(f"{url}/api/v1/respond", json=body, headers=headers, timeout=30).status_code


def pulls(service: Service, headers: dict[str, str]) -> int:
    state = service.state(headers)
    return int(state["o1"]["pulls"]) if "o1" in state else 0


def told_anywhere(service: Service) -> list[str]:
    """Return the files that hold the password: what the service printed, and all that it and Ray wrote."""
    folders = [service.data_dir, run_dir(service.data_dir)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len([path for path in files if path.suffix in {".log", ".out", ".err"}]) > 20
    return [str(path) for path in files if PASSWORD.encode() in path.read_bytes()]


def test_up_on_another_redis_keeps_data_and_secret(
    server: ExternalRedis, shared: dict[str, str], tmp_path: Path
) -> None:
    """At the first start that Redis may lose something, which is told; then its operator mends it."""
    with server.connect() as redis:
        redis.config_set("appendonly", "no")
    with running(tmp_path, "--redis-url", server.url, **shared) as service:
        service.environment["REWARDLOOP_REDIS_URL"] = server.url
        assert not (tmp_path / "redis").exists(), "no Redis of its own is started"
        headers = service.tenant("elsewhere")
        assert [click(service.url, headers, "one"), click(service.url, headers, "one")] == [201, 200]
        until(lambda: pulls(service, headers) == 1, LEARNED_S, "the click is learned")
        status = service.command("status")
        assert "ready" in status
        token = (tmp_path / "ray_token").read_text().strip()
        jobs = httpx.get(
            f"http://127.0.0.1:{service.environment['REWARDLOOP_DASHBOARD_PORT']}/api/jobs/",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert "rewardloop up" in jobs.text
        processes = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(True)]
        lines = [" ".join(process.cmdline()) for process in processes]
        assert PASSWORD not in status + jobs.text + " ".join(lines)
        assert told_anywhere(service) == []
        said = (tmp_path / "out.txt").read_text()
        assert "Redis may lose acknowledged outcomes: appendonly is no, and should be yes" in said
        assert PASSWORD not in said
    with server.connect() as redis:
        redis.config_set("appendonly", "yes")
    with running(tmp_path, "--redis-url", server.url, **shared) as service:
        assert click(service.url, headers, "one") == 200, "it is known already"
        assert pulls(service, headers) == 1
        assert told_anywhere(service) == []
        assert "may lose" not in (tmp_path / "out.txt").read_text()


def test_a_redis_that_refuses_is_told_in_one_line_without_the_password(
    server: ExternalRedis, tmp_path: Path
) -> None:
    wrong = server.url.replace(PASSWORD, "wrong-secret")
    environment = {**os.environ, "REWARDLOOP_DATA_DIR": str(tmp_path), "REWARDLOOP_PORT": str(free_port())}
    done = subprocess.run(
        [REWARDLOOP, "up", "--redis-url", wrong], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("rewardloop: Redis: AuthenticationError")
    assert done.stderr.count("\n") == 1
    assert "wrong-secret" not in done.stdout + done.stderr


def test_ray_serve_runs_the_application_and_takes_over_from_another_cluster(
    server: ExternalRedis, shared: dict[str, str], tmp_path: Path
) -> None:
    """As in an upgrade: the old cluster serves while the new one comes up, and nothing is lost."""
    (tmp_path / "new").mkdir()
    with running(tmp_path / "old", "--redis-url", server.url, **shared) as old:
        old.environment["REWARDLOOP_REDIS_URL"] = server.url
        headers = old.tenant("upgrade")
        assert click(old.url, headers, "before") == 201
        until(lambda: pulls(old, headers) == 1, LEARNED_S, "the click is learned")
        ask = {"customerId": "c", "limit": 1}
        recommended = httpx.post(f"{old.url}/api/v1/recommend", json=ask, headers=headers, timeout=30)
        assert recommended.status_code == 200
        with ray_service(
            tmp_path / "new", ray_environment(tmp_path / "new", REWARDLOOP_REDIS_URL=server.url, **shared)
        ) as url:
            assert click(old.url, headers, "during") == 201, "the old cluster records"
            assert click(url, headers, "during") == 200, "and the new one knows of it"
            still = httpx.post(f"{old.url}/api/v1/recommend", json=ask, headers=headers, timeout=30)
            assert still.status_code == 200, "the old cluster ranks by its last snapshot"
            until(lambda: not old.ready(), LEARNED_S, "its learner, which was fenced off, has stopped")
            again = httpx.post(f"{old.url}/api/v1/recommend", json=ask, headers=headers, timeout=30)
            assert again.status_code == 200
            assert click(old.url, headers, "after") == 201
            new = Service(old.process, int(url.rsplit(":", 1)[1]), old.data_dir, old.environment)
            until(lambda: pulls(new, headers) == 3, LEARNED_S, "each click is learned once")
            assert PASSWORD not in (tmp_path / "new" / "serve.txt").read_text()


def test_a_cluster_without_what_it_needs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REWARDLOOP_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match="REWARDLOOP_REDIS_URL must be set where Ray runs on its own"):
        from_environment({})
