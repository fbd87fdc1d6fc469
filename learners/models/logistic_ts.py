"""Thompson sampling with a Bayesian logistic regression, each offer with weights of its own beside shared ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.features import BIAS, Slots
from learners.intervals import Z_95
from learners.laplace import Beliefs, Gaussians, Responses, sigmoid
from learners.model import POSTERIOR_DRAWS, ArmState, Categories, Features, Floats, Rewards
from learners.models.arm_model import ArmModel
from learners.models.linear_bandits import DenseConfig


class LogisticThompson(ArmModel):
    """The probability of a positive response, σ((β + θ_a) · x), with independent Gaussian beliefs of all weights.

    Chapelle & Li 2011, "An Empirical Evaluation of Thompson Sampling", alg. 3: after each batch the weights move to
    the posterior mode and each precision grows by Σ x² p (1 − p) (the diagonal Laplace approximation); ranking
    draws from it. β is the part that offers share (a hierarchical prior), θ_a the offer's own. A reward's size
    weighs its observation. With a half-life beliefs fade towards the prior.

    >>> model = LogisticThompson(DenseConfig())
    >>> model.score({"age": 38}, ["new"], [None])
    array([0.5])

    Warning: the approximation takes weights as independent, so correlated features make it too sure.
    """

    contextual = True
    draws = POSTERIOR_DRAWS

    def __init__(self, config: DenseConfig) -> None:
        super().__init__(config, ())
        self._config = config
        self._slots = Slots(config.dim, normalize=config.normalize)
        self._shared = Beliefs(1, config.dim, config.prior_precision)
        self._own = Beliefs(0, config.dim, config.prior_precision)
        self._shared_stamp = 0.0

    def update(self, batch: Rewards) -> None:
        """Learn from rewards, as one batch."""
        vectors = self._slots.learn(batch.features)
        stamps = self._clock.stamps_of(batch)
        rows = self._arms.met_rows(batch)
        self._own.grow(len(self._arms))
        self._clock.advance(batch)
        met, places = np.unique(rows, return_inverse=True)
        responses = Responses(
            vectors,
            won=(batch.weights > 0).astype(np.float64),
            importance=np.abs(batch.weights) * self._clock.kept_of(stamps),
            members=[np.flatnonzero(places == place) for place in range(len(met))],
        )
        self._learn(met, responses)
        self._arms["stamp"][met] = self._shared_stamp = self._clock.stamp
        self._arms.tally(rows, batch)

    def predict(self, batch: Rewards) -> Floats:
        """Return the probability of a positive response for each of n rewards, (n,) float64."""
        weights = self._weights(batch.offers)[0]
        return sigmoid(np.einsum("nd,nd->n", self._slots.encode(batch.features), weights))

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the probability of a positive response for each of k offers, (k,) float64."""
        del categories
        return sigmoid(self._weights(offers)[0] @ self._slots.encode_one(features))

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return n draws of the probabilities of k offers, (n, k) float64."""
        del categories
        weights, own, shared = self._weights(offers)
        x = self._slots.encode_one(features)
        noise = np.sqrt(own @ x**2) * rng.standard_normal((n, len(offers)))
        noise += np.sqrt(shared @ x**2) * rng.standard_normal((n, 1))
        return sigmoid(weights @ x + self._config.explore * noise)

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's probability for the average customer with its 95 % interval, and its weights."""
        offers = self._arms.met(offer_id)
        weights, own, shared = self._weights(offers)
        names = ["bias", *self._slots.names[1:]]
        half = Z_95 * np.sqrt(own[:, BIAS] + shared[BIAS])
        mean, lower, upper = (sigmoid(weights[:, BIAS] + sign * half) for sign in (0.0, -1.0, 1.0))
        return [
            self._arms.describe(
                offer, mean[i], lower[i], upper[i], dict(zip(names, weights[i].tolist(), strict=False))
            )
            for i, offer in enumerate(offers)
        ]

    def remove(self, offer: str) -> None:
        """Forget an offer; what it taught about the shared part stays."""
        row = self._arms.row(offer)
        if row is not None:
            self._own.remove(row)
        self._arms.remove(offer)

    def state(self) -> dict[str, Any]:
        """Return all that was learned."""
        return {
            **super().state(),
            "slots": self._slots.state(),
            "own": self._own.state(),
            "shared": self._shared.state(),
            "shared_stamp": self._shared_stamp,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        super().restore(state)
        self._slots.restore(state["slots"])
        self._own.restore(state["own"])
        self._shared.restore(state["shared"])
        self._shared_stamp = state["shared_stamp"]

    def _learn(self, met: NDArray[np.intp], responses: Responses) -> None:
        means, precisions = self._own.faded(self._kept())
        own = Gaussians(means[met], precisions[met])
        mean, precision = self._shared.faded(self._kept_shared())
        shared = Gaussians(mean[0], precision[0]) if self._config.shared else None
        beta, theta = responses.mode(shared, own)
        curvature = responses.curvature(beta, theta)
        self._own.put(met, theta, own.precision + curvature)
        if shared is not None:
            self._shared.put(np.array([0]), beta, shared.precision + curvature.sum(axis=0))

    def _weights(self, offers: Sequence[str]) -> tuple[Floats, Floats, Floats]:
        """Return weights and own variances of k offers, (k, d) each, and the shared variances, (d,)."""
        rows = self._arms.rows_of(offers)
        met = rows >= 0
        means, precisions = self._own.faded(self._kept())
        weights = np.zeros((len(offers), self._config.dim))
        variances = np.full((len(offers), self._config.dim), 1.0 / self._config.prior_precision)
        weights[met], variances[met] = means[rows[met]], 1.0 / precisions[rows[met]]
        if not self._config.shared:
            return weights, variances, np.zeros(self._config.dim)
        mean, precision = self._shared.faded(self._kept_shared())
        return weights + mean, variances, 1.0 / precision[0]

    def _kept(self) -> Floats:
        return self._clock.kept_of(self._arms["stamp"])

    def _kept_shared(self) -> Floats:
        return np.array([self._clock.kept(self._shared_stamp)])
