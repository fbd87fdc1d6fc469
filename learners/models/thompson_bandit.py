"""Thompson sampling with a Beta posterior for each offer."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaincinv

from learners.model import POSTERIOR_DRAWS, ArmState, Categories, Features, Floats, ModelConfig, Rewards
from learners.models.arm_model import ArmModel

Positive = Annotated[float, Field(gt=0, le=1e12)]


class BetaArm(BaseModel):
    """Where an offer starts, in place of the prior."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alpha: Positive
    beta: Positive


class ThompsonConfig(ModelConfig):
    """Configuration of `thompson_bandit`."""

    free = frozenset({"pooling"})

    prior_alpha: Positive = Field(1.0, description="Successes that a new offer is credited with, above 0.")
    prior_beta: Positive = Field(1.0, description="Failures that a new offer is credited with, above 0.")
    arms: dict[str, BetaArm] = Field({}, description="{offerId: {alpha, beta}}: where known offers start.")
    pooling: float = Field(
        0.0, ge=0, le=1e6, description="Pseudo-counts that a new offer takes from its category; 0 is off."
    )


class ThompsonBandit(ArmModel):
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

    draws = POSTERIOR_DRAWS

    def __init__(self, config: ThompsonConfig) -> None:
        super().__init__(config, ("prior_alpha", "prior_beta", "won", "lost"))
        self._config = config
        for offer, arm in config.arms.items():
            self._arms.add(offer, None, prior_alpha=arm.alpha, prior_beta=arm.beta)

    def update(self, batch: Rewards) -> None:
        """Learn from rewards; a batch equals the sequence of its single rewards, bit for bit."""
        new = self._arms.rows_of(batch.offers) < 0
        if new.any() and self._config.pooling > 0:  # where a new offer starts depends on all before it
            for i in range(len(batch)):
                self._learn(batch.only(i))
        else:
            self._learn(batch)

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the posterior mean of each of k offers, (k,) float64."""
        del features
        alpha, beta = self._posterior(offers, categories)
        return alpha / (alpha + beta)

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return n draws from the posteriors of k offers, (n, k) float64."""
        del features
        return rng.beta(*self._posterior(offers, categories), size=(n, len(offers)))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's posterior; the interval is its central 95 %."""
        offers = self._arms.met(offer_id)
        alpha, beta = self._posterior(offers, [None] * len(offers))
        lower, upper = betaincinv(alpha, beta, 0.025), betaincinv(alpha, beta, 0.975)
        return [
            self._arms.describe(offer, a / (a + b), low, high, {"alpha": float(a), "beta": float(b)})
            for offer, a, b, low, high in zip(offers, alpha, beta, lower, upper, strict=True)
        ]

    def _learn(self, batch: Rewards) -> None:
        for i in np.flatnonzero(self._arms.rows_of(batch.offers) < 0).tolist():
            offer, category = batch.offers[i], batch.categories[i]
            if self._arms.row(offer) is None:
                alpha, beta = self._prior(category)
                self._arms.add(offer, category, prior_alpha=alpha, prior_beta=beta, stamp=self._clock.stamp)
        weights = batch.weights
        self._add_up(batch, won=np.maximum(weights, 0.0), lost=np.maximum(-weights, 0.0))

    def _prior(self, category: str | None) -> tuple[float, float]:
        config = self._config
        if config.pooling == 0 or category is None:
            return config.prior_alpha, config.prior_beta
        members = [self._arms.offers[row] for row in self._arms.in_category(category)]
        won, lost = self._faded(members, "won", "lost")
        successes, failures = config.prior_alpha + float(won.sum()), config.prior_beta + float(lost.sum())
        mean = successes / (successes + failures)
        return config.prior_alpha + config.pooling * mean, config.prior_beta + config.pooling * (1 - mean)

    def _posterior(self, offers: Sequence[str], categories: Categories) -> tuple[Floats, Floats]:
        rows = self._arms.rows_of(offers)
        met = rows >= 0
        alpha, beta = self._faded(offers, "won", "lost")
        alpha[met] += self._arms["prior_alpha"][rows[met]]
        beta[met] += self._arms["prior_beta"][rows[met]]
        for i in np.flatnonzero(~met).tolist():
            alpha[i], beta[i] = self._prior(categories[i])
        return alpha, beta
