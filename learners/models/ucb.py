"""Upper confidence bounds: UCB1 and KL-UCB."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from pydantic import Field
from scipy.special import rel_entr

from learners.model import Categories, Features, Floats, ModelConfig
from learners.models.mean_model import MeanModel

BISECTIONS: Final = 50
"""Halvings of [mean, 1]: the bound is exact to 2^-50."""
UNPULLED_BOUND: Final = 1e9
"""An offer without rewards comes first; finite, for JSON knows no infinity."""


class UcbConfig(ModelConfig):
    """Configuration of `ucb`."""

    free = frozenset({"variant", "explore"})

    variant: Literal["ucb1", "kl_ucb"] = Field("ucb1", description="Which bound ranks.")
    explore: float = Field(1.0, ge=0, le=1e6, description="Factor of the exploration term; 1 is the papers'.")


class Ucb(MeanModel):
    """Shows the offers whose mean reward may be highest.

    `ucb1`: mean + explore · √(2 ln t / n) (Auer, Cesa-Bianchi & Fischer 2002, "Finite-time Analysis of the
    Multiarmed Bandit Problem", fig. 1). `kl_ucb`: the largest q with n · kl(mean, q) ≤ explore · ln t (Garivier &
    Cappé 2011, arXiv:1102.2490, eq. 1 with c = 0); rewards above 1 count as 1 there. With a half-life t and n are
    discounted counts (Garivier & Moulines 2008, arXiv:0805.3415).

    >>> model = Ucb(UcbConfig())
    >>> float(model.score({}, ["new"], [None])[0])
    1.0

    Warning: the same state ranks the same for everybody, so propensities are 0 or 1 and logs of it evaluate no
    other policy.
    """

    def __init__(self, config: UcbConfig) -> None:
        super().__init__(config)
        self._config = config

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return the upper bounds n times, (n, k) float64."""
        del rng, features, categories
        totals, pulls = self._faded(offers, "total_reward", "pulls")
        (all_pulls,) = self._faded(self._arms.offers, "pulls")
        log_t = self._config.explore ** (2 if self._config.variant == "ucb1" else 1) * np.log(
            max(float(all_pulls.sum()), 1.0)
        )
        known = pulls > 0
        bounds = np.full(len(offers), UNPULLED_BOUND)
        means = self._means(totals, pulls)[known]
        if self._config.variant == "ucb1":
            bounds[known] = means + np.sqrt(2.0 * log_t / pulls[known])
        else:
            bounds[known] = kl_bound(np.minimum(means, 1.0), log_t / pulls[known])
        return np.tile(bounds, (n, 1))


def kl_bound(means: Floats, budgets: Floats) -> Floats:
    """Return the largest q ≥ p with kl(p, q) ≤ budget for Bernoulli means p, (k,) float64 each.

    >>> kl_bound(np.array([0.5]), np.array([0.0]))
    array([0.5])
    """
    low, high = means.copy(), np.ones(len(means))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        divergence = rel_entr(means, middle) + rel_entr(1 - means, 1 - middle)
        inside = divergence <= budgets
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low
