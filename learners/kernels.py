"""Which machine code the arithmetic takes: on every x86-64 with AVX2 the same, so that a fold rounds the same.

NumPy and OpenBLAS choose code by the processor, and what AVX-512 computes differs in the last bit from what AVX2
does: a matrix product's sums come in another order, and an exponential is another polynomial. Both read the
environment as they are loaded, so whoever folds chooses before NumPy is imported.
"""

import os
import platform
from pathlib import Path
from typing import Final

AVX2: Final = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
"""OpenBLAS' code for the first processors with AVX2 and FMA; NumPy's for later ones off, by its names since 2.4."""


def chosen() -> dict[str, str]:
    """Return the environment variables that choose; one that is set already stays as it is.

    A processor without AVX2, or of another architecture, is left to choose by itself.
    """
    if platform.machine() != "x86_64" or "avx2" not in _flags():
        return {}
    return {name: os.environ.get(name, value) for name, value in AVX2.items()}


def choose() -> None:
    """Choose for this process and those it starts."""
    os.environ.update(chosen())


def _flags() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    return next((line.split() for line in lines if line.startswith("flags")), [])
