"""How many cases a fuzz tries: few in the suite, thousands by `make fuzz`."""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

CASES: Final = int(os.environ.get("REWARDLOOP_FUZZ_CASES", "0"))
"""Cases of each fuzz; 0 leaves it to the test."""


def cases(in_the_suite: int) -> int:
    """Return how many cases a fuzz tries."""
    return CASES or in_the_suite


def every(step: int, values: Sequence[_T], start: int) -> Sequence[_T]:
    """Return each `step`-th of the values, another share for each `start`; `make fuzz` tries all."""
    return values if CASES else values[start % step :: step]
