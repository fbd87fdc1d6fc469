"""The simulated customers: known success probabilities that change at half time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rewards = NDArray[np.int8]

ROUNDS = 20_000
OFFERS = 20
FEATURES = 16
BINARY = 4
"""The last four features are 0 or 1, the others standard normal."""
CORRELATION = 0.3
"""Of neighbouring features, before the last ones are made binary (autoregressive of order one)."""
INTERCEPT_MEAN = -1.5
INTERCEPT_SD = 0.5
SHARED_SD = 0.3
OWN_SD = 0.35


@dataclass(frozen=True, slots=True)
class Environment:
    """Rounds that every policy meets alike.

    Attributes:
        features: (rounds, features) float64, standardised by their true mean and deviation.
        probability: (rounds, offers) float64, the true chance of success of each offer.
        reward: (rounds, offers) int8, what each offer would have earned: one uniform draw a round decides for all
            offers, so two policies that choose alike earn alike.
    """

    features: Floats
    probability: Floats
    reward: Rewards

    @property
    def digest(self) -> str:
        """A short fingerprint of the rewards; equal digests mean equal draws, whatever machine made them."""
        return hashlib.sha256(np.packbits(self.reward.astype(bool)).tobytes()).hexdigest()[:16]


def simulate(seed: int, rounds: int = ROUNDS) -> Environment:
    """The environment of a seed; weights and customers have generators of their own.

    The chance of success is sigmoid(intercept_o + (shared + own_o) . x). Intercepts and own weights are drawn anew
    at half time, the shared weights stay.

    Args:
        seed: Any non-negative integer.
        rounds: How many customers come; the drift is at the half.
    """
    for_weights, for_customers, for_luck = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    )
    raw = _customers(for_customers, rounds)
    shared = SHARED_SD * for_weights.standard_normal(FEATURES)
    halves = (raw[: rounds // 2], raw[rounds // 2 :])
    probability = np.concatenate([_chances(for_weights, shared, half) for half in halves])
    luck = for_luck.random(rounds)
    standard = raw.copy()
    standard[:, -BINARY:] = (raw[:, -BINARY:] - 0.5) / 0.5
    return Environment(standard, probability, (luck[:, None] < probability).astype(np.int8))


def _customers(rng: np.random.Generator, rounds: int) -> Floats:
    """Draws correlated normal features column by column, so that no linear algebra library decides a draw."""
    features = rng.standard_normal((rounds, FEATURES))
    for column in range(1, FEATURES):
        features[:, column] *= np.sqrt(1 - CORRELATION**2)
        features[:, column] += CORRELATION * features[:, column - 1]
    features[:, -BINARY:] = features[:, -BINARY:] > 0
    return features


def _chances(rng: np.random.Generator, shared: Floats, raw: Floats) -> Floats:
    intercept = INTERCEPT_MEAN + INTERCEPT_SD * rng.standard_normal(OFFERS)
    own = OWN_SD * rng.standard_normal((OFFERS, FEATURES))
    score = intercept + np.einsum("tj,oj->to", raw, shared + own)
    chance: Floats = 1.0 / (1.0 + np.exp(-score))
    return chance
