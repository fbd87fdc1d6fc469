"""LinUCB and linear Thompson sampling, each offer with weights of its own beside shared ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from learners.features import BIAS, Slots
from learners.hybrid import HybridRegression, Solved
from learners.intervals import Z_95
from learners.model import (
    POSTERIOR_DRAWS,
    ArmState,
    Categories,
    Features,
    Floats,
    ModelConfig,
    Noise,
    Rewards,
)
from learners.models.arm_model import ArmModel

REMEMBERED: Final = 64
"""Candidate lists whose rows a model remembers until it learns again."""


class DenseConfig(ModelConfig):
    """Configuration of the models that see a short, dense vector of features."""

    free = frozenset({"explore"})

    dim: int = Field(32, ge=2, le=4096, description="Length of the feature vector, the bias included.")
    prior_precision: float = Field(1.0, gt=0, le=1e9, description="Precision of the weights' prior, above 0.")
    explore: float = Field(1.0, ge=0, le=1e6, description="Standard deviations that exploration is worth.")
    shared: bool = Field(
        True, description="Whether offers share a part of their weights, and so learn from each other."
    )
    normalize: bool = Field(
        True, description="Whether numbers are standardised by their running mean and deviation."
    )


class SamplingConfig(DenseConfig):
    """Configuration of the dense models that rank by draws."""

    free = frozenset({"explore", "optimistic"})

    optimistic: bool = Field(False, description="Whether a draw below an offer's mean counts as the mean.")


class LinearBandit(ArmModel):
    """Hybrid ridge regression of the reward (weight, 0 for negative ones) on the features; see `learners.hybrid`.

    Warning: memory and time grow with the square and the cube of `dim`. Beyond 256 MiB of matrices new offers get
    the shared part only.
    """

    contextual = True

    def __init__(self, config: DenseConfig) -> None:
        super().__init__(config, ())
        self._config = config
        self._slots = Slots(config.dim, normalize=config.normalize)
        shared_precision = config.prior_precision if config.shared else None
        self._regression = HybridRegression(config.dim, config.prior_precision, shared_precision)
        self._rest_stamp = 0.0
        self._candidates: dict[tuple[str, ...], NDArray[np.intp]] = {}
        self._candidates_of: Solved | None = None

    def update(self, batch: Rewards) -> None:
        """Learn from rewards, as one batch: its numbers move the standardisation, then its rewards the sums."""
        if not len(batch):
            return
        vectors = self._slots.learn(batch.table)
        stamps = self._clock.stamps_of(batch)
        rows = self._arms.met_rows(batch)
        self._clock.advance(batch)
        self._regression.grow(min(len(self._arms), self._regression.limit))
        seen = Seen.by_offer(rows, vectors, self._clock.kept_of(stamps), batch.weights)
        self._fade_sums(seen.offers)
        self._learn(seen)
        self._arms.tally(rows, batch)

    def predict(self, batch: Rewards) -> Floats:
        """Return the expected reward for each of n rewards, (n,) float64."""
        solved = self._solved()
        rows = self._own_rows(batch.offers, solved)
        return np.asarray((self._slots.encode(batch.table) * solved.weights_of(rows)).sum(axis=1), np.float64)

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the expected reward of each of k offers, (k,) float64."""
        del categories
        solved = self._solved()
        rows = self._own_rows(offers, solved)
        return np.asarray(solved.weights_of(rows) @ self._slots.encode_one(features))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's expected reward for the average customer, ± 1.96 deviations, and its weights."""
        offers = self._arms.met(offer_id)
        solved = self._solved()
        rows = self._own_rows(offers, solved)
        variances = solved.own[rows, BIAS, BIAS]
        if solved.shared is not None:
            lifted = self._config.prior_precision * solved.own[rows, BIAS]
            variances = variances + np.einsum("ni,ij,nj->n", lifted, solved.shared, lifted)
        names = ["bias", *self._slots.names[1:]]
        states = []
        for offer, row, variance in zip(offers, rows, variances, strict=True):
            weights = solved.weights[row]
            mean, half = weights[BIAS], Z_95 * np.sqrt(variance)
            parameters = dict(zip(names, weights.tolist(), strict=False))
            states.append(self._arms.describe(offer, mean, mean - half, mean + half, parameters))
        return states

    def remove(self, offer: str) -> None:
        """Forget an offer; what it taught about the shared part stays."""
        row = self._arms.row(offer)
        if row is None:
            return
        if row < len(self._regression):
            self._fade_rest()
            self._regression.remove(row, self._clock.kept(float(self._arms["stamp"][row])))
        self._arms.remove(offer)

    def state(self) -> dict[str, Any]:
        """Return all that was learned."""
        return {
            **super().state(),
            "slots": self._slots.state(),
            "sums": self._regression.state(),
            "rest_stamp": self._rest_stamp,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        super().restore(state)
        self._slots.restore(state["slots"])
        self._regression.restore(state["sums"])
        self._rest_stamp = state["rest_stamp"]

    def _learn(self, seen: "Seen") -> None:
        self._add(seen, np.maximum(seen.weights, 0.0), seen.shares)

    def _add(self, seen: "Seen", rewards: Floats, shares: Floats) -> None:
        """Add observations to the sums of their offers."""
        own = np.where(seen.offers < self._regression.limit, seen.offers, -1).tolist()
        self._regression.add(own, seen.ends, seen.vectors, rewards, shares)

    def _fade_sums(self, offers: NDArray[np.intp]) -> None:
        """Age what some offers have shown, so that what comes now stands beside it."""
        if not self._fades:
            return
        own = offers[offers < self._regression.limit]
        self._regression.fade(own, self._clock.kept_of(self._arms["stamp"][own]))
        self._arms["stamp"][own] = self._clock.stamp
        if len(own) < len(offers):
            self._fade_rest()

    def _fade_rest(self) -> None:
        self._regression.fade_rest(self._clock.kept(self._rest_stamp))
        self._rest_stamp = self._clock.stamp

    def _solved(self) -> Solved:
        if not self._fades:
            return self._regression.solve()
        own = len(self._regression)
        kept = self._clock.kept_of(self._arms["stamp"][:own])
        return self._regression.solve(kept, self._clock.kept(self._rest_stamp))

    def _own_rows(self, offers: Sequence[str], solved: Solved) -> NDArray[np.intp]:
        """Return each offer's row in the posterior; the last stands for offers without a part of their own."""
        rows = self._arms.rows_of(offers)
        last = solved.count
        return np.where((rows < 0) | (rows > last), last, rows)

    def _candidate_rows(self, offers: Sequence[str], solved: Solved) -> NDArray[np.intp]:
        """Return what `_own_rows` does; candidate lists come again and again, so some are remembered."""
        if self._candidates_of is not solved:
            self._candidates_of, self._candidates = solved, {}
        key = tuple(offers)
        rows = self._candidates.get(key)
        if rows is None:
            if len(self._candidates) >= REMEMBERED:
                self._candidates.clear()
            rows = self._candidates[key] = self._own_rows(offers, solved)
        return rows


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch of n rewards as a regression sees it, offer by offer.

    Attributes:
        offers: (k,), the rows of the offers, ascending.
        ends: where the rewards of each offer end.
        rows: (n,), the row of each reward's offer.
        vectors: (n, dim).
        shares: (n,), what is left of each as evidence by now.
        weights: (n,).
    """

    offers: NDArray[np.intp]
    ends: list[int]
    rows: NDArray[np.intp]
    vectors: Floats
    shares: Floats
    weights: Floats

    @classmethod
    def by_offer(cls, rows: NDArray[np.intp], vectors: Floats, shares: Floats, weights: Floats) -> "Seen":
        """Return rewards, given in the order of the log, by offer; an offer's own keep that order."""
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        ends = [*(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(rows)]
        offers = ordered[np.array(ends) - 1]
        return cls(offers, ends, ordered, vectors[order], shares[order], weights[order])


class SamplingBandit(LinearBandit):
    """A linear bandit that ranks by joint draws from the posterior of its offers' weights."""

    draws = POSTERIOR_DRAWS

    def __init__(self, config: SamplingConfig) -> None:
        super().__init__(config)
        self._optimistic = config.optimistic

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return n draws of the expected rewards of k offers, (n, k) float64."""
        return self.drawn(self.noise(rng, len(offers), n), features, offers, categories)

    def noise(self, rng: np.random.Generator, k: int, n: int) -> Noise:
        """Return what chance adds to n draws of k offers, whoever the customer is."""
        shared = rng.standard_normal((n, self._config.dim)) if self._config.shared else None
        return Noise(rng.standard_normal((k, n)), shared)

    def drawn(self, noise: Noise, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the draws of the expected rewards of k offers that the noise makes, (n, k) float64."""
        del categories
        solved = self._solved()
        rows = self._candidate_rows(offers, solved)
        x = self._slots.encode_one(features)
        lifted = solved.at(rows, x)
        explore = self._config.explore
        moved = noise.own * (explore * np.sqrt(np.maximum(lifted @ x, 0.0)))[:, None]
        if noise.shared is not None and solved.lifted_root is not None:
            moved += (lifted @ (explore * solved.lifted_root)) @ noise.shared.T
        if self._optimistic:
            np.maximum(moved, 0.0, out=moved)
        moved += (solved.weights @ x)[rows, None]
        return np.asarray(moved.T, np.float64)


class LinUcb(LinearBandit):
    """Shows the offers whose linear upper bound is highest: mean + explore · √(xᵀ Cov x).

    Li, Chu, Langford & Schapire 2010, arXiv:1003.0146: algorithm 1 without the shared part, 2 with it; `explore` is
    their α.

    >>> model = LinUcb(DenseConfig(explore=2.0, shared=False))
    >>> model.sample(np.random.default_rng(0), {}, ["new"], [None], 1)
    array([[2.]])

    Warning: propensities are 0 or 1, so logs of it evaluate no other policy.
    """

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return the upper bounds n times, (n, k) float64."""
        del rng, categories
        solved = self._solved()
        rows = self._candidate_rows(offers, solved)
        x = self._slots.encode_one(features)
        bounds = np.sqrt(np.abs(solved.variances(rows, x)))  # rounding may leave -1e-17
        bounds *= self._config.explore
        bounds += (solved.weights @ x)[rows]
        return bounds[None] if n == 1 else np.tile(bounds, (n, 1))


class LinThompson(SamplingBandit):
    """Shows the offers that a draw from the posterior N(w, explore² · Cov) likes best.

    Agrawal & Goyal 2013, "Thompson Sampling for Contextual Bandits with Linear Payoffs", arXiv:1209.3352, alg. 1;
    `explore` is their v. Draws of one sample share the noise of the shared part. `optimistic` draws never fall
    below the mean (May, Korda, Lee & Leslie 2012, "Optimistic Bayesian Sampling in Contextual-Bandit Problems",
    JMLR 13).

    >>> model = LinThompson(SamplingConfig())
    >>> model.score({"age": 38}, ["new"], [None])
    array([0.])
    """
