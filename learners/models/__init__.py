"""The models, and how one is made from its type and configuration."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from learners.errors import ConfigError
from learners.model import Model, ModelConfig
from learners.models.bayesian import BayesianConfig, NaiveBayes
from learners.models.epsilon_greedy import EpsilonGreedy, EpsilonGreedyConfig
from learners.models.gaussian_ts import GaussianConfig, GaussianThompson
from learners.models.linear_bandits import DenseConfig, LinThompson, LinUcb, SamplingConfig
from learners.models.logistic_ts import LogisticThompson
from learners.models.online_learner import OnlineLearner, OnlineLearnerConfig
from learners.models.scorecard import Scorecard, ScorecardConfig
from learners.models.thompson_bandit import ThompsonBandit, ThompsonConfig
from learners.models.ucb import Ucb, UcbConfig
from storage.entry import LARGEST_WEIGHT

MODELS: Final[Mapping[str, tuple[type[ModelConfig], Callable[[Any], Model]]]] = {
    "thompson_bandit": (ThompsonConfig, ThompsonBandit),
    "epsilon_greedy": (EpsilonGreedyConfig, EpsilonGreedy),
    "ucb": (UcbConfig, Ucb),
    "gaussian_ts": (GaussianConfig, GaussianThompson),
    "bayesian": (BayesianConfig, NaiveBayes),
    "online_learner": (OnlineLearnerConfig, OnlineLearner),
    "lin_ucb": (DenseConfig, LinUcb),
    "lin_ts": (SamplingConfig, LinThompson),
    "logistic_ts": (SamplingConfig, LogisticThompson),
    "scorecard": (ScorecardConfig, Scorecard),
}
"""type → its configuration and the model itself."""


def make_model(model_type: str, config: Mapping[str, Any]) -> Model:
    """Return a new model.

    Raises:
        ConfigError: there is no such type, or the configuration breaks a rule.
    """
    checked = make_config(model_type, config)
    return MODELS[model_type][1](checked)


def make_config(model_type: str, config: Mapping[str, Any]) -> ModelConfig:
    """Return the configuration, with its defaults.

    Raises:
        ConfigError: there is no such type, or the configuration breaks a rule.
    """
    if model_type not in MODELS:
        raise ConfigError(f"modelType must be one of {', '.join(sorted(MODELS))}")
    try:
        return MODELS[model_type][0].model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(["config", *(str(part) for part in first["loc"])])
        raise ConfigError(f"{field}: {first['msg']}") from None


def check_outcome_weights(weights: Mapping[str, float], classifications: Mapping[str, str]) -> None:
    """Check that weights have the sign of their outcome, and are not too large.

    Raises:
        ConfigError: one has not; the message names it.
    """
    for outcome, weight in weights.items():
        wanted = {"positive": 1, "negative": -1}.get(classifications.get(outcome, ""), 0)
        if not math.isfinite(weight) or wanted * weight <= 0:
            rule = {1: "be greater than 0", -1: "be less than 0"}.get(
                wanted, "not be given: it is neutral or unknown"
            )
            raise ConfigError(f"outcomeWeights.{outcome} must {rule}")
        if abs(weight) > LARGEST_WEIGHT:
            raise ConfigError(f"outcomeWeights.{outcome} must be at most {LARGEST_WEIGHT:,.0f} in size")
