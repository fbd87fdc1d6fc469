"""The reward model q(x, a), which dm, dr and their kin need: its settings and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from learners.errors import ConfigError, EvaluationError
from learners.model import Features, Floats
from learners.spec import parse_settings

Kind: TypeAlias = Literal["auto", "logistic", "ridge"]
OfferFeatures: TypeAlias = Mapping[str, Features]


class RewardModelConfig(BaseModel):
    """Settings of the reward model."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, allow_inf_nan=False)

    kind: Kind = "auto"
    c: float = Field(1.0, gt=0, description="Inverse of the strength of the L2 penalty.")
    folds: int = Field(
        3,
        ge=1,
        le=100,
        description="Parts of the cross-fitting, at most one a row; 1 fits and asks on the same rows.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the split into folds.")
    max_iter: int = Field(1000, ge=1, description="Iterations of the solver, at most.")
    scale: bool = Field(True, description="Whether numbers are standardised.")


def parse_reward_model(text: str) -> RewardModelConfig:
    """Return the settings that `KIND` or `KIND:key=value,…` writes.

    >>> parse_reward_model("logistic:folds=5").folds
    5

    Raises:
        EvaluationError: there is no such kind, or a setting breaks its rule.
    """
    try:
        kind, settings = parse_settings(text)
        return RewardModelConfig.model_validate({"kind": kind, **dict(settings)})
    except ConfigError as error:
        raise EvaluationError(f"--reward-model {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise EvaluationError(f"--reward-model {text}: {field}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Predicted:
    """q of all m candidates, (m,) float64; `converged` tells whether each solver came to its end."""

    rewards: Floats
    kind: str
    converged: bool
