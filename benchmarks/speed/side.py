"""What a library learns and decides in a second; runs in that library's own virtual environment.

`python -m benchmarks.speed.side MODULE DATA.npz` tells what it can do, then reads a job a line, `{"task", "name",
"rows"}`, and answers a line, `{"rate"}` in rows a second of this process's CPU time, or `{"error"}`. Before the
clock starts data are brought into the form in which the library takes them, and models that only decide are taught.
It imports numpy and the library, nothing of ours but this folder.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

BATCH = 1024
"""Outcomes that libraries with a batch form get at once, as our own models do."""
TAUGHT = 2000
"""Outcomes that a model has seen before it decides."""


@dataclass(frozen=True)
class Data:
    """Outcomes: standardised numbers without intercept, (n, d - 1), offers from 0, rewards 0 or 1, (n,) each."""

    x: NDArray[np.float64]
    offers: NDArray[np.int64]
    rewards: NDArray[np.int64]

    @property
    def arms(self) -> int:
        """How many offers there are."""
        return int(self.offers.max()) + 1

    @cached_property
    def wide(self) -> NDArray[np.float64]:
        """The numbers with an intercept in front, (n, d)."""
        return np.hstack([np.ones((len(self.x), 1)), self.x])

    @cached_property
    def dicts(self) -> list[dict[str, float]]:
        """The numbers by name."""
        names = [f"f{j}" for j in range(self.x.shape[1])]
        return [dict(zip(names, row, strict=True)) for row in self.x.tolist()]

    def first(self, rows: int) -> "Data":
        """Return the first so many outcomes."""
        return Data(self.x[:rows], self.offers[:rows], self.rewards[:rows])


Runs: TypeAlias = Mapping[str, Mapping[str, Callable[[Data], float]]]
"""By task, by name of what is measured: returns rows a second."""


def timed(rows: int, work: Callable[[], object]) -> float:
    """Return how many rows a second of CPU time `work` takes; what was made before is no work of the collector."""
    gc.collect()
    gc.freeze()
    began = time.process_time()
    work()
    spent = time.process_time() - began
    gc.unfreeze()
    return rows / spent


def each(step: Callable[..., object], *columns: Any) -> float:
    """Return how many rows a second `step` takes, one by one."""

    def work() -> None:
        for row in zip(*columns, strict=True):
            step(*row)

    return timed(len(columns[0]), work)


def main(module: str, path: Path) -> None:
    """Answer jobs until standard input ends."""
    out = os.fdopen(os.dup(1), "w")  # libraries print; what they print goes to standard error
    os.dup2(2, 1)
    runs: Runs = importlib.import_module(module).RUNS
    with np.load(path) as arrays:
        data = Data(arrays["x"], arrays["offers"], arrays["rewards"])
    _say(out, {task: list(named) for task, named in runs.items()})
    for line in sys.stdin:
        job = json.loads(line)
        answer: dict[str, float | str]
        try:
            answer = {"rate": runs[job["task"]][job["name"]](data.first(job["rows"]))}
        except Exception as error:  # noqa: BLE001 - a library's failure is a result, told in the notes
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(out, answer)


def _say(out: TextIO, value: object) -> None:
    print(json.dumps(value), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
