"""Axes: from values to pixels, with ticks at round values."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_ALONE: Final = 0.1
"""Room on both sides of values that are all the same, as a share of them."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies, in px, rounded to a tenth.

        >>> Scale(0.0, 2.0, 100.0, 200.0).at(0.5)
        125.0
        """
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 8) -> list[Tick]:
        """Return ticks at round values, `count` or fewer steps.

        >>> [tick.label for tick in Scale(0.0, 1.0, 0.0, 1.0).ticks()]
        ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
        """
        step = _step((self.high - self.low) / count)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [
            Tick(self.at(number * step), f"{number * step + 0.0:,.{decimals}f}")
            for number in range(first, last + 1)
        ]


def _step(at_least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `at_least`."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= at_least * (1 - 1e-9))


def scale_of(values: Iterable[float], start: float, end: float, *, margin: float = 0.05) -> Scale:
    """Return a scale that has room for all finite values, and a share `margin` more on both sides."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    spare = (high - low) * margin if high > low else abs(high) * _ALONE or 1.0
    return Scale(low - spare, high + spare, start, end)
