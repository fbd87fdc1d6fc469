"""bayesianbandits: a conjugate regression for each offer, updated row by row, and Thompson draws from it."""

import warnings

import numpy as np
import sklearn
from bayesianbandits import Arm, ContextualAgent, NormalInverseGammaRegressor, ThompsonSampling

from benchmarks.speed.side import TAUGHT, Data, Runs, each

# Checks of arguments take most of the time of a small update; they change no result.
sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
warnings.simplefilter("ignore")


def _agent(data: Data) -> ContextualAgent:
    arms = [Arm(offer, learner=NormalInverseGammaRegressor(lam=1.0)) for offer in range(data.arms)]
    return ContextualAgent(arms, ThompsonSampling(), random_seed=1)


def _taught(agent: ContextualAgent, data: Data) -> float:
    def step(x: np.ndarray, offer: int, reward: np.ndarray) -> None:
        agent.select_for_update(offer).update(x[None, :], reward)

    return each(step, data.wide, data.offers.tolist(), data.rewards.astype(float)[:, None])


def _learn(data: Data) -> float:
    return _taught(_agent(data), data)


def _decide(data: Data) -> float:
    agent = _agent(data)
    _taught(agent, data.first(TAUGHT))
    return each(lambda x: agent.pull(x[None, :]), data.wide)


RUNS: Runs = {"fold-contextual": {"NormalInverseGamma": _learn}, "decide": {"NormalInverseGamma": _decide}}
