"""openapi-generator's TypeScript client compiles strictly and talks to a running service."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import Service

HERE = Path(__file__).parent
FILES = (".npmrc", "package.json", "package-lock.json", "tsconfig.json", "smoke.ts")
GENERATOR = str(Path(sys.executable).with_name("openapi-generator-cli"))


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture
def node() -> None:
    """Need Node.js; `make test` installs it where it may."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs node and npm")
        pytest.skip("there is no node and npm on this machine")


@pytest.mark.usefixtures("node")
def test_the_generated_client_compiles_and_speaks(service: Service, tmp_path: Path) -> None:
    headers = service.tenant("typescript")
    for name in FILES:
        shutil.copy(HERE / name, tmp_path)
    document = httpx.get(f"{service.url}/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    told = run(
        GENERATOR, "generate", "-g", "typescript-fetch", "-i", "openapi.json", "-o", "client", folder=tmp_path
    )
    assert "generated unique operationId" not in told
    run("npm", "ci", "--silent", folder=tmp_path)
    run(str(tmp_path / "node_modules" / ".bin" / "tsc"), folder=tmp_path)

    key = headers["Authorization"].removeprefix("Bearer ")
    seen: dict[str, Any] = json.loads(
        run("node", "built/smoke.js", service.url, "typescript", key, folder=tmp_path)
    )

    decisions = seen.pop("decisions")
    assert [rank for rank, _, _ in decisions] == [1, 2]
    assert {offer for _, offer, _ in decisions} == {"o1", "o2"}
    assert all(propensity for _, _, propensity in decisions)
    assert seen == {
        "statuses": [201, "recorded", "already_recorded"],
        "sameId": True,
        "year": 2026,
        "bulk": [[200, None], [404, "NOT_FOUND"]],
        "arm": [["o1", 1, 2]],
        "events": [["click", "home"]],
        "offers": [1, True],
        "retentionDays": 400,
        "refused": {"status": 400, "message": "outcome 'no-such-outcome' is not an active outcome type"},
    }
