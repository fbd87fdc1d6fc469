"""How fast another library estimates; runs in that library's environment and imports nothing of Rewardloop.

`python ope_side.py LIBRARY ARRAYS.npz` reads names of estimators from its standard input, a line each, and answers
each with a line: the estimate and how many rows a second of CPU time it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SPAN_S = 0.2
"""CPU time that one measurement takes at least."""


def of_obp(arrays: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Return obp's estimators over the arrays."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
    from obp_side import ESTIMATORS  # noqa: PLC0415 - only obp's environment has it

    told = {key: arrays[key] for key in ("action", "reward", "pscore")}
    policy, predicted = arrays["policy"][:, :, None], arrays["predicted"][:, :, None]

    def estimate(name: str) -> float:
        position = np.zeros(len(told["action"]), int)
        given = {**told, "position": position, "action_dist": policy, "estimated_rewards_by_reg_model": predicted}
        return float(ESTIMATORS[name].estimate_policy_value(**given))

    return {name: lambda name=name: estimate(name) for name in ("ips", "dr")}


def of_vw(arrays: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Return vw-estimators' IPS, which takes one row at a time."""
    from estimators.bandits import ips  # noqa: PLC0415 - only its environment has it

    shown = arrays["policy"][np.arange(len(arrays["action"])), arrays["action"]]
    rows = [column.tolist() for column in (arrays["pscore"], arrays["reward"], shown)]

    def by_rows() -> float:
        estimator = ips.Estimator()
        for p_log, reward, p_pred in zip(*rows, strict=True):
            estimator.add_example(p_log, reward, p_pred)
        return float(estimator.get())

    return {"ips": by_rows}


def rate(run: Callable[[], float], rows: int) -> tuple[float, float]:
    """Return the estimate, and rows a second of CPU time."""
    value, runs, start = run(), 0, time.process_time()
    while (taken := time.process_time() - start) < SPAN_S:
        run()
        runs += 1
    return value, runs * rows / taken


def main() -> None:
    """Answer until the input ends."""
    library, path = sys.argv[1:]
    with np.load(path) as found:
        arrays = dict(found)
    known = {"obp": of_obp, "vw-estimators": of_vw}[library](arrays)
    for line in sys.stdin:
        value, speed = rate(known[line.strip()], len(arrays["action"]))
        print(value, speed, flush=True)


if __name__ == "__main__":
    main()
