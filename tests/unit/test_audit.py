"""What `make audit` says of a report of pip-audit."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOUND = {"name": "sound", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}
BROKEN = {"name": "broken", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a bill of materials that is there already."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "sbom.json").write_text(json.dumps({"components": [{}]}))
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: None)
    return module


@pytest.mark.parametrize(
    ("dependencies", "status", "said"),
    [
        ([SOUND, UNKNOWN], 0, "1 packages looked up, 0 vulnerabilities known"),
        ([SOUND, BROKEN], 1, "broken 2.0: CVE-1, mended in 2.1"),
        ([UNKNOWN], 0, "no source of vulnerabilities could be asked"),
        ([], 0, "no source of vulnerabilities could be asked"),
    ],
)
def test_what_is_said(
    audit: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dependencies: list[dict[str, Any]],
    status: int,
    said: str,
) -> None:
    monkeypatch.setattr(audit, "reports", lambda _: {"dependencies": dependencies})
    assert audit.main(Path("requirements.lock"), tmp_path) == status
    assert said in capsys.readouterr().out
