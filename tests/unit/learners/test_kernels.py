"""Folds compute by the same machine code on every x86-64."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from learners import kernels

LOADED = """
import json, sys
from learners import kernels
kernels.choose()
import scipy.linalg
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from threadpoolctl import threadpool_info
json.dump({
    "blas": [one["architecture"] for one in threadpool_info()],
    "numpy": [name for name in __cpu_dispatch__ if __cpu_features__[name]],
}, sys.stdout)
"""
AVX2 = platform.machine() == "x86_64" and "avx2" in Path("/proc/cpuinfo").read_text(encoding="ascii")


def python(code: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in kernels.AVX2}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.skipif(not AVX2, reason="another architecture, or no AVX2: nothing is chosen")
def test_numpy_and_blas_take_what_was_chosen() -> None:
    loaded: dict[str, Any] = json.loads(python(LOADED))
    assert loaded == {"blas": ["Haswell", "Haswell"], "numpy": ["X86_V3"]}


@pytest.mark.skipif(not AVX2, reason="another architecture, or no AVX2: nothing is chosen")
def test_who_chose_before_is_obeyed() -> None:
    loaded: dict[str, Any] = json.loads(python(LOADED, OPENBLAS_CORETYPE="Sandybridge"))
    assert loaded == {"blas": ["Sandybridge", "Sandybridge"], "numpy": ["X86_V3"]}


def test_the_command_line_chooses_before_numpy_is_loaded() -> None:
    assert python("import sys, serve.cli; print('numpy' in sys.modules)") == "False\n"


@pytest.mark.parametrize(("machine", "flags"), [("aarch64", ["avx2"]), ("x86_64", ["avx"])])
def test_others_choose_themselves(monkeypatch: pytest.MonkeyPatch, machine: str, flags: list[str]) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(kernels, "_flags", lambda: flags)
    assert kernels.chosen() == {}
