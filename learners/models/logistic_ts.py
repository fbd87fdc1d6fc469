"""Thompson sampling with a Bayesian logistic regression, each offer with weights of its own beside shared ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import structs

from learners.model import ArmState, Categories, Features, Floats, Noise, Rewards
from learners.models.linear_bandits import SamplingBandit, Seen
from learners.sigmoid import sigmoid

NEWTON_STEPS: Final = 25
"""A strictly concave posterior settles in five or six steps; 25 bound the time where steps are cut."""
SETTLED: Final = 1e-9
LONGEST: Final = 5.0
"""The largest change of a margin in one step: Newton's first steps overshoot where the data are separable."""


class LogisticThompson(SamplingBandit):
    """The probability of a positive response, σ(w_a · x), with Gaussian beliefs of all weights.

    Chapelle & Li 2011, "An Empirical Evaluation of Thompson Sampling", alg. 3: after each batch the weights move to
    the posterior mode, and the curvature there, Σ p (1 − p) x xᵀ, adds to the precision (Laplace's approximation);
    ranking draws from it. They keep the diagonal of the precision; here it is kept whole, with the part that offers
    share, as the sums of `learners.hybrid`: each batch adds the quadratic that touches its log-likelihood at the
    mode, which iteratively reweighted least squares finds (McCullagh & Nelder 1989, sec. 2.5). A reward's size
    weighs its observation. With a half-life beliefs fade towards the prior.

    >>> from learners.models.linear_bandits import SamplingConfig
    >>> model = LogisticThompson(SamplingConfig())
    >>> model.score({"age": 38}, ["new"], [None])
    array([0.5])

    Warning: memory and time grow with the square and the cube of `dim`, as in the linear models.
    """

    def predict(self, batch: Rewards) -> Floats:
        """Return the probability of a positive response for each of n rewards, (n,) float64."""
        return sigmoid(super().predict(batch))

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the probability of a positive response for each of k offers, (k,) float64."""
        return sigmoid(super().score(features, offers, categories))

    def drawn(self, noise: Noise, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the draws of the probabilities of k offers that the noise makes, (n, k) float64."""
        return sigmoid(super().drawn(noise, features, offers, categories))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's probability for the average customer with its 95 % interval, and its weights."""
        return [
            structs.replace(
                arm,
                **{name: float(sigmoid(np.array(getattr(arm, name)))) for name in ("mean", "ci_lower", "ci_upper")},
            )
            for arm in super().arms(offer_id)
        ]

    def _learn(self, seen: Seen) -> None:
        limit = self._regression.limit
        before = self._regression.saved(seen.offers[seen.offers < limit].tolist())
        won, importance = (seen.weights > 0).astype(np.float64), np.abs(seen.weights) * seen.shares
        margins = self._margins(seen)
        for _ in range(NEWTON_STEPS):
            p = sigmoid(margins)
            curvature = p * (1 - p)
            self._regression.put_back(before)
            self._add(seen, margins + (won - p) / curvature, importance * curvature)
            step = self._margins(seen) - margins
            longest = float(np.abs(step).max())
            margins = margins + min(1.0, LONGEST / max(longest, SETTLED)) * step
            if longest < SETTLED:
                break

    def _margins(self, seen: Seen) -> Floats:
        solved = self._solved()
        weights = solved.weights_of(np.minimum(seen.rows, solved.count))
        return np.asarray((seen.vectors * weights).sum(axis=1), np.float64)
