"""Thompson sampling on the value of a response, with a normal-inverse-gamma posterior for each offer."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import stdtrit

from learners.model import POSTERIOR_DRAWS, ArmState, Categories, Features, Floats, ModelConfig, Rewards
from learners.models.arm_model import ArmModel

Positive = Annotated[float, Field(gt=0, le=1e12)]
VALUE_LIMIT = 1e12
"""A larger value counts as this much: squares of it stay well inside a float."""


class GaussianConfig(ModelConfig):
    """Configuration of `gaussian_ts`: the normal-inverse-gamma prior of an offer's value."""

    free = frozenset({"mean", "kappa", "alpha", "beta"})

    mean: float = Field(0.0, ge=-1e12, le=1e12, description="Expected value before the first reward.")
    kappa: Positive = Field(1.0, description="Rewards that the prior mean is worth, above 0.")
    alpha: Positive = Field(1.0, description="Shape of the variance's prior, above 0.")
    beta: Positive = Field(1.0, description="Scale of the variance's prior, above 0.")


class GaussianThompson(ArmModel):
    """Each offer's value is normal with unknown mean and variance; ranking draws from the mean's posterior.

    The reward is the conversion value of a positive outcome, its weight where no value was given, and 0 for a
    negative one. With n rewards of mean x̄ and squared deviations s the posterior is (Murphy 2007, "Conjugate
    Bayesian Analysis of the Gaussian Distribution", sec. 3.3) κ' = κ + n, μ' = (κμ + n x̄) / κ', α' = α + n/2,
    β' = β + s/2 + κn(x̄ − μ)² / 2κ', and the mean's marginal a Student t with 2α' degrees of freedom, centre μ' and
    scale √(β' / (α' κ')). With a half-life n, x̄ and s are those of the faded rewards.

    >>> model = GaussianThompson(GaussianConfig(mean=10))
    >>> model.score({}, ["new"], [None])
    array([10.])

    Warning: values are seldom normal; a few very large ones widen every interval.
    """

    draws = POSTERIOR_DRAWS

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__(config, ("n", "mean", "squares"))
        self._config = config

    def update(self, batch: Rewards) -> None:
        """Learn from rewards one by one (Welford's sums), so a batch equals the sequence, bit for bit."""
        values = np.minimum(_values(batch), VALUE_LIMIT)
        rows = self._arms.met_rows(batch)
        arms = self._arms
        for i, row in enumerate(rows.tolist()):
            self._clock.advance(batch.only(i))
            self._fade(row, ("n", "squares"))
            arms["n"][row] += 1.0
            step = values[i] - arms["mean"][row]
            arms["mean"][row] += step / arms["n"][row]
            arms["squares"][row] += step * (values[i] - arms["mean"][row])
        arms.tally(rows, batch)

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the posterior mean of each of k offers' value, (k,) float64."""
        del features, categories
        return self._posterior(offers)[0]

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return n draws of the mean values of k offers, (n, k) float64."""
        del features, categories
        mean, kappa, alpha, beta = self._posterior(offers)
        return mean + np.sqrt(beta / (alpha * kappa)) * rng.standard_t(2 * alpha, size=(n, len(offers)))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's posterior; the interval is the central 95 % of the mean's."""
        offers = self._arms.met(offer_id)
        mean, kappa, alpha, beta = self._posterior(offers)
        half = stdtrit(2 * alpha, 0.975) * np.sqrt(beta / (alpha * kappa))
        return [
            self._arms.describe(
                offer,
                mean[i],
                mean[i] - half[i],
                mean[i] + half[i],
                {
                    "mean": float(mean[i]),
                    "kappa": float(kappa[i]),
                    "alpha": float(alpha[i]),
                    "beta": float(beta[i]),
                },
            )
            for i, offer in enumerate(offers)
        ]

    def _posterior(self, offers: Sequence[str]) -> tuple[Floats, Floats, Floats, Floats]:
        """Return mean, kappa, alpha and beta, (k,) each."""
        prior = self._config
        n, squares = self._faded(offers, "n", "squares")
        rows = self._arms.rows_of(offers)
        seen = np.zeros(len(offers))
        seen[rows >= 0] = self._arms["mean"][rows[rows >= 0]]
        kappa = prior.kappa + n
        shift = prior.kappa * n * (seen - prior.mean) ** 2 / (2 * kappa)
        mean = (prior.kappa * prior.mean + n * seen) / kappa
        return mean, kappa, prior.alpha + n / 2, prior.beta + squares / 2 + shift


def _values(batch: Rewards) -> Floats:
    given = np.where(np.isnan(batch.values), batch.weights, batch.values)
    return np.where(batch.weights > 0, given, 0.0)
