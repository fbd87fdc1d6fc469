"""What an experiment has shown: rates, tests, and statements that stay true however often one looks.

All of it is a function of counts. The classical numbers hold for one look at a time fixed beforehand; the
always-valid ones hold at all times together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

from learners.intervals import wilson

ALPHA: Final = 0.05
"""What a confidence sequence may miss."""
FEWEST_SAMPLES: Final = 100
FEWEST_EVENTS: Final = 10
"""Conversions and failures that each side needs before the normal approximation is trusted."""
TUNED_FOR: Final = 10_000
"""Decisions at which the confidence sequence is tightest: a few days of a small shop."""
MISMATCH: Final = 1e-3
"""Below this p-value the split is broken, not unlucky (Fabijan et al. 2019, KDD, "Diagnosing Sample Ratio
Mismatch")."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: 0 ≤ conversions ≤ samples."""

    samples: int
    conversions: int

    @property
    def rate(self) -> float:
        """The share that converted, 0 where there is nothing."""
        return self.conversions / self.samples if self.samples else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate (Wilson 1927)."""
        return wilson(self.rate, self.samples)

    @property
    def variance(self) -> float:
        """Variance of the rate; half a conversion and half a failure are added, so that it is never 0."""
        smoothed = (self.conversions + 0.5) / (self.samples + 1)
        return smoothed * (1 - smoothed) / self.samples

    @property
    def sufficient(self) -> bool:
        """Whether there is enough to test."""
        return self.samples >= FEWEST_SAMPLES and FEWEST_EVENTS <= self.conversions <= self.samples - FEWEST_EVENTS


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treated minus control. What cannot be computed is None.

    `z_score` and `p_value` are of the pooled two-proportion test, two-sided, for one look. `always_valid_p_value`
    and the bounds, a 95 % confidence sequence of `uplift`, may be looked at any time; they agree: the p-value is at
    most 0.05 just where 0 is outside of the bounds. While data are insufficient they say nothing.
    """

    uplift: float
    relative_uplift: float | None
    z_score: float | None
    p_value: float | None
    insufficient: bool
    always_valid_p_value: float
    lower: float
    upper: float

    def confident(self, threshold: float) -> bool:
        """Whether the treated side is better, with a confidence of at least `threshold`, 0 < threshold < 1."""
        return not self.insufficient and self.uplift > 0 and 1 - self.always_valid_p_value >= threshold


def compare(treated: Arm, control: Arm) -> Comparison:
    """Return how the treated side does against the control."""
    uplift = treated.rate - control.rate
    z_score = _pooled_z(treated, control)
    sufficient = treated.sufficient and control.sufficient
    p, radius = _always_valid(treated, control) if sufficient else (1.0, math.inf)
    return Comparison(
        uplift=uplift,
        relative_uplift=uplift / control.rate if control.rate else None,
        z_score=z_score,
        p_value=None if z_score is None else float(2 * special.ndtr(-abs(z_score))),
        insufficient=not sufficient,
        always_valid_p_value=p,
        lower=max(-1.0, uplift - radius),
        upper=min(1.0, uplift + radius),
    )


def _pooled_z(treated: Arm, control: Arm) -> float | None:
    if not treated.samples or not control.samples:
        return None
    rate = (treated.conversions + control.conversions) / (treated.samples + control.samples)
    variance = rate * (1 - rate) * (1 / treated.samples + 1 / control.samples)
    return (treated.rate - control.rate) / math.sqrt(variance) if variance > 0 else None


def _always_valid(treated: Arm, control: Arm) -> tuple[float, float]:
    """Return the always-valid p-value and the radius of the confidence sequence.

    Robbins' normal mixture in its asymptotic form: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
    "Time-uniform central limit theory and asymptotic confidence sequences" (arXiv:2103.06476), theorem 2.2, for the
    difference of two rates; the p-value is the level at which the sequence touches 0.
    """
    variance = treated.variance + control.variance
    spread = (treated.samples + control.samples) * _RHO2
    log_p = math.log(spread + 1) / 2 - (treated.rate - control.rate) ** 2 / (2 * variance) * spread / (spread + 1)
    radius2 = 2 * variance * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / ALPHA)
    return math.exp(min(0.0, log_p)), math.sqrt(radius2)


_RHO2: Final = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / TUNED_FOR
"""The mixture's variance that makes the sequence tight at `TUNED_FOR` (ibid., appendix B.2)."""


def sample_ratio(customers: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return the p-value of the split that was found under the one that was meant: Pearson's chi-squared test.

    Args:
        customers: Distinct customers of each variant. Decisions will not do, for a customer's go together.
        shares: What each variant was meant to have, in any unit.

    Returns:
        The p-value; 0 where a variant without a share has customers; None where there is nothing to compare.
    """
    if any(found and not share for found, share in zip(customers, shares, strict=True)):
        return 0.0
    pairs = [(found, share) for found, share in zip(customers, shares, strict=True) if share]
    total, whole = sum(customers), sum(shares)
    if total == 0 or len(pairs) < 2:
        return None
    expected = [(found, total * share / whole) for found, share in pairs]
    statistic = sum((found - meant) ** 2 / meant for found, meant in expected)
    return float(special.chdtrc(len(pairs) - 1, statistic))
