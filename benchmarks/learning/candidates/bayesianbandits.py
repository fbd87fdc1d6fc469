"""bayesianbandits: conjugate and logistic posteriors, a model for each offer or one with a shared part."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import sklearn
from bayesianbandits import (
    Arm,
    BayesianGLM,
    ContextualAgent,
    FunctionArmFeaturizer,
    LaplaceApproximator,
    LipschitzContextualAgent,
    NormalInverseGammaRegressor,
    StabilizedForgetting,
    ThompsonSampling,
    UpperConfidenceBound,
)

from benchmarks.learning.adapter import Candidate, Setting, Vector


def _learner(setting: Setting) -> BayesianGLM | NormalInverseGammaRegressor:
    forgetting = StabilizedForgetting(setting["rate"]) if "rate" in setting else None
    if setting["model"] == "nig":
        return NormalInverseGammaRegressor(lam=setting["precision"], a=1.0, b=0.15, forgetting=forgetting)
    return BayesianGLM(
        alpha=setting["precision"], forgetting=forgetting, approximator=LaplaceApproximator(n_iter=1)
    )


def _policy(setting: Setting) -> ThompsonSampling | UpperConfidenceBound:
    return UpperConfidenceBound(setting["quantile"], samples=100) if "quantile" in setting else ThompsonSampling()


def _shared_and_own(offers: int) -> Callable[[Vector, Sequence[int]], Vector]:
    """Features of the hybrid model: the context once for all offers, and once in the block of its own offer."""

    def transform(x: Vector, tokens: Sequence[int]) -> Vector:
        rows, width = x.shape
        out = np.zeros((rows, width * (offers + 1), len(tokens)))
        out[:, :width, :] = x[:, :, None]
        for column, token in enumerate(tokens):
            out[:, width * (token + 1) : width * (token + 2), column] = x
        return out

    return transform


class _BayesianBandits:
    """`pull` and `update` of one row each; forgetting is the learner's own, at each of its updates."""

    def __init__(self, setting: Setting, offers: int, features: int, seed: int) -> None:
        del features
        # Checks of arguments take most of the time of a small update; they change no result.
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        warnings.simplefilter("ignore")
        policy = _policy(setting)
        if setting["shared"]:
            arms = [Arm(offer, learner=None) for offer in range(offers)]
            featurizer = FunctionArmFeaturizer(_shared_and_own(offers))
            self._agent = LipschitzContextualAgent(arms, policy, featurizer, _learner(setting), random_seed=seed)
        else:
            arms = [Arm(offer, learner=_learner(setting)) for offer in range(offers)]
            self._agent = ContextualAgent(arms, policy, random_seed=seed)

    def choose(self, x: Vector) -> int:
        return int(self._agent.pull(np.append(x, 1.0)[None, :])[0])

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        self._agent.select_for_update(offer).update(np.append(x, 1.0)[None, :], np.array([float(reward)]))


def _stabilized(settings: list[Setting], rates: list[float]) -> list[Setting]:
    """With `StabilizedForgetting`; `ExponentialForgetting` did worse in trials with either model."""
    return [dict(setting) | {"rate": rate} for setting in settings for rate in rates]


NIG: Setting = {"model": "nig", "shared": 0, "precision": 10.0}
LOGISTIC: Setting = {"model": "glm", "shared": 1, "precision": 10.0}
NIG_UCB: Setting = dict(NIG) | {"quantile": 0.84}
LOGISTIC_UCB: list[Setting] = [dict(LOGISTIC) | {"quantile": quantile} for quantile in (0.7, 0.84)]
CANDIDATES = [
    Candidate(
        "NormalInverseGammaRegressor, an offer each",
        _BayesianBandits,
        plain=[NIG, NIG_UCB],
        forgetting=[*_stabilized([NIG], [0.998]), *_stabilized([NIG_UCB], [0.998, 0.999])],
    ),
    Candidate(
        "BayesianGLM, shared + own",
        _BayesianBandits,
        plain=[LOGISTIC, *LOGISTIC_UCB],
        forgetting=_stabilized(LOGISTIC_UCB, [0.9996, 0.9998]),
    ),
]
