"""contextualbandits: linear policies that learn one by one, and logistic ones that are fitted again in batches."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np
import sklearn
from contextualbandits import online
from sklearn.linear_model import LogisticRegression

from benchmarks.learning.adapter import Batches, Candidate, Setting, Vector

EVERY = 200
"""Rounds between two fits of a policy that has no way to learn one by one. Seeds count from 1 in this library."""
THREADS = {"njobs", "njobs_arms", "njobs_samples"}
WINDOWED = f"fitted again every {EVERY} rounds; forgets by a window the adapter holds"


def _one_thread(make: Callable[..., object]) -> dict[str, int]:
    """The arguments by which a policy's constructor takes its number of threads."""
    return dict.fromkeys(THREADS & inspect.signature(make).parameters.keys(), 1)


class _Logistic(LogisticRegression):
    """scikit-learn's model without its checks of each row, which take ten times as long as the row."""

    def decision_function(self, X: Vector) -> Vector:  # noqa: N803 - scikit-learn's name
        score: Vector = X @ self.coef_[0] + self.intercept_[0]
        return score

    def predict_proba(self, X: Vector) -> Vector:  # noqa: N803 - scikit-learn's name
        chance = 1.0 / (1.0 + np.exp(-self.decision_function(X)))
        return np.column_stack([1.0 - chance, chance])


class _OneByOne:
    """LinUCB and LinTS with Sherman-Morrison updates through `partial_fit`."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        del features
        options = {key: value for key, value in setting.items() if key != "policy"}
        make = getattr(online, str(setting["policy"]))
        self._policy = make(
            nchoices=offers, method="sm", random_state=seed + 1, njobs=1, use_float=False, **options
        )

    def choose(self, x: Vector) -> int:
        return int(self._policy.predict(x[None, :])[0])

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        self._policy.partial_fit(x[None, :], np.array([offer]), np.array([reward]))


class _Refitted:
    """Policies that need all their rounds at each `fit`, or the last ones where a window is set."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        del features
        options = {key: value for key, value in setting.items() if key not in {"policy", "window", "c"}}
        if "c" in setting:
            options["base_algorithm"] = _Logistic(C=setting["c"], max_iter=50)
        make = getattr(online, str(setting["policy"]))
        self._policy = make(nchoices=offers, random_state=seed + 1, **_one_thread(make), **options)
        if isinstance(getattr(self._policy.base_algorithm, "model", None), LogisticRegression):
            self._policy.base_algorithm.model.__class__ = _Logistic
        self._batches = Batches(EVERY, int(setting.get("window", 0)))
        warnings.simplefilter("ignore")
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)

    def choose(self, x: Vector) -> int:
        return int(self._policy.predict(x[None, :])[0])

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        if self._batches.add(x, offer, reward):
            self._policy.fit(*self._batches.rows())


def _linear(policy: str, grid: list[Setting]) -> Candidate:
    return Candidate(policy, _OneByOne, plain=[{"policy": policy} | dict(setting) for setting in grid])


def _refitted(policy: str, grid: list[Setting]) -> Candidate:
    plain = [{"policy": policy} | dict(setting) for setting in grid]
    forgetting = [dict(setting) | {"window": window} for setting in plain for window in (3_000, 5_000)]
    return Candidate(policy, _Refitted, plain, forgetting, note=WINDOWED)


CANDIDATES = [
    _linear("LinUCB", [{"alpha": a, "lambda_": r} for a in (0.3, 1.0) for r in (1.0, 10.0)]),
    _linear("LinTS", [{"v_sq": v, "sample_from": "ci"} for v in (0.01, 0.03, 0.1)]),
    _refitted("LogisticUCB", [{"percentile": p, "lambda_": 5.0} for p in (70, 90)]),
    _refitted("BootstrappedTS", [{"c": 0.3, "nsamples": 3}]),
    _refitted("AdaptiveGreedy", [{"c": c, "percentile": 30, "decay_type": "percentile"} for c in (0.1, 0.3)]),
]
