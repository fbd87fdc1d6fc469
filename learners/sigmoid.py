"""The logistic function."""

from typing import Final

import numpy as np

from learners.model import Floats

MARGIN: Final = 30.0
"""Beyond it a probability is 0 or 1 to twelve digits; p (1 - p) stays well above 0."""


def sigmoid(margin: Floats) -> Floats:
    """Return 1 / (1 + e^-margin), element by element."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -MARGIN, MARGIN))), np.float64)
