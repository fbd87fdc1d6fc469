"""A first day: `rewardloop up --demo`, its curl lines, Ctrl-C, up again, `status`, `down`."""

import ipaddress
import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from storage.rundir import run_dir
from tests.service import REWARDLOOP, START_S, Service, environment_of, free_port, running, until

STOP_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first-day")


@pytest.fixture(scope="module")
def first(data_dir: Path) -> Iterator[tuple[Service, str]]:
    with running(data_dir, "--demo") as service:
        yield service, (data_dir / "out.txt").read_text()


def curls(printed: str) -> list[Any]:
    """Run the curl lines that were printed; return what they answer."""
    lines = [line.strip() for line in printed.splitlines() if line.strip().startswith("curl ")]
    assert len(lines) == 3
    ran = [subprocess.run(shlex.split(line), capture_output=True, check=True, timeout=60) for line in lines]
    return [json.loads(one.stdout) for one in ran]


def test_the_curl_lines_answer_as_the_readme_says(first: tuple[Service, str]) -> None:
    _, printed = first
    recorded, again, _ = curls(printed)
    assert (recorded["status"], recorded["offerName"], recorded["classification"]) == (
        "recorded",
        "Gold card",
        "positive",
    )
    assert again == {**recorded, "status": "already_recorded"}

    def learned() -> bool:
        arms = curls(printed)[2]["data"]
        return bool(arms) and arms[0]["parameters"] == {"alpha": 2.0, "beta": 1.0}

    until(learned, 10, "the click is learned")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for shown in ('"status":"recorded"', '"status":"already_recorded"', '"parameters":{"alpha":2.0,"beta":1.0}'):
        assert shown in readme


def test_nothing_listens_beyond_this_machine(first: tuple[Service, str]) -> None:
    service, _ = first
    tree = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    listening = [
        (process.name(), ipaddress.ip_address(one.laddr.ip.removeprefix("::ffff:")), one.laddr.port)
        for process in tree
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert service.port in [port for _, _, port in listening]
    assert [one for one in listening if not one[1].is_loopback] == []


def test_haproxy_is_the_ingress(first: tuple[Service, str]) -> None:
    service, _ = first
    assert service.processes("haproxy")


def test_an_answer_has_one_request_id(first: tuple[Service, str]) -> None:
    service, _ = first
    for given, kept in (("sane-1", True), ("in sane", False)):
        answer = httpx.get(f"{service.url}/-/readyz", headers={"X-Request-Id": given})
        ids = answer.headers.get_list("X-Request-Id")
        assert len(ids) == 1
        assert (ids[0] == given) == kept


def test_the_login_link_that_was_printed_opens_the_dashboard_once(
    first: tuple[Service, str], data_dir: Path
) -> None:
    service, printed = first
    link = re.search(r"^dashboard +(\S+/console/login\?once=\S+)$", printed, flags=re.MULTILINE)
    assert link is not None
    with httpx.Client() as browser:
        answer = browser.get(link[1])
        dashboard = f"http://127.0.0.1:{service.environment['REWARDLOOP_DASHBOARD_PORT']}"
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{dashboard}/#/metrics")
        assert browser.get(f"{dashboard}/nodes?view=summary").status_code == 200
        assert browser.get(f"{service.url}/console/read/tenants").json()["data"][0]["id"] == "demo"
    assert httpx.get(f"{dashboard}/nodes?view=summary").status_code == 401
    assert httpx.get(link[1]).status_code == 401
    told = service.status()
    assert (told["dashboard"], told["dashboardToken"]) == (dashboard, str(data_dir / "ray_token"))


def test_secrets_lie_in_private_files_and_in_no_log(first: tuple[Service, str], data_dir: Path) -> None:
    _, printed = first
    for name in ("pepper", "ray_token", "demo.key"):
        assert (data_dir / name).stat().st_mode & 0o077 == 0
    secret = (data_dir / "demo.key").read_text().rsplit("_", 1)[1]
    token = (data_dir / "ray_token").read_text()
    assert secret in printed
    assert token not in printed
    logs = [*data_dir.rglob("*.log"), data_dir / "err.txt", *run_dir(data_dir).rglob("*.log")]
    assert len(logs) > 5
    for one in (secret, token):
        assert [log for log in logs if one in log.read_text(errors="replace")] == []


def test_a_second_service_in_the_directory_is_refused(first: tuple[Service, str]) -> None:
    service, _ = first
    said = service.command("up", code=1)
    assert re.fullmatch(r"rewardloop: a service runs in .* already; `rewardloop down` stops it\n", said)


def test_a_port_in_use_is_told_before_anything_starts(first: tuple[Service, str], tmp_path: Path) -> None:
    service, _ = first
    said = service.command("up", "--data-dir", str(tmp_path), code=1)
    assert said == f"rewardloop: cannot listen on 127.0.0.1:{service.port}: Address already in use\n"
    assert not (tmp_path / "redis").exists()


def test_status_tells_and_errors_are_one_line(first: tuple[Service, str]) -> None:
    service, _ = first
    until(lambda: service.status()["status"] == "ready", 10, "it is ready")
    assert service.status()["url"] == service.url
    assert service.command("keys", "create", "--tenant", "nobody", code=1) == (
        "rewardloop: there is no tenant 'nobody'; `rewardloop tenants create nobody` makes it\n"
    )
    assert service.command("tenants", "create", "demo", code=1) == "rewardloop: tenant 'demo' is there already\n"
    assert "Usage:" in service.command("nonsense", code=2)


def test_ctrl_c_ends_everything_and_the_next_start_goes_on(first: tuple[Service, str], data_dir: Path) -> None:
    service, printed = first
    tree = psutil.Process(service.process.pid).children(recursive=True)
    assert service.stop(signal.SIGINT) < STOP_WITHIN_S
    assert service.process.returncode == 0
    _, left = psutil.wait_procs(tree, timeout=STOP_WITHIN_S)
    assert left == []
    with running(data_dir, "--demo", REWARDLOOP_HAPROXY="false") as second:
        assert not second.processes("haproxy"), "Ray Serve's own proxy is the ingress where HAProxy is not wanted"
        shown = (data_dir / "out.txt").read_text()
        key = re.search(r"^key +(\S+)$", shown, flags=re.MULTILINE)
        assert key is not None
        assert key[1] in printed
        assert [one.get("status") for one in curls(shown)[:2]] == ["already_recorded"] * 2
        assert curls(shown)[2]["data"][0]["parameters"] == {"alpha": 2.0, "beta": 1.0}
        stopping = subprocess.run(
            [REWARDLOOP, "down"], env=second.environment, capture_output=True, timeout=60, check=False
        )
        assert stopping.stdout == b"stopped\n"
        assert second.process.wait(10) == 0
    assert "no service runs in" in service.command("down", code=1)


def test_ctrl_c_while_it_starts_ends_what_was_started(tmp_path: Path) -> None:
    environment = environment_of(tmp_path, free_port())
    starting = subprocess.Popen([REWARDLOOP, "up"], env=environment, stdout=subprocess.PIPE)
    root = psutil.Process(starting.pid)
    until(lambda: "raylet" in [one.name() for one in root.children(recursive=True)], 60, "Ray is being started")
    tree = root.children(recursive=True)
    starting.send_signal(signal.SIGINT)
    printed, _ = starting.communicate(timeout=START_S)
    assert (starting.returncode, printed) == (0, b"")
    assert psutil.wait_procs(tree, timeout=STOP_WITHIN_S)[1] == []
