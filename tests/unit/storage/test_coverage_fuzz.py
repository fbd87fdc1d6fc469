"""The fuzzers by coverage run, and see an error that nobody announces."""

import subprocess
import sys

import pytest

pytest.importorskip("atheris", reason="atheris has wheels for Linux alone")

RUNS = 3_000
FIND = """
import sys
from tests import coverage_fuzz
def broken(raw):
    if raw[:2] == b"ab": raise ValueError("nobody announces this")
coverage_fuzz.TARGETS["broken"] = (coverage_fuzz.atheris.instrument_func(broken), (b"aa",))
coverage_fuzz.main("broken", *sys.argv[1:])
"""


def fuzz(*command: str) -> subprocess.CompletedProcess[str]:
    options = [f"-runs={RUNS}", "-seed=1", "-timeout=60"]
    return subprocess.run(
        [sys.executable, *command, *options], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("target", ["entry", "lines", "dsjson", "obd"])
def test_nothing_is_found(target: str) -> None:
    done = fuzz("-m", "tests.coverage_fuzz", target)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr


def test_what_is_there_is_found() -> None:
    done = fuzz("-c", FIND)
    assert done.returncode != 0
    assert "nobody announces this" in done.stderr + done.stdout
