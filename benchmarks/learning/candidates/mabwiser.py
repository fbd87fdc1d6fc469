"""MABWiser: linear policies, an independent ridge regression for each offer."""

from __future__ import annotations

import numpy as np
from mabwiser.mab import MAB, LearningPolicy

from benchmarks.learning.adapter import Batches, Candidate, Setting, Vector

EVERY = 50
"""A fit takes milliseconds for each offer however few rounds it brings, so it comes every so many rounds."""


class _MabWiser:
    """`partial_fit` on each batch; with a window, `fit` on the last rounds, as the library itself never forgets."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        del features
        policies = {
            "LinUCB": LearningPolicy.LinUCB,
            "LinTS": LearningPolicy.LinTS,
            "LinGreedy": LearningPolicy.LinGreedy,
        }
        options = {key: setting[key] for key in ("alpha", "epsilon", "l2_lambda") if key in setting}
        self._window = int(setting.get("window", 0))
        self._batches = Batches(EVERY, self._window)
        self._bandit = MAB(list(range(offers)), policies[str(setting["policy"])](**options), seed=seed)
        self._random = np.random.default_rng(seed)
        self._offers = offers
        self._fitted = False

    def choose(self, x: Vector) -> int:
        if not self._fitted:
            return int(self._random.integers(self._offers))
        return int(self._bandit.predict(np.append(x, 1.0)[None, :]))

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        if not self._batches.add(np.append(x, 1.0), offer, reward):
            return
        contexts, offers, rewards = self._batches.rows() if self._window else self._batches.take()
        fit = self._bandit.partial_fit if self._fitted and not self._window else self._bandit.fit
        fit(decisions=offers, rewards=rewards, contexts=contexts)
        self._fitted = True


def _candidate(policy: str, grid: list[Setting]) -> Candidate:
    plain = [{"policy": policy} | dict(setting) for setting in grid]
    return Candidate(
        policy,
        _MabWiser,
        plain=plain,
        forgetting=[dict(setting) | {"window": window} for setting in plain for window in (2_500, 5_000)],
        note=f"learns every {EVERY} rounds; forgets by a window the adapter holds",
    )


CANDIDATES = [
    _candidate("LinUCB", [{"alpha": a, "l2_lambda": 1.0} for a in (0.1, 0.3, 1.0)]),
    _candidate("LinTS", [{"alpha": a, "l2_lambda": 1.0} for a in (0.05, 0.3)]),
    _candidate("LinGreedy", [{"epsilon": e, "l2_lambda": 1.0} for e in (0.05, 0.1)]),
]
