"""The Open Bandit Dataset, fetched once for all tests that need it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve.cli import command_line


@pytest.fixture(scope="session")
def open_bandit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `rewardloop data obd` fills."""
    folder = tmp_path_factory.mktemp("obd")
    result = CliRunner().invoke(command_line(), ["data", "obd", "--out", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return folder


def evaluated(*args: object) -> dict[str, Any]:
    """Return the JSON report of `rewardloop evaluate`."""
    result = CliRunner().invoke(command_line(), ["evaluate", *map(str, args), "--json"])
    assert result.exit_code == 0, result.exception or result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def estimates(report: dict[str, Any], policy: int = 0) -> dict[str, float]:
    """Return a policy's estimates by estimator."""
    return {one["estimator"]: one["value"] for one in report["policies"][policy]["estimates"]}
