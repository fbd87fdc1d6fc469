"""Outcomes that a log holds as columns, as the rewards that models learn from."""

from collections.abc import Mapping

import numpy as np

from learners.features import LONGEST, compact
from learners.model import Rewards
from storage.outcomes import Outcomes


def rewards_in(outcomes: Outcomes, weights: Mapping[str, float]) -> Rewards:
    """Return what outcomes teach; `weights` say what some are worth to a model, by outcome."""
    worths = outcomes.weights
    if weights:
        pairs = zip(outcomes.outcomes, worths.tolist(), strict=True)
        worths = np.array([weights.get(outcome, worth) for outcome, worth in pairs], np.float64)
    features = outcomes.features
    return Rewards(
        offers=outcomes.offers,
        categories=outcomes.categories,
        weights=worths,
        values=outcomes.values,
        times_ms=outcomes.times_ms,
        features=features if outcomes.longest_text <= LONGEST else list(map(compact, features)),
    )
