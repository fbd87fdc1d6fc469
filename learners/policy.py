"""From a model to a ranked list with honest propensities.

A policy is a finite set of orders, one of which is shown: those of the model's posterior draws (one order for a
model that does not draw), or with a small probability a random permutation. The draws are made from the model's
seed and the number of rewards it has seen, so the probability of an offer at a rank is a function of state and
features that can be counted exactly, and is what is logged.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from learners.model import Categories, Drawing, Features, Floats, Model, Noise

CACHED: Final = 64
"""Candidate lists whose draws a policy remembers where features do not matter."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The offers shown, best first: their places among the candidates, scores and propensities, (limit,) each."""

    places: NDArray[np.intp]
    scores: Floats
    propensities: Floats


class Policy:
    """How one state of a model ranks. It holds the model for reading and changes nothing.

    Args:
        model: what scores the offers.
        seed: of the draws; with `version` it makes them, in every process the same.
        version: what tells this state of the model from others, the number of rewards learned, say.
    """

    def __init__(self, model: Model, seed: int, version: int) -> None:
        self._model = model
        self._seed = (seed, version)
        self._draws: OrderedDict[tuple[str, ...], Floats] = OrderedDict()
        self._noise: Noise | None = None
        self._drawing = model if isinstance(model, Drawing) else None
        self._unused = np.random.default_rng(self._seed)
        """For models that draw nothing."""

    def rank(
        self,
        rng: np.random.Generator,
        features: Features,
        offers: Sequence[str],
        categories: Categories,
        limit: int,
    ) -> Ranked:
        """Return the best `limit` of k offers, with the probability of each offer at its rank.

        Raises:
            FeatureError: a feature is not a finite number, a string or a boolean.
        """
        draws = self._scores(features, offers, categories)
        limit = min(limit, len(offers))
        by_chance = self._by_chance(len(draws))
        if limit == len(draws) == 1:
            return _best(rng, draws[0], by_chance)
        chosen = draws[rng.integers(len(draws)) if len(draws) > 1 else 0]
        order = rng.permutation(len(offers)) if rng.random() < by_chance else _order(rng, chosen, limit)
        places = order[:limit]
        shares = _shares(draws, places)
        if by_chance:
            shares = by_chance / len(offers) + (1 - by_chance) * shares
        return Ranked(places, chosen[places], shares)

    def propensities(self, features: Features, offers: Sequence[str], categories: Categories, limit: int) -> Floats:
        """Return the probability of each of k offers at each of the first ranks, (k, limit); columns sum to 1."""
        draws = self._scores(features, offers, categories)
        return np.stack([self._at(draws, rank) for rank in range(1, limit + 1)], axis=1)

    def at_rank(self, features: Features, offers: Sequence[str], categories: Categories, rank: int) -> Floats:
        """Return the probability of each of k offers at one rank, 1 ≤ rank ≤ k; (k,) float64, sums to 1."""
        return self._at(self._scores(features, offers, categories), rank)

    def _at(self, draws: Floats, rank: int) -> Floats:
        """Return what each offer has of a rank: in each draw those whose score stands there share it."""
        k = draws.shape[1]
        standing = np.partition(draws, k - rank, axis=1)[:, k - rank, None]
        there = draws == standing
        by_chance = self._by_chance(len(draws))
        shares = (there / there.sum(axis=1, keepdims=True)).mean(axis=0)
        return np.asarray(by_chance / k + (1 - by_chance) * shares, np.float64)

    def _by_chance(self, draws: int) -> float:
        """Return the probability of a random order: with n draws one in n + 1, so that every offer may be shown."""
        return self._model.exploration() if draws == 1 else 1.0 / (draws + 1)

    def _scores(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        if self._drawing is not None:
            return self._drawing.drawn(self._noise_of(self._drawing, len(offers)), features, offers, categories)
        if self._model.contextual:
            return self._drawn(features, offers, categories)
        key = tuple(offers)
        draws = self._draws.get(key)
        if draws is None:
            draws = self._draws[key] = self._drawn(features, offers, categories)
            if len(self._draws) > CACHED:
                self._draws.popitem(last=False)
        return draws

    def _noise_of(self, model: Drawing, k: int) -> Noise:
        """Return the noise of k offers: every customer meets the same, since draws start from the seed."""
        if self._noise is None or len(self._noise.own) < k:
            self._noise = model.noise(np.random.default_rng(self._seed), k, self._model.draws)
        return self._noise.of(k)

    def _drawn(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        rng = self._unused if self._model.draws == 1 else np.random.default_rng(self._seed)
        return self._model.sample(rng, features, offers, categories, self._model.draws)


def uniform(rng: np.random.Generator, offers: int, limit: int) -> Ranked:
    """Return `limit` of some offers in any order, each as likely at each rank; their scores are 0."""
    places = rng.permutation(offers)[:limit]
    return Ranked(places, np.zeros(len(places)), np.full(len(places), 1 / offers))


def _best(rng: np.random.Generator, scores: Floats, by_chance: float) -> Ranked:
    """Return one of the best offers, any with equal chance, or by chance one of all."""
    best = scores == scores[scores.argmax()]
    (places,) = best.nonzero()
    propensity, k = (1.0 - by_chance) * (1.0 / len(places)), len(scores)
    if by_chance and rng.random() < by_chance:
        places = rng.integers(k, size=1)
    elif len(places) > 1:
        places = places[rng.integers(len(places), size=1)]
    chosen = scores[places]
    return Ranked(places, chosen, np.array([by_chance / k + (propensity if best[places[0]] else 0.0)]))


def _order(rng: np.random.Generator, scores: Floats, limit: int) -> NDArray[np.intp]:
    """Return the order of descending scores, its first `limit` at least; chance decides between equal ones."""
    if limit == 1:
        (best,) = (scores == scores[scores.argmax()]).nonzero()
        return best if len(best) == 1 else rng.permutation(best)
    shuffled = rng.permutation(len(scores))
    return shuffled[np.argsort(-scores[shuffled], kind="stable")]


def _shares(draws: Floats, places: NDArray[np.intp]) -> Floats:
    """Return the share of draws in which the offer at `places[r]` has rank r; ties count by their share."""
    limit = len(places)
    if limit == 1:
        return np.array([_first_share(draws, int(places[0]))])
    best = np.sort(draws, axis=1)[:, : -limit - 2 : -1]  # those that stand at these ranks and the next
    if (best[:, 1:] == best[:, :-1]).any():
        return np.array([_share(draws, place, rank) for rank, place in enumerate(places.tolist())])
    return np.asarray(np.add.reduce(draws[:, places] == best[:, :limit], axis=0) / len(draws), np.float64)


def _first_share(draws: Floats, place: int) -> float:
    best = draws == np.maximum.reduce(draws, axis=1)[:, None]
    own = best[:, place]
    if np.count_nonzero(best) == len(draws):
        return np.count_nonzero(own) / len(draws)
    return float((own / best.sum(axis=1)).mean())


def _share(draws: Floats, place: int, rank: int) -> float:
    own = draws[:, place, None]
    above, equal = np.count_nonzero(draws > own, axis=1), np.count_nonzero(draws == own, axis=1)
    return float((((above <= rank) & (rank < above + equal)) / equal).mean())
