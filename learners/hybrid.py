"""Ridge regressions of many offers that learn from each other: the hybrid linear model, in closed form.

The reward of offer a for a customer x is (β + θ_a) · x plus noise, with Gaussian priors on β, which all offers
share, and θ_a, which is the offer's own: Li, Chu, Langford & Schapire 2010 ("A Contextual-Bandit Approach to
Personalized News Article Recommendation", arXiv:1003.0146), algorithm 2 with the customer's features as shared
features. What is kept are the natural parameters, S_a = Σ x xᵀ and c_a = Σ r x; everything else is solved from them
when somebody asks. With W_a = S_a + λI:

    precision of β       A = λ₀I + R + Σ_a (λI − λ² W_a⁻¹)     (block elimination of the θ_a)
    its right-hand side  b = ρ + Σ_a λ W_a⁻¹ c_a,   β̂ = A⁻¹ b
    an offer's weights   w_a = W_a⁻¹ (c_a + λ β̂),   Cov(w_a, w_b) = [a=b] W_a⁻¹ + λ² W_a⁻¹ A⁻¹ W_b⁻¹

R and ρ hold what offers that have no part of their own (removed ones, or those beyond the memory bound) have taught
about β. Without the shared part w_a = W_a⁻¹ c_a, algorithm 1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from learners.model import Floats

OWN_BYTES: Final = 256 * 1024 * 1024
"""Memory for matrices of a model's offers; at 32 dimensions that is 32,768 offers."""


Saved: TypeAlias = tuple[NDArray[np.intp], Floats, Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class Solved:
    """The posterior: of n offers with a part of their own, and of β.

    Attributes:
        weights: (n + 1, d), w_a; the last row is that of an offer without a part of its own.
        own: (n + 1, d, d), W_a⁻¹; the last is I/λ.
        shared: (d, d), A⁻¹, or None without a shared part.
        root: (d, d), its lower Cholesky factor, or None.
    """

    weights: Floats
    own: Floats
    shared: Floats | None
    root: Floats | None


class HybridRegression:
    """The sums of n offers and what they say.

    Args:
        dim: d, the number of features, the bias included.
        precision: λ, of the offers' own parts.
        shared_precision: λ₀, of the shared part; None leaves it out.
    """

    def __init__(self, dim: int, precision: float, shared_precision: float | None) -> None:
        self.dim = dim
        self.limit = max(1, OWN_BYTES // (8 * dim * dim))
        self._precision = precision
        self._shared_precision = shared_precision
        self._moments = np.zeros((0, dim, dim))
        self._rewards = np.zeros((0, dim))
        self._rest_moments = np.zeros((dim, dim))
        self._rest_rewards = np.zeros(dim)
        self._inverses = np.zeros((0, dim, dim))
        self._stale: set[int] = set()
        self._solved: Solved | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def grow(self, count: int) -> None:
        """Make room for `count` offers."""
        if count > len(self._moments):
            size = min(self.limit, max(8, 2 * count))
            self._moments = _longer(self._moments, size)
            self._rewards = _longer(self._rewards, size)
            self._inverses = _longer(self._inverses, size)
        self._stale.update(range(self._count, count))
        self._count = count
        self._solved = None

    def fade(self, row: int, kept: float) -> None:
        """Scale an offer's evidence."""
        self._moments[row] *= kept
        self._rewards[row] *= kept
        self._touch(row)

    def fade_rest(self, kept: float) -> None:
        """Scale the evidence of offers without a part of their own."""
        self._rest_moments *= kept
        self._rest_rewards *= kept
        self._solved = None

    def add(self, row: int, vectors: Floats, rewards: Floats, shares: Floats) -> None:
        """Add m observations, (m, d) and (m,), of an offer (-1: of the rest), by their shares of evidence, (m,)."""
        roots = np.sqrt(shares)
        scaled = vectors * roots[:, None]
        moments, sums = _symmetric(scaled.T @ scaled), scaled.T @ (roots * rewards)
        if row < 0:
            self._rest_moments += moments
            self._rest_rewards += sums
            self._solved = None
            return
        self._moments[row] += moments
        self._rewards[row] += sums
        self._touch(row)

    def saved(self, rows: Iterable[int]) -> Saved:
        """Return the evidence of some offers and of the rest, to `put_back` later."""
        own = np.array(list(rows), np.intp)
        return own, self._moments[own], self._rewards[own], self._rest_moments.copy(), self._rest_rewards.copy()

    def put_back(self, saved: Saved) -> None:
        """Undo what was added since `saved`."""
        own, moments, rewards, rest_moments, rest_rewards = saved
        self._moments[own], self._rewards[own] = moments, rewards
        self._rest_moments, self._rest_rewards = rest_moments.copy(), rest_rewards.copy()
        self._stale.update(own.tolist())
        self._solved = None

    def remove(self, row: int, kept: float) -> None:
        """Take an offer out; what it taught about the shared part stays."""
        if self._shared_precision is not None:
            lam = self._precision
            inverse = _inverse(kept * self._moments[row] + lam * np.eye(self.dim))
            self._rest_moments += lam * np.eye(self.dim) - lam * lam * _symmetric(inverse)
            self._rest_rewards += lam * (inverse @ (kept * self._rewards[row]))
        for name in ("_moments", "_rewards", "_inverses"):
            setattr(self, name, np.delete(getattr(self, name), row, axis=0))
        self._count -= 1
        self._stale = set(range(self._count))
        self._solved = None

    def solve(self, kept: Floats | None = None, kept_rest: float = 1.0) -> Solved:
        """Return the posterior; `kept`, (n,), scales each offer's evidence, `kept_rest` that of the others.

        What is asked again before the evidence changes is answered from memory, whatever `kept` is.
        """
        if self._solved is None:
            self._solved = self._solve(kept, kept_rest)
        return self._solved

    def _solve(self, kept: Floats | None, kept_rest: float) -> Solved:
        n, lam, eye = self._count, self._precision, np.eye(self.dim)
        if kept is None:
            rows = np.array(sorted(self._stale), np.intp)
            if len(rows):
                self._inverses[rows] = _inverse(self._moments[rows] + lam * eye)
            self._stale.clear()
            inverses, sums = self._inverses[:n], self._rewards[:n]
        else:
            self._stale = set(range(n))
            inverses = _inverse(kept[:, None, None] * self._moments[:n] + lam * eye)
            sums = kept[:, None] * self._rewards[:n]
        own = np.concatenate([inverses, (eye / lam)[None]])
        weights = np.einsum("nij,nj->ni", inverses, sums)
        if self._shared_precision is None:
            return Solved(np.concatenate([weights, np.zeros((1, self.dim))]), own, None, None)
        precision = (self._shared_precision + n * lam) * eye - lam * lam * inverses.sum(axis=0)
        shared = _symmetric(_inverse(_symmetric(precision + kept_rest * self._rest_moments)))
        beta = shared @ (kept_rest * self._rest_rewards + lam * weights.sum(axis=0))
        weights = np.concatenate([weights + lam * np.einsum("nij,j->ni", inverses, beta), beta[None]])
        return Solved(weights, own, shared, np.asarray(np.linalg.cholesky(shared), np.float64))

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes; of symmetric matrices the upper half."""
        upper = np.triu_indices(self.dim)
        return {
            "moments": self._moments[: self._count][:, upper[0], upper[1]].astype("<f8").tobytes(),
            "rewards": self._rewards[: self._count].astype("<f8").tobytes(),
            "rest_moments": self._rest_moments[upper].astype("<f8").tobytes(),
            "rest_rewards": self._rest_rewards.astype("<f8").tobytes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        half = self.dim * (self.dim + 1) // 2
        moments = np.frombuffer(state["moments"], "<f8").reshape(-1, half)
        self._count = len(moments)
        self._moments = _full(moments, self.dim)
        self._rewards = np.frombuffer(state["rewards"], "<f8").reshape(-1, self.dim).astype(np.float64)
        self._inverses = np.zeros_like(self._moments)
        self._rest_moments = _full(np.frombuffer(state["rest_moments"], "<f8")[None], self.dim)[0]
        self._rest_rewards = np.frombuffer(state["rest_rewards"], "<f8").astype(np.float64)
        self._stale = set(range(self._count))
        self._solved = None

    def _touch(self, row: int) -> None:
        self._stale.add(row)
        self._solved = None


def _longer(array: Floats, size: int) -> Floats:
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]))])


def _inverse(matrices: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrices), np.float64)


def _symmetric(matrix: Floats) -> Floats:
    return (matrix + matrix.T) / 2


def _full(halves: NDArray[np.float64], dim: int) -> Floats:
    rows, columns = np.triu_indices(dim)
    result = np.zeros((len(halves), dim, dim))
    result[:, rows, columns] = halves
    result[:, columns, rows] = halves
    return result
