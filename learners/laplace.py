"""Logistic regressions of many offers at once, with independent Gaussian beliefs of their weights.

The posterior mode of σ((β + θ_a) · x) under Gaussian priors is found by Newton's method; each step solves for β by
block elimination of the θ_a, as `learners.hybrid` does for ridge regression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from learners.model import Floats

NEWTON_STEPS: Final = 25
"""A strictly concave posterior settles in five or six steps; 25 bound the time where steps are cut."""
SETTLED: Final = 1e-9
LONGEST: Final = 5.0
"""The largest change of a weight in one step: Newton's first steps overshoot where the data are separable."""
MARGIN: Final = 35.0
"""Beyond it a probability is 0 or 1 to the last bit."""


def sigmoid(margin: Floats) -> Floats:
    """Return 1 / (1 + e^-margin), element by element."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -MARGIN, MARGIN))), np.float64)


class Beliefs:
    """Independent Gaussian beliefs of n × d weights: means, and the precision that evidence adds to the prior.

    Args:
        n: rows to start with, nothing known.
        dim: d.
        prior: the prior's precision; its mean is 0.
    """

    def __init__(self, n: int, dim: int, prior: float) -> None:
        self._prior = prior
        self.mean = np.zeros((n, dim))
        self.evidence = np.zeros((n, dim))

    def grow(self, n: int) -> None:
        """Have at least n rows."""
        if n > len(self.mean):
            more = np.zeros((n - len(self.mean), self.mean.shape[1]))
            self.mean, self.evidence = np.concatenate([self.mean, more]), np.concatenate([self.evidence, more])

    def faded(self, kept: Floats) -> tuple[Floats, Floats]:
        """Return means and precisions, (n, d) each, of which shares `kept`, (n,), of the evidence are left."""
        precision = self._prior + kept[:, None] * self.evidence
        return kept[:, None] * (self._prior + self.evidence) * self.mean / precision, precision

    def put(self, rows: NDArray[np.intp], mean: Floats, precision: Floats) -> None:
        """Replace what is believed of some rows."""
        self.mean[rows], self.evidence[rows] = mean, precision - self._prior

    def remove(self, row: int) -> None:
        """Take a row out."""
        self.mean, self.evidence = np.delete(self.mean, row, axis=0), np.delete(self.evidence, row, axis=0)

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        return {"mean": self.mean.astype("<f8").tobytes(), "evidence": self.evidence.astype("<f8").tobytes()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        dim = self.mean.shape[1]
        self.mean = np.frombuffer(state["mean"], "<f8").reshape(-1, dim).astype(np.float64)
        self.evidence = np.frombuffer(state["evidence"], "<f8").reshape(-1, dim).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Gaussians:
    """Priors: means and precisions, (k, d) each for k offers, (d,) for what they share."""

    mean: Floats
    precision: Floats


@dataclass(frozen=True, slots=True)
class Responses:
    """Responses to k offers.

    Attributes:
        vectors: (n, d).
        won: (n,), 1 or 0.
        importance: (n,), > 0.
        members: for each offer the rows that are its own.
    """

    vectors: Floats
    won: Floats
    importance: Floats
    members: list[NDArray[np.intp]]

    def mode(self, shared: Gaussians | None, own: Gaussians) -> tuple[Floats, Floats]:
        """Return β, (d,), and θ, (k, d), of the posterior mode; β is 0 without `shared`."""
        dim = self.vectors.shape[1]
        beta = np.zeros(dim) if shared is None else shared.mean.copy()
        theta = own.mean.copy()
        for _ in range(NEWTON_STEPS):
            step_shared, step_own = self._newton(beta, theta, shared, own)
            longest = max(float(np.abs(step_shared).max()), float(np.abs(step_own).max(initial=0.0)))
            cut = min(1.0, LONGEST / longest) if longest > 0 else 1.0
            beta, theta = beta + cut * step_shared, theta + cut * step_own
            if longest < SETTLED:
                break
        return beta, theta

    def curvature(self, beta: Floats, theta: Floats) -> Floats:
        """Return Σ x² p (1 − p) of each offer's responses, (k, d)."""
        result = np.empty_like(theta)
        for a, rows in enumerate(self.members):
            x = self.vectors[rows]
            p = sigmoid(x @ (beta + theta[a]))
            result[a] = (self.importance[rows] * p * (1 - p)) @ x**2
        return result

    def _newton(
        self, beta: Floats, theta: Floats, shared: Gaussians | None, own: Gaussians
    ) -> tuple[Floats, Floats]:
        k, dim = theta.shape
        hessians, gradients = np.empty((k, dim, dim)), np.empty((k, dim))
        for a, rows in enumerate(self.members):
            x, importance = self.vectors[rows], self.importance[rows]
            p = sigmoid(x @ (beta + theta[a]))
            hessians[a] = (x * (importance * p * (1 - p))[:, None]).T @ x
            gradients[a] = (importance * (self.won[rows] - p)) @ x
        inverses = np.linalg.inv(hessians + own.precision[:, :, None] * np.eye(dim))
        pulls = gradients - own.precision * (theta - own.mean)
        alone = np.einsum("kij,kj->ki", inverses, pulls)
        if shared is None:
            return np.zeros(dim), alone
        carried = np.einsum("kij,kjl->kil", hessians, inverses)
        precision = np.diag(shared.precision) + (hessians - carried @ hessians).sum(axis=0)
        pull = gradients.sum(axis=0) - shared.precision * (beta - shared.mean)
        step = np.linalg.solve(precision, pull - np.einsum("kij,kj->i", carried, pulls))
        return step, alone - np.einsum("kij,kjl,l->ki", inverses, hessians, step)
