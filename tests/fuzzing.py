"""How many cases a fuzz tries: few in the suite, thousands by `make fuzz`."""

import os
from typing import Final

CASES: Final = int(os.environ.get("REWARDLOOP_FUZZ_CASES", "0"))
"""Cases of each fuzz; 0 leaves it to the test."""


def cases(in_the_suite: int) -> int:
    """Return how many cases a fuzz tries."""
    return CASES or in_the_suite
