"""Sums of what callers told, which may be as large as a float can be."""

import sys
from typing import Final

LARGEST: Final = sys.float_info.max


def finite(total: float) -> float:
    """Return a sum that is a finite number, as `finite` of summary.lua does.

    >>> finite(1.7e308 + 1.7e308)
    1.7976931348623157e+308
    """
    return max(-LARGEST, min(LARGEST, total))
