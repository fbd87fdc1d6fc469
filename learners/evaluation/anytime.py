"""Bounds on a policy's value that hold at every length of the log at once, however often one looks.

The bounds are those of Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro 2022 ("Anytime-valid off-policy
inference for contextual bandits", arXiv:2210.10768) in their closed form, the empirical Bernstein inequality: with
pseudo-rewards φ_t whose mean is the value at t, a forecast m_t of them made before, and φ_t - m_t ≥ -b_t,

    exp(λ Σ (φ_t - v_t) - Σ (φ_t - m_t)² ψ(λ b_t) / b_t²),  ψ(s) = -log(1 - s) - s,

is a non-negative supermartingale that starts at 1 (Fan, Grama & Liu 2015), so by Ville's inequality it ever
exceeds 1/α with a probability of at most α. The pseudo-rewards are φ_t = w_t (r_t - c_t) + c_t with a control
variate c_t, a running mean known before: E[w_t] = 1, so that their mean is the value, and their variance is
that of rewards and not of weights. Where the paper bets λ_t anew in each step, here a few constant λ share α, each
with the largest control variate it can bear. With constant λ the bound is one on the mean of v_1 … v_t, so it also
holds for a policy that changes while it learns.
"""

from typing import Final

import numpy as np

from learners.model import Floats

RATES: Final = 0.5 ** np.arange(1, 15)
"""λ: from what fits a handful of rows to what fits some ten million; α is shared among them."""
BEARABLE: Final = 0.75
"""λ b_t stays below this, so that ψ(λ b_t) is not much above (λ b_t)² / 2."""


def lower_bounds(weights: Floats, rewards: Floats, largest_weight: float, alpha: float) -> Floats:
    """Return bounds that the mean value of the policy up to t is above, for all t at once with probability 1 - α.

    Args:
        weights: (…, n), 0 ≤ w_t ≤ `largest_weight`, with a mean of 1 given what was before.
        rewards: (…, n), in 0 … 1.
        largest_weight: Bound on weights that is known beforehand: 1 / the least propensity, say.
        alpha: Probability of a bound that does not hold, in (0, 1).

    Returns:
        (…, n), the bound after each row; 0 at least.
    """
    spread = max(largest_weight - 1.0, 0.0)
    control = _before(weights * rewards, weights)
    needed = np.log(len(RATES) / alpha)
    steps = np.arange(1, weights.shape[-1] + 1)
    best = np.zeros(np.broadcast_shapes(weights.shape, rewards.shape))
    for rate in RATES:
        c = np.minimum(control, max(BEARABLE / rate - 1.0, 0.0) / spread) if spread else control
        pseudo = weights * (rewards - c) + c
        forecast = np.clip(_before(pseudo, np.ones_like(pseudo)), 0.0, 1.0)
        reach = 1.0 + spread * c
        scaled = rate * reach
        variance = (pseudo - forecast) ** 2 * (-np.log1p(-scaled) - scaled) / reach**2
        evidence = np.cumsum(rate * pseudo - variance, axis=-1) - needed
        np.maximum(best, evidence / (rate * steps), out=best)
    return best


def bounds(weights: Floats, rewards: Floats, largest_weight: float, level: float) -> tuple[Floats, Floats]:
    """Return bounds that hold the mean value of the policy up to t between them, for all t at once.

    Args:
        weights: As of `lower_bounds`.
        rewards: The same.
        largest_weight: The same.
        level: Probability that all bounds hold, in (0, 1).
    """
    alpha = (1 - level) / 2
    lower = lower_bounds(weights, rewards, largest_weight, alpha)
    return lower, 1.0 - lower_bounds(weights, 1.0 - rewards, largest_weight, alpha)


def _before(over: Floats, under: Floats) -> Floats:
    """Return the ratio of the sums of all before each place, as if one of 1/2 had been there already."""
    shifted = np.zeros(np.broadcast_shapes(over.shape, under.shape) if over.ndim >= under.ndim else under.shape)
    total = shifted.copy()
    shifted[..., 1:] = np.cumsum(over, axis=-1)[..., :-1]
    total[..., 1:] = np.cumsum(under, axis=-1)[..., :-1]
    return (shifted + 0.5) / (total + 1.0)
