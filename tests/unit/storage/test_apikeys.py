"""Keys: what the time that a check takes tells of the secret, which must be nothing."""

import random
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_ind

from storage import apikeys

PEPPER = b"p" * 32
KEY = apikeys.generate()
SEALED = apikeys.seal(PEPPER, KEY)
CHECKS = 20_000


def other(place: int) -> str:
    """Return what is stored, with another digit at a place."""
    digits = list(SEALED)
    digits[place] = "0" if SEALED[place] != "0" else "1"
    return "".join(digits)


def leak(check: Callable[[str], bool]) -> float:
    """Return Welch's t of the times of checks that fail at the first digit and at the last, in random order.

    As in dudect (Reparaz, Balasch, Verbauwhede, 2017).
    """
    rng = random.Random(1)  # noqa: S311 - an order, no secret
    order = [rng.randrange(2) for _ in range(CHECKS)]
    wrong = [other((0, 63)[which]) for which in order]  # made before: what was just made is near at hand
    taken: tuple[list[int], list[int]] = ([], [])
    for which, stored in zip(order, wrong, strict=True):
        started = time.perf_counter_ns()
        failed = not check(stored)
        taken[which].append(time.perf_counter_ns() - started)
        assert failed
    most = np.percentile(taken[0] + taken[1], 90)  # what another process has held up says nothing
    first, last = ([one for one in some if one <= most] for some in taken)
    return abs(float(ttest_ind(first, last, equal_var=False).statistic))


def early(stored: str) -> bool:
    return all(a == b for a, b in zip(apikeys.seal(PEPPER, KEY), stored, strict=True))


def test_a_check_takes_as_long_wherever_it_fails() -> None:
    """Held against a comparison that stops early; what is left is where texts lie in memory."""
    assert apikeys.matches(PEPPER, KEY, SEALED)
    assert leak(lambda stored: apikeys.matches(PEPPER, KEY, stored)) < leak(early) / 10


@pytest.mark.parametrize("place", range(64))
def test_one_other_digit_anywhere_opens_nothing(place: int) -> None:
    assert not apikeys.matches(PEPPER, KEY, other(place))
