"""Thompson sampling with a Beta posterior for each offer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaincinv

from learners.arms import Arms
from learners.forgetting import Clock
from learners.model import ArmState, Features, Floats, ModelConfig, Rewards

Positive = Annotated[float, Field(gt=0, le=1e12)]


class BetaArm(BaseModel):
    """Where an offer starts, in place of the prior."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alpha: Positive
    beta: Positive


class ThompsonConfig(ModelConfig):
    """Configuration of `thompson_bandit`."""

    prior_alpha: Positive = Field(1.0, description="Successes that a new offer is credited with, above 0.")
    prior_beta: Positive = Field(1.0, description="Failures that a new offer is credited with, above 0.")
    arms: dict[str, BetaArm] = Field({}, description="{offerId: {alpha, beta}}: where known offers start.")
    pooling: float = Field(
        0.0, ge=0, le=1e6, description="Pseudo-counts that a new offer takes from its category; 0 is off."
    )


class ThompsonBandit:
    """The Beta-Bernoulli bandit: each offer's success rate is Beta(alpha, beta), ranking draws from it.

    A positive reward adds its weight to alpha, a negative one its size to beta (Thompson 1933, Biometrika 25;
    Chapelle & Li 2011, "An Empirical Evaluation of Thompson Sampling", alg. 2). A new offer may start from its
    category: `pooling` pseudo-counts, split as the category's offers have fared. With a half-life the evidence, not
    the prior, fades: Beta(prior + kept · evidence).

    >>> model = ThompsonBandit(ThompsonConfig(arms={"a": {"alpha": 22, "beta": 80}}))
    >>> round(float(model.score({}, ["a"], [None])[0]), 4)
    0.2157

    Warning: offers are independent but for `pooling`; features are ignored.
    """

    def __init__(self, config: ThompsonConfig) -> None:
        self._config = config
        self._arms = Arms(("prior_alpha", "prior_beta", "won", "lost", "stamp"))
        self._clock = Clock(config.half_life)
        for offer, arm in config.arms.items():
            self._arms.add(offer, None, prior_alpha=arm.alpha, prior_beta=arm.beta)

    def update(self, batch: Rewards) -> None:
        """Learn from rewards; a batch equals the sequence of its single rewards, bit for bit."""
        rows, all_known = self._arms.rows(batch)
        if self._config.half_life is not None:
            for i in range(len(batch)):
                self._learn_fading(batch, i)
        elif all_known or self._config.pooling == 0:
            self._learn(rows, batch)
        else:  # where a new offer starts depends on all before it
            for i in range(len(batch)):
                self._learn(np.array([self._row(batch, i)], np.intp), batch.only(i))

    def score(self, features: Features, offers: Sequence[str], categories: Sequence[str | None]) -> Floats:
        """Return the posterior mean of each of k offers, (k,) float64."""
        del features
        alpha, beta = self._posterior(offers, categories)
        return alpha / (alpha + beta)

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Sequence[str | None]
    ) -> Floats:
        """Return a draw from the posterior of each of k offers, (k,) float64."""
        del features
        return rng.beta(*self._posterior(offers, categories))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's posterior; the interval is its central 95 %."""
        offers = self._arms.met(offer_id)
        alpha, beta = self._posterior(offers, [None] * len(offers))
        lower, upper = betaincinv(alpha, beta, 0.025), betaincinv(alpha, beta, 0.975)
        return [
            self._arms.describe(offer, a / (a + b), low, high, {"alpha": float(a), "beta": float(b)})
            for offer, a, b, low, high in zip(offers, alpha, beta, lower, upper, strict=True)
        ]

    def summary(self) -> dict[str, float]:
        """Return nothing: every parameter belongs to an offer."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return all that was learned."""
        return {"clock": self._clock.state(), "arms": self._arms.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self._clock.restore(state["clock"])
        self._arms.restore(state["arms"])

    def _learn(self, rows: NDArray[np.intp], batch: Rewards) -> None:
        for i in np.flatnonzero(rows < 0):
            rows[i] = self._row(batch, int(i))
        won = batch.weights > 0
        np.add.at(self._arms["won"], rows[won], batch.weights[won])
        np.add.at(self._arms["lost"], rows[~won], -batch.weights[~won])
        self._arms.tally(rows, batch)
        self._clock.advance(batch)

    def _learn_fading(self, batch: Rewards, i: int) -> None:
        row, one = self._row(batch, i), batch.only(i)
        self._clock.advance(one)
        kept = self._kept(row)
        for column in ("won", "lost"):
            self._arms[column][row] *= kept
        weight = float(batch.weights[i])
        self._arms["won" if weight > 0 else "lost"][row] += abs(weight)
        self._arms["stamp"][row] = self._clock.stamp
        self._arms.tally(np.array([row], np.intp), one)

    def _row(self, batch: Rewards, i: int) -> int:
        offer, category = batch.offers[i], batch.categories[i]
        row = self._arms.row(offer)
        if row is not None:
            return row
        alpha, beta = self._prior(category)
        return self._arms.add(offer, category, prior_alpha=alpha, prior_beta=beta, stamp=self._clock.stamp)

    def _prior(self, category: str | None) -> tuple[float, float]:
        config = self._config
        if config.pooling == 0 or category is None:
            return config.prior_alpha, config.prior_beta
        rows = self._arms.in_category(category)
        won = config.prior_alpha + sum(self._kept(row) * float(self._arms["won"][row]) for row in rows)
        lost = config.prior_beta + sum(self._kept(row) * float(self._arms["lost"][row]) for row in rows)
        mean = won / (won + lost)
        return config.prior_alpha + config.pooling * mean, config.prior_beta + config.pooling * (1 - mean)

    def _posterior(self, offers: Sequence[str], categories: Sequence[str | None]) -> tuple[Floats, Floats]:
        arms = self._arms
        alpha, beta = np.empty(len(offers)), np.empty(len(offers))
        for i, (offer, category) in enumerate(zip(offers, categories, strict=True)):
            row = arms.row(offer)
            if row is None:
                alpha[i], beta[i] = self._prior(category)
                continue
            kept = self._kept(row)
            alpha[i] = arms["prior_alpha"][row] + kept * arms["won"][row]
            beta[i] = arms["prior_beta"][row] + kept * arms["lost"][row]
        return alpha, beta

    def _kept(self, row: int) -> float:
        return self._clock.kept(float(self._arms["stamp"][row]))
