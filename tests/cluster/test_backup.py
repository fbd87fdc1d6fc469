"""A back-up that was taken under load, as docs/operations.md says, and restored into another directory."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.manifests import ROOT
from tests.service import running, until

BEFORE, SEGMENT = 400, 50
CLICK = {"customerId": "c", "creativeId": "cr1", "outcome": "click"}
LEARNED_S = 30


def commands() -> str:
    """Return the lines of the page that make the copy."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [block] = [one for one in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "$BACKUP" in one]
    return str(block)


def test_a_back_up_taken_under_load_holds_all_that_was_acknowledged_before(tmp_path: Path) -> None:
    own = Path(sys.executable).parent
    if not (own / "redis-server").exists():
        pytest.skip("no Redis comes along on this platform, and for newer ones the page says to stop the service")
    path = f"{own}:{os.environ['PATH']}"
    data, backup = tmp_path / "data", tmp_path / "backup"
    backup.mkdir()
    stop, sent = threading.Event(), [0]
    with running(data, PATH=path, REWARDLOOP_ARCHIVE_SEGMENT=str(SEGMENT)) as service:
        headers = service.tenant("kept")

        def respond() -> None:
            with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30) as http:
                while not stop.is_set():
                    body = {**CLICK, "idempotencyKey": str(sent[0])}
                    assert http.post("/respond", json=body).status_code == 201
                    sent[0] += 1

        load = threading.Thread(target=respond)
        load.start()
        until(lambda: sent[0] >= BEFORE, 60, "outcomes are recorded")
        until(lambda: list((data / "archive").rglob("*.parquet")), 60, "a segment is archived")
        before = sent[0]
        subprocess.run(
            ["sh", "-ec", commands()], env={"DATA": str(data), "BACKUP": str(backup), "PATH": path}, check=True
        )
        stop.set()
        load.join()
    restored = tmp_path / "restored"
    shutil.copytree(backup, restored)
    with running(restored, PATH=path, REWARDLOOP_ARCHIVE_SEGMENT=str(SEGMENT)) as service:
        until(lambda: service.state(headers).get("o1", {}).get("pulls", 0) >= before, LEARNED_S, "all is learned")
        body = {**CLICK, "idempotencyKey": str(before - 1)}
        again = httpx.post(f"{service.url}/api/v1/respond", json=body, headers=headers, timeout=30)
        assert again.status_code == 200, "what was acknowledged before the copy is known"
        pulls = service.state(headers)["o1"]["pulls"]
        assert before <= pulls <= sent[0]
        service.command("export", "--tenant", "kept", "--out", str(tmp_path / "logs"))
        said = service.command("replay", str(tmp_path / "logs" / "kept.parquet"), "--verify")
        assert "differ" not in said
