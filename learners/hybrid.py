"""Ridge regressions of many offers that learn from each other: the hybrid linear model, in closed form.

The reward of offer a for a customer x is (β + θ_a) · x plus noise, with Gaussian priors on β, which all offers
share, and θ_a, which is the offer's own: Li, Chu, Langford & Schapire 2010 ("A Contextual-Bandit Approach to
Personalized News Article Recommendation", arXiv:1003.0146), algorithm 2 with the customer's features as shared
features. What is kept are the natural parameters, S_a = Σ x xᵀ and c_a = Σ r x, as one matrix Σ (x, r) (x, r)ᵀ that
one product of a batch's rows adds to; everything else is solved from them when somebody asks. With W_a = S_a + λI:

    precision of β       A = λ₀I + R + Σ_a (λI − λ² W_a⁻¹)     (block elimination of the θ_a)
    its right-hand side  b = ρ + Σ_a λ W_a⁻¹ c_a,   β̂ = A⁻¹ b
    an offer's weights   w_a = W_a⁻¹ (c_a + λ β̂),   Cov(w_a, w_b) = [a=b] W_a⁻¹ + λ² W_a⁻¹ A⁻¹ W_b⁻¹

R and ρ hold what offers that have no part of their own (removed ones, or those beyond the memory bound) have taught
about β. Without the shared part w_a = W_a⁻¹ c_a, algorithm 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm
from scipy.linalg.lapack import dpotrf, dpotri

from learners.model import Floats

OWN_BYTES: Final = 256 * 1024 * 1024
"""Memory for matrices of a model's offers; at 32 dimensions that is 32,768 offers."""
MOST: Final = 4
"""Where at least one in so many offers is asked for, a product with all of them is cheaper than picking rows."""


Saved: TypeAlias = tuple[NDArray[np.intp], Floats, Floats]


class Solved:
    """The posterior: of n offers with a part of their own, and of β.

    Row n stands for an offer without a part of its own. What takes a pass over all offers is worked out when asked.

    Args:
        alone: (n, d), W_a⁻¹ c_a.
        inverses: (n, d, d), W_a⁻¹.
        beta: (d,), β̂, 0 without a shared part.
        shared: (d, d), A⁻¹, or None without a shared part.
        precision: λ.
    """

    def __init__(
        self, alone: Floats, inverses: Floats, beta: Floats, shared: Floats | None, precision: float
    ) -> None:
        self.count = len(alone)
        self.shared = shared
        self._alone = alone
        self._beta = beta
        self._inverses = inverses
        self._precision = precision
        self._variances = np.zeros((0, 0))
        self._known = np.zeros(0, np.bool_)
        self._all_known = False

    @cached_property
    def weights(self) -> Floats:
        """w_a, (n + 1, d)."""
        return self._weights(np.arange(self.count + 1))

    def weights_of(self, rows: NDArray[np.intp]) -> Floats:
        """Return w_a of k offers, (k, d)."""
        if self.count <= len(rows):
            return self.weights[rows]
        asked, places = np.unique(rows, return_inverse=True)
        return self._weights(asked)[places]

    def _weights(self, rows: NDArray[np.intp]) -> Floats:
        """Return w_a of k different offers, in ascending order."""
        own = rows[rows < self.count]
        weights = np.tile(self._beta, (len(rows), 1))
        alone, inverses = (part if len(own) == self.count else part[own] for part in (self._alone, self._inverses))
        weights[: len(own)] = alone if self.shared is None else alone + self._precision * (inverses @ self._beta)
        return weights

    @cached_property
    def own(self) -> Floats:
        """W_a⁻¹, (n + 1, d, d); the last is I/λ."""
        return np.concatenate([self._inverses, (np.eye(len(self._beta)) / self._precision)[None]])

    @cached_property
    def lifted_root(self) -> Floats | None:
        """λ times the lower Cholesky factor of A⁻¹, (d, d), or None."""
        if self.shared is None:
            return None
        return self._precision * np.asarray(np.linalg.cholesky(self.shared), np.float64)

    def at(self, rows: NDArray[np.intp], x: Floats) -> Floats:
        """Return W_a⁻¹ x of k offers, (k, d)."""
        if len(rows) * MOST < len(self.own):
            return np.asarray(self.own[rows] @ x, np.float64)
        return np.asarray(self.own.reshape(-1, len(x)) @ x, np.float64).reshape(-1, len(x))[rows]

    def variances(self, rows: NDArray[np.intp], x: Floats) -> Floats:
        """Return xᵀ Cov(w_a) x of k offers, (k,)."""
        if not self._all_known:
            self._know(rows)
        d = len(x)
        pairs = x.repeat(_times(d)) * x.take(_upper(d)[1])
        if len(rows) * MOST < len(self._variances):
            return np.asarray(self._variances[rows] @ pairs, np.float64)
        return np.asarray(self._variances @ pairs, np.float64)[rows]

    def _know(self, rows: NDArray[np.intp]) -> None:
        """Work out the covariances of the weights of those offers that were not asked for yet.

        Kept is the upper half of each, the elements off the diagonal twice: a variance is its product with the
        pairs of x.
        """
        i, j = _upper(self.own.shape[1])
        if not len(self._known):
            self._known = np.zeros(len(self.own), np.bool_)
            self._variances = np.zeros((len(self.own), len(i)))
        new = (
            np.flatnonzero(~self._known)
            if len(rows) * MOST >= len(self.own)
            else np.unique(rows[~self._known[rows]])
        )
        covariance = self.own[new]
        if self.lifted_root is not None:
            lifted = covariance @ self.lifted_root
            covariance = covariance + lifted @ lifted.transpose(0, 2, 1)
        self._variances[new] = covariance[:, i, j] * np.where(i == j, 1.0, 2.0)
        self._known[new] = True
        self._all_known = bool(self._known.all())


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
        self._sums = np.zeros((0, dim + 1, dim + 1))
        """Of each offer, Σ (x, r) (x, r)ᵀ; only the lower half counts, what stands above need not be symmetric."""
        self._rest = np.zeros((dim + 1, dim + 1))
        self._inverses = np.zeros((0, dim, dim))
        self._alone = np.zeros((0, dim))
        self._stale: set[int] = set()
        self._solved: Solved | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def grow(self, count: int) -> None:
        """Make room for `count` offers."""
        if count <= self._count:
            return
        if count > len(self._sums):
            size = min(self.limit, max(8, 2 * count))
            self._sums = _longer(self._sums, size)
            self._inverses = _longer(self._inverses, size)
            self._alone = _longer(self._alone, size)
        self._stale.update(range(self._count, count))
        self._count = count
        self._solved = None

    def fade(self, rows: NDArray[np.intp], kept: Floats) -> None:
        """Scale the evidence of k offers, (k,) each."""
        self._sums[rows] *= kept[:, None, None]
        self._stale.update(rows.tolist())
        self._solved = None

    def fade_rest(self, kept: float) -> None:
        """Scale the evidence of offers without a part of their own."""
        self._rest *= kept
        self._solved = None

    def add(
        self, rows: Sequence[int], ends: Sequence[int], vectors: Floats, rewards: Floats, shares: Floats
    ) -> None:
        """Add observations, (n, d) and (n,), by their shares of evidence, (n,).

        Args:
            rows: The offers, -1 for one without a part of its own.
            ends: Where the observations of each end; they stand in the offers' order.
            vectors: What was known.
            rewards: What was earned.
            shares: How much each counts.
        """
        roots = np.sqrt(shares)
        seen = np.empty((len(vectors), self.dim + 1))
        np.multiply(vectors, roots[:, None], out=seen[:, :-1])
        np.multiply(rewards, roots, out=seen[:, -1])
        start = 0
        for row, end in zip(rows, ends, strict=True):
            part, sums = seen[start:end].T, (self._rest if row < 0 else self._sums[row]).T
            dgemm(1.0, part, part, 1.0, sums, trans_b=1, overwrite_c=1)  # in place: `sums` is Fortran's order
            start = end
        self._stale.update(row for row in rows if row >= 0)
        self._solved = None

    def saved(self, rows: Iterable[int]) -> Saved:
        """Return the evidence of some offers and of the rest, to `put_back` later."""
        own = np.array(list(rows), np.intp)
        return own, self._sums[own], self._rest.copy()

    def put_back(self, saved: Saved) -> None:
        """Undo what was added since `saved`."""
        own, sums, rest = saved
        self._sums[own] = sums
        self._rest = rest.copy()
        self._stale.update(own.tolist())
        self._solved = None

    def remove(self, row: int, kept: float) -> None:
        """Take an offer out; what it taught about the shared part stays."""
        if self._shared_precision is not None:
            lam, eye = self._precision, np.eye(self.dim)
            moments, rewards = _parted(kept * self._sums[row : row + 1])
            [inverse] = _inverses(moments + lam * eye)
            self._rest[:-1, :-1] += lam * eye - lam * lam * inverse
            self._rest[-1, :-1] += lam * (inverse @ rewards[0])
        self._sums = np.delete(self._sums, row, axis=0)
        self._inverses = np.delete(self._inverses, row, axis=0)
        self._alone = np.delete(self._alone, row, axis=0)
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
            stale = np.array(sorted(self._stale), np.intp)
            self._inverses[stale] = _inverses(_parted(self._sums[stale])[0] + lam * eye)
            self._stale.clear()
            self._alone[stale] = _products(self._inverses[stale], self._sums[stale, -1, :-1])
            inverses, alone = self._inverses[:n], self._alone[:n]
        else:
            self._stale = set(range(n))
            moments, rewards = _parted(kept[:, None, None] * self._sums[:n])
            inverses = _inverses(moments + lam * eye)
            alone = _products(inverses, rewards)
        if self._shared_precision is None:
            return Solved(alone, inverses, np.zeros(self.dim), None, lam)
        rest_moments, rest_rewards = _parted(kept_rest * self._rest[None])
        precision = (self._shared_precision + n * lam) * eye - lam * lam * inverses.sum(axis=0) + rest_moments
        [shared] = _inverses(precision)
        beta = shared @ (rest_rewards[0] + lam * alone.sum(axis=0))
        return Solved(alone, inverses, beta, shared, lam)

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes; of symmetric matrices the lower half."""
        i, j = np.tril_indices(self.dim + 1)
        return {
            "sums": self._sums[: self._count, i, j].astype("<f8").tobytes(),
            "rest": self._rest[i, j].astype("<f8").tobytes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        size = self.dim + 1
        i, j = np.tril_indices(size)
        halves = np.frombuffer(state["sums"], "<f8").reshape(-1, len(i))
        self._count = len(halves)
        self._sums = np.zeros((self._count, size, size))
        self._sums[:, i, j] = halves
        self._inverses = np.zeros((self._count, self.dim, self.dim))
        self._alone = np.zeros((self._count, self.dim))
        self._rest = np.zeros((size, size))
        self._rest[i, j] = np.frombuffer(state["rest"], "<f8")
        self._stale = set(range(self._count))
        self._solved = None


def _parted(sums: Floats) -> tuple[Floats, Floats]:
    """Return the moments, (n, d, d) of which the lower half counts, and the rewards, (n, d)."""
    return sums[:, :-1, :-1], sums[:, -1, :-1]


def _products(matrices: Floats, vectors: Floats) -> Floats:
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0], np.float64)


def _longer(array: Floats, size: int) -> Floats:
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]))])


def _inverses(matrices: Floats) -> Floats:
    """Return the inverses of positive definite matrices, (n, d, d), from their lower halves; they are symmetric.

    A loop over LAPACK's routines for such matrices takes half the time of numpy's inverse of any matrix.
    """
    result = np.empty(matrices.shape)
    for i, matrix in enumerate(matrices):
        inverse = _lower_inverse(matrix)
        if inverse is None:  # numbers so large that λ is lost in them
            lower = np.tril(matrix)
            inverse = np.asarray(np.linalg.inv(lower + np.tril(lower, -1).T), np.float64)
        result[i] = inverse
    lower = np.tril(result)
    return np.asarray(lower + np.tril(lower, -1).transpose(0, 2, 1), np.float64)


def _lower_inverse(matrix: Floats) -> Floats | None:
    """Return the lower half of a positive definite matrix's inverse, None where it is not definite."""
    root, failed = dpotrf(matrix.T, lower=0, clean=0)
    if failed:
        return None
    inverse, failed = dpotri(root, lower=0, overwrite_c=1)
    return None if failed else np.asarray(inverse.T, np.float64)


@cache
def _times(dim: int) -> NDArray[np.intp]:
    """Return how often each number stands first in the pairs of `_upper`."""
    return np.arange(dim, 0, -1)


@cache
def _upper(dim: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(dim)
