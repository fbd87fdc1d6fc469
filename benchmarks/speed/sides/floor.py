"""The least that the same work costs in numpy, on arrays: no names, nothing else that a service needs."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.side import BATCH, Data, Runs, each, timed


def _learn(data: Data) -> float:
    d = data.wide.shape[1]
    moments, sums = np.zeros((data.arms, d, d)), np.zeros((data.arms, d))

    def step(x: NDArray[np.float64], offer: int, reward: int) -> None:
        moments[offer] += x[:, None] * x
        sums[offer] += reward * x

    return each(step, data.wide, data.offers.tolist(), data.rewards.tolist())


def _count(data: Data) -> float:
    won = np.zeros((2, data.arms))

    def work() -> None:
        for start in range(0, len(data.offers), BATCH):
            cut = slice(start, start + BATCH)
            np.add.at(won, (data.rewards[cut], data.offers[cut]), 1.0)

    return timed(len(data.offers), work)


def _decide(data: Data) -> float:
    d = data.wide.shape[1]
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((data.arms, d, d)) / d
    inverses = (roots @ roots.transpose(0, 2, 1)).reshape(-1, d)
    theta = rng.standard_normal((data.arms, d))

    def step(x: NDArray[np.float64]) -> int:
        lifted = (inverses @ x).reshape(-1, d)
        return int((theta @ x + np.sqrt(lifted @ x)).argmax())

    return each(step, data.wide)


RUNS: Runs = {
    "fold-contextual": {"numpy, rank-1 sums row by row": _learn},
    "fold-beta": {"numpy, add.at on offer numbers": _count},
    "decide": {"numpy, LinUCB of given inverses": _decide},
}
