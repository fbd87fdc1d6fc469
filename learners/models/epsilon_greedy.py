"""Epsilon-greedy with a decaying exploration rate."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from learners.arms import Arms
from learners.forgetting import Clock
from learners.model import ArmState, Features, Floats, ModelConfig, Rewards

Z_95: Final = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
UNPULLED_SCORE: Final = 1.0
"""An offer without rewards is tried before those that are known to earn less than always."""


class MeanArm(BaseModel):
    """Where an offer starts."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, alias_generator=to_camel, populate_by_name=True
    )

    total_reward: Annotated[float, Field(ge=0, le=1e12)]
    pulls: Annotated[float, Field(ge=0, le=1e12)]


class EpsilonGreedyConfig(ModelConfig):
    """Configuration of `epsilon_greedy`."""

    epsilon: float = Field(0.1, ge=0, le=1, description="Exploration rate before the first reward.")
    decay_rate: float = Field(0.001, ge=0, le=1e6, description="How fast exploration fades, per pull.")
    arms: dict[str, MeanArm] = Field({}, description="{offerId: {totalReward, pulls}}: where known offers start.")


class EpsilonGreedy:
    """Shows the best offer, and with a small, shrinking probability any.

    The exploration rate is epsilon / (1 + decayRate · totalPulls), of the decreasing family that Auer, Cesa-Bianchi
    & Fischer 2002 ("Finite-time Analysis of the Multiarmed Bandit Problem", fig. 3) give bounds for. A reward is
    its weight, 0 for a negative one; an offer's score is its mean reward, 1 before the first. With a half-life
    rewards and pulls of an offer fade alike, so its mean follows the recent ones; totalPulls counts all.

    >>> model = EpsilonGreedy(EpsilonGreedyConfig(arms={"a": {"totalReward": 90, "pulls": 300}}))
    >>> round(model.summary()["explorationRate"], 4)
    0.0769

    Warning: the interval is Wilson's, for rewards of 0 and 1; with other weights it is a rough guide.
    """

    def __init__(self, config: EpsilonGreedyConfig) -> None:
        self._config = config
        self._arms = Arms(("total_reward", "pulls", "stamp"))
        self._clock = Clock(config.half_life)
        for offer, arm in config.arms.items():
            self._arms.add(offer, None, total_reward=arm.total_reward, pulls=arm.pulls)

    def update(self, batch: Rewards) -> None:
        """Learn from rewards; a batch equals the sequence of its single rewards, bit for bit."""
        rows, _ = self._arms.rows(batch)
        for i in np.flatnonzero(rows < 0):
            rows[i] = self._row(batch, int(i))
        if self._config.half_life is None:
            np.add.at(self._arms["total_reward"], rows, np.maximum(batch.weights, 0.0))
            np.add.at(self._arms["pulls"], rows, 1.0)
            self._arms.tally(rows, batch)
            self._clock.advance(batch)
        else:
            for k in range(len(batch)):
                self._learn_fading(int(rows[k]), batch.only(k))

    def score(self, features: Features, offers: Sequence[str], categories: Sequence[str | None]) -> Floats:
        """Return the mean reward of each of k offers, (k,) float64; 1 where there was none."""
        del features, categories
        return np.array([self._mean(offer) for offer in offers], np.float64)

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Sequence[str | None]
    ) -> Floats:
        """Return the means, or with the exploration rate as probability uniform draws, (k,) float64."""
        explore = rng.random() < self.summary()["explorationRate"]
        return rng.random(len(offers)) if explore else self.score(features, offers, categories)

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's mean reward with Wilson's 95 % interval."""
        states = []
        for offer in self._arms.met(offer_id):
            total, pulls = self._evidence(offer)
            mean = self._mean(offer)
            lower, upper = wilson(min(mean, 1.0), pulls)
            states.append(self._arms.describe(offer, mean, lower, upper, {"totalReward": total, "pulls": pulls}))
        return states

    def summary(self) -> dict[str, float]:
        """Return `explorationRate` and `totalPulls`."""
        pulls = sum(arm.pulls for arm in self._config.arms.values()) + self._clock.updates
        return {
            "explorationRate": self._config.epsilon / (1.0 + self._config.decay_rate * pulls),
            "totalPulls": float(pulls),
        }

    def state(self) -> dict[str, Any]:
        """Return all that was learned."""
        return {"clock": self._clock.state(), "arms": self._arms.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self._clock.restore(state["clock"])
        self._arms.restore(state["arms"])

    def _learn_fading(self, row: int, one: Rewards) -> None:
        self._clock.advance(one)
        kept = self._kept(row)
        self._arms["total_reward"][row] = kept * self._arms["total_reward"][row] + max(float(one.weights[0]), 0.0)
        self._arms["pulls"][row] = kept * self._arms["pulls"][row] + 1.0
        self._arms["stamp"][row] = self._clock.stamp
        self._arms.tally(np.array([row], np.intp), one)

    def _row(self, batch: Rewards, i: int) -> int:
        row = self._arms.row(batch.offers[i])
        return self._arms.add(batch.offers[i], batch.categories[i]) if row is None else row

    def _evidence(self, offer: str) -> tuple[float, float]:
        row = self._arms.row(offer)
        if row is None:
            return 0.0, 0.0
        kept = self._kept(row)
        return kept * float(self._arms["total_reward"][row]), kept * float(self._arms["pulls"][row])

    def _mean(self, offer: str) -> float:
        total, pulls = self._evidence(offer)
        return total / pulls if pulls > 0 else UNPULLED_SCORE

    def _kept(self, row: int) -> float:
        return self._clock.kept(float(self._arms["stamp"][row]))


def wilson(mean: float, pulls: float) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927, JASA 22); 0 and 1 without pulls.

    >>> [round(bound, 4) for bound in wilson(0.5, 10)]
    [0.2366, 0.7634]
    """
    if pulls == 0:
        return 0.0, 1.0
    z2 = Z_95 * Z_95
    centre = (mean + z2 / (2 * pulls)) / (1 + z2 / pulls)
    half = Z_95 * np.sqrt(mean * (1 - mean) / pulls + z2 / (4 * pulls * pulls)) / (1 + z2 / pulls)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
