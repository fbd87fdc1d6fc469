"""What a decision earned: which of its outcomes count, and how long one waits for them."""

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Final, Literal, TypeAlias

from learners.errors import EvaluationError

RewardRule: TypeAlias = Literal["earliest", "latest", "sum", "max", "mean"]
"""Which of several outcomes of a row is its reward."""

Timed: TypeAlias = tuple[int, float]
"""Time in ms and reward of an outcome."""

_WINDOW: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

_RULES: Final[Mapping[RewardRule, Callable[[Sequence[Timed]], float]]] = {
    "earliest": lambda seen: min(seen, key=_time)[1],
    # Of several at one time the last in the log.
    "latest": lambda seen: max(reversed(seen), key=_time)[1],
    "sum": lambda seen: sum(reward for _, reward in seen),
    "max": lambda seen: max(reward for _, reward in seen),
    "mean": lambda seen: fmean(reward for _, reward in seen),
}


def _time(one: Timed) -> int:
    return one[0]


def reward_of(rule: RewardRule, seen: Sequence[Timed]) -> float:
    """Return what a row earned by its outcomes in the log's order; 0 if there are none."""
    return _RULES[rule](seen) if seen else 0.0


def parse_window(text: str) -> int:
    """Return a length of time in ms.

    >>> parse_window("90s"), parse_window("7d")
    (90000, 604800000)

    Raises:
        EvaluationError: it is not a number with s, m, h or d behind it.
    """
    matched = _WINDOW.fullmatch(text.strip())
    if matched is None or float(matched[1]) == 0:
        raise EvaluationError(f"--window {text!r} must be a number above 0 and s, m, h or d: 30m, 24h, 7d")
    return round(float(matched[1]) * _UNIT_MS[matched[2]])
