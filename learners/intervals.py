"""Intervals for means, 95 %."""

from typing import Final

import numpy as np

Z_95: Final = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson(mean: float, pulls: float) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927, JASA 22); 0 and 1 without pulls.

    >>> [round(bound, 4) for bound in wilson(0.5, 10)]
    [0.2366, 0.7634]
    """
    if pulls <= 0:
        return 0.0, 1.0
    z2 = Z_95 * Z_95
    centre = (mean + z2 / (2 * pulls)) / (1 + z2 / pulls)
    half = Z_95 * np.sqrt(mean * (1 - mean) / pulls + z2 / (4 * pulls * pulls)) / (1 + z2 / pulls)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
