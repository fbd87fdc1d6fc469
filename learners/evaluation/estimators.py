"""Estimators of a policy's value from the log of another.

Each is a sum of ratios of means over rows: Σ over its terms of (mean of `over`) / (mean of `under`). So means,
bootstrap and running values all come from the same arrays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from learners.errors import ConfigError, EvaluationError
from learners.evaluation.logged import Indices
from learners.model import Floats
from learners.spec import parse_settings


@dataclass(frozen=True, slots=True)
class Evidence:
    """What estimators are made of, n rows each.

    Attributes:
        weights: π(a|x) / p: how much likelier the policy shows the offer than the log's did, ≥ 0.
        rewards: What the row earned.
        expected: Σ over candidates of π(a|x) q(x, a), the policy's reward by the reward model.
        predicted: q(x, a) of the offer shown.
        matched: Whether the policy showed the same, where it was run.
    """

    weights: Floats
    rewards: Floats
    expected: Floats | None = None
    predicted: Floats | None = None
    matched: Floats | None = None

    @property
    def modelled(self) -> tuple[Floats, Floats]:
        """`expected` and `predicted`, which estimators with a reward model need."""
        if self.expected is None or self.predicted is None:
            raise EvaluationError("this estimator needs a reward model")
        return self.expected, self.predicted


@dataclass(frozen=True, slots=True)
class Term:
    """A ratio of two means over n rows; `under` is None for a plain mean."""

    over: Floats
    under: Floats | None = None

    def value(self) -> float:
        """Return the ratio; NaN where nothing stands under it."""
        if self.under is None:
            return float(self.over.mean())
        total = float(self.under.sum())
        return float(self.over.sum()) / total if total > 0 else math.nan


Terms: TypeAlias = tuple[Term, ...]


def replay(seen: Evidence) -> Terms:
    """Mean reward of the rows where the policy, run over the log, showed the same (Li 2011, arXiv:1003.5956).

    Warning: unbiased only for logs whose offers were shown uniformly at random.
    """
    if seen.matched is None:
        raise EvaluationError("replay needs the policy to be run over the log")
    return (Term(seen.matched * seen.rewards, seen.matched),)


def ips(seen: Evidence) -> Terms:
    """Mean of w r (Horvitz & Thompson 1952; Dudík, Langford & Li 2011, arXiv:1103.4601)."""
    return (Term(seen.weights * seen.rewards),)


def snips(seen: Evidence) -> Terms:
    """Σ w r / Σ w (Swaminathan & Joachims 2015)."""
    return (Term(seen.weights * seen.rewards, seen.weights),)


def clipped_ips(seen: Evidence, limit: float) -> Terms:
    """Mean of min(w, limit) r (Bottou et al. 2013, arXiv:1209.2355)."""
    return (Term(np.minimum(seen.weights, limit) * seen.rewards),)


def dm(seen: Evidence) -> Terms:
    """Mean of the reward that the model expects of the policy: the direct method."""
    return (Term(seen.modelled[0]),)


def dr(seen: Evidence) -> Terms:
    """Mean of the expected reward + w (r - q), doubly robust (Dudík, Langford & Li 2011, arXiv:1103.4601)."""
    return (Term(_corrected(seen, seen.weights)),)


def sndr(seen: Evidence) -> Terms:
    """Mean of the expected reward, + Σ w (r - q) / Σ w (Thomas & Brunskill 2016, arXiv:1604.00923)."""
    expected, predicted = seen.modelled
    return Term(expected), Term(seen.weights * (seen.rewards - predicted), seen.weights)


def switch_dr(seen: Evidence, tau: float) -> Terms:
    """DR that corrects only where w ≤ tau (Wang, Agarwal & Dudík 2017, arXiv:1612.01205)."""
    return (Term(_corrected(seen, np.where(seen.weights <= tau, seen.weights, 0.0))),)


def dros(seen: Evidence, shrink: float) -> Terms:
    """DR with weights shrunk to λ w / (w² + λ) (Su et al. 2020, arXiv:1907.09623, "optimistic shrinkage")."""
    w = seen.weights
    shrunk = w if math.isinf(shrink) else shrink * w / (w**2 + shrink) if shrink else np.zeros_like(w)
    return (Term(_corrected(seen, shrunk)),)


def _corrected(seen: Evidence, weights: Floats) -> Floats:
    expected, predicted = seen.modelled
    return expected + weights * (seen.rewards - predicted)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an estimator is made, and the setting that it has with its default."""

    make: Callable[..., Terms]
    setting: str | None = None
    default: float = math.inf
    modelled: bool = False


ESTIMATORS: Final[Mapping[str, _Kind]] = {
    "replay": _Kind(replay),
    "ips": _Kind(ips),
    "snips": _Kind(snips),
    "clipped_ips": _Kind(clipped_ips, "lambda", 100.0),
    "dm": _Kind(dm, modelled=True),
    "dr": _Kind(dr, modelled=True),
    "sndr": _Kind(sndr, modelled=True),
    "switch_dr": _Kind(switch_dr, "tau", 10.0, modelled=True),
    "dros": _Kind(dros, "lambda", 100.0, modelled=True),
}
DEFAULT: Final = ("ips", "snips", "dm", "dr")


@dataclass(frozen=True, slots=True)
class Estimator:
    """An estimator with its setting. `text` is how it is written."""

    text: str
    name: str
    modelled: bool
    """Whether it needs a reward model."""
    setting: float | None

    def terms(self, seen: Evidence) -> Terms:
        """Return its terms, n rows each.

        Raises:
            EvaluationError: there is no reward model, or no run of the policy, and it needs one.
        """
        make = ESTIMATORS[self.name].make
        return make(seen) if self.setting is None else make(seen, self.setting)


def parse_estimator(text: str) -> Estimator:
    """Return the estimator that `NAME` or `NAME:setting=number` writes.

    >>> parse_estimator("switch_dr:tau=5").setting
    5.0

    Raises:
        EvaluationError: there is none of this name, or the setting is not its own or below 0.
    """
    try:
        name, settings = parse_settings(text)
    except ConfigError as error:
        raise EvaluationError(f"--estimator {error}") from None
    if name not in ESTIMATORS:
        raise EvaluationError(f"--estimator {name!r} must be one of {', '.join(ESTIMATORS)}")
    kind = ESTIMATORS[name]
    setting = None if kind.setting is None else kind.default
    for key, value in settings:
        if key != kind.setting:
            owns = f"has only {kind.setting}" if kind.setting else "has no settings"
            raise EvaluationError(f"--estimator {text}: {name} {owns}")
        setting = _number(value)
        if setting is None:
            raise EvaluationError(f"--estimator {text}: {key} must be a number of at least 0")
    return Estimator(text, name, kind.modelled, setting)


def _number(value: object) -> float | None:
    """Return a number of at least 0, `inf` included; None for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return None
    return number if number >= 0 else None


def value_of(terms: Terms) -> float:
    """Return what an estimator says: the sum of its ratios."""
    return sum(term.value() for term in terms)


def bootstrap(
    estimates: Sequence[Terms], units: Indices, level: float, resamples: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Return a percentile bootstrap interval for each estimate (Efron & Tibshirani 1993, ch. 13).

    Decisions are drawn, with all of their rows: those of one slate are not independent of each other. All estimates
    see the same draws.

    Args:
        estimates: Terms over n rows each.
        units: (n,), the decision of each row, rows of one being neighbours.
        level: Of the intervals, in (0, 1).
        resamples: How many times the decisions are drawn.
        rng: Draws them.
    """
    starts = np.flatnonzero(np.diff(units, prepend=units[0] - 1))
    ones = np.ones(len(units))
    columns = [part for terms in estimates for term in terms for part in (term.over, _under(term, ones))]
    sums = np.add.reduceat(np.stack(columns, axis=1), starts)
    count = len(sums)
    drawn = np.empty((resamples, sums.shape[1]))
    for i in range(resamples):
        drawn[i] = np.bincount(rng.integers(count, size=count), minlength=count) @ sums
    over, under = drawn[:, ::2], drawn[:, 1::2]
    ratios = np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)
    intervals, column = [], 0
    tails = [(1 - level) / 2, (1 + level) / 2]
    for terms in estimates:
        values = ratios[:, column : column + len(terms)].sum(axis=1)
        values = values[~np.isnan(values)]
        lower, upper = np.quantile(values, tails) if len(values) else (math.nan, math.nan)
        intervals.append((float(lower), float(upper)))
        column += len(terms)
    return intervals


def _under(term: Term, ones: Floats) -> Floats:
    return ones if term.under is None else term.under
