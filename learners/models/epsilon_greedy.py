"""Epsilon-greedy with a decaying exploration rate."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from learners.model import ModelConfig
from learners.models.mean_model import MeanModel


class MeanArm(BaseModel):
    """Where an offer starts."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, alias_generator=to_camel, populate_by_name=True
    )

    total_reward: Annotated[float, Field(ge=0, le=1e12)]
    pulls: Annotated[float, Field(ge=0, le=1e12)]


class EpsilonGreedyConfig(ModelConfig):
    """Configuration of `epsilon_greedy`."""

    free = frozenset({"epsilon", "decay_rate"})

    epsilon: float = Field(0.1, ge=0, le=1, description="Exploration rate before the first reward.")
    decay_rate: float = Field(0.001, ge=0, le=1e6, description="How fast exploration fades, per pull.")
    arms: dict[str, MeanArm] = Field({}, description="{offerId: {totalReward, pulls}}: where known offers start.")


class EpsilonGreedy(MeanModel):
    """Shows the best offers, and with a small, shrinking probability any.

    The exploration rate is epsilon / (1 + decayRate · totalPulls), of the decreasing family that Auer, Cesa-Bianchi
    & Fischer 2002 ("Finite-time Analysis of the Multiarmed Bandit Problem", fig. 3) give bounds for; totalPulls
    counts all rewards, whatever the half-life.

    >>> model = EpsilonGreedy(EpsilonGreedyConfig(arms={"a": {"totalReward": 90, "pulls": 300}}))
    >>> round(model.summary()["explorationRate"], 4)
    0.0769

    Warning: the interval is Wilson's, for rewards of 0 and 1; with other weights it is a rough guide.
    """

    def __init__(self, config: EpsilonGreedyConfig) -> None:
        super().__init__(config)
        self._config = config
        for offer, arm in config.arms.items():
            self._arms.add(offer, None, total_reward=arm.total_reward, pulls=arm.pulls)

    def exploration(self) -> float:
        """Return the exploration rate."""
        return self._config.epsilon / (1.0 + self._config.decay_rate * self._total_pulls())

    def summary(self) -> dict[str, float]:
        """Return `explorationRate` and `totalPulls`."""
        return {"explorationRate": self.exploration(), "totalPulls": self._total_pulls()}

    def _total_pulls(self) -> float:
        return float(sum(arm.pulls for arm in self._config.arms.values()) + self._clock.updates)
