"""Estimators against the formulae of their papers, written out row by row, and against a known truth."""

import doctest
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

from learners.errors import EvaluationError
from learners.evaluation import estimators, policies, reward_model, rules
from learners.evaluation.estimators import Evidence, Term, bootstrap, parse_estimator, value_of

W, R, MATCHED = [0.0, 0.5, 2.0, 4.0], [1.0, 0.0, 1.0, 3.0], [0.0, 0.0, 1.0, 1.0]
EXPECTED, Q = [0.5, 0.25, 0.75, 1.0], [0.25, 0.5, 0.75, 2.0]
ROWS = [tuple(map(Fraction, row)) for row in zip(W, R, EXPECTED, Q, strict=True)]
N = len(ROWS)
SEEN = Evidence(*map(np.array, (W, R, EXPECTED, Q, MATCHED)))

BY_HAND = {
    "replay": Fraction(1 + 3, 2),
    "ips": sum(w * r for w, r, _, _ in ROWS) / N,
    "snips": sum(w * r for w, r, _, _ in ROWS) / sum(w for w, *_ in ROWS),
    "clipped_ips:lambda=2": sum(min(w, Fraction(2)) * r for w, r, _, _ in ROWS) / N,
    "dm": sum(e for _, _, e, _ in ROWS) / N,
    "dr": sum(e + w * (r - q) for w, r, e, q in ROWS) / N,
    "sndr": sum(e for _, _, e, _ in ROWS) / N + sum(w * (r - q) for w, r, _, q in ROWS) / sum(w for w, *_ in ROWS),
    "switch_dr:tau=2": sum(e + (w * (r - q) if w <= 2 else 0) for w, r, e, q in ROWS) / N,
    "dros:lambda=4": sum(e + 4 * w / (w * w + 4) * (r - q) for w, r, e, q in ROWS) / N,
}


@pytest.mark.parametrize("module", [estimators, policies, reward_model, rules])
def test_the_examples_of_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("text", BY_HAND)
def test_each_is_its_formula(text: str) -> None:
    assert value_of(parse_estimator(text).terms(SEEN)) == pytest.approx(float(BY_HAND[text]), rel=1e-15)


@pytest.mark.parametrize(
    ("limited", "plain"),
    [
        ("clipped_ips:lambda=inf", "ips"),
        ("switch_dr:tau=inf", "dr"),
        ("dros:lambda=inf", "dr"),
        ("dros:lambda=0", "dm"),
    ],
)
def test_limits_lead_to_other_estimators(limited: str, plain: str) -> None:
    assert value_of(parse_estimator(limited).terms(SEEN)) == value_of(parse_estimator(plain).terms(SEEN))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("magic", "must be one of replay, ips"),
        ("ips:lambda=3", "ips has no settings"),
        ("dros:tau=3", "dros has only lambda"),
        ("dros:lambda=-1", "lambda must be a number of at least 0"),
        ("dros:lambda=nan", "lambda must be a number of at least 0"),
        ("dros:lambda", "lambda"),
    ],
)
def test_what_is_no_estimator_is_told(text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        parse_estimator(text)


def test_nothing_weighed_is_unknown() -> None:
    nothing = Evidence(np.zeros(2), np.ones(2))
    assert value_of(parse_estimator("ips").terms(nothing)) == 0
    assert math.isnan(value_of(parse_estimator("snips").terms(nothing)))


def test_bootstrap_intervals_are_those_of_the_normal_for_a_large_sample() -> None:
    rng = np.random.default_rng(5)
    rewards = rng.gamma(2.0, size=4000)
    ((low, high),) = bootstrap([(Term(rewards),)], np.arange(4000), 0.9, 2000, rng)
    wanted = stats.norm.interval(0.9, rewards.mean(), rewards.std() / math.sqrt(4000))
    assert (low, high) == pytest.approx(wanted, abs=0.15 * (wanted[1] - wanted[0]))


def test_bootstrap_draws_decisions_and_not_rows() -> None:
    rng = np.random.default_rng(6)
    drawn = rng.random(500)
    rows, units = np.repeat(drawn, 20), np.repeat(np.arange(500), 20)
    ((low, high),) = bootstrap([(Term(rows),)], units, 0.95, 1000, np.random.default_rng(1))
    ((low_alone, high_alone),) = bootstrap([(Term(drawn),)], np.arange(500), 0.95, 1000, np.random.default_rng(1))
    assert (low, high) == pytest.approx((low_alone, high_alone), abs=1e-12)


def test_bootstrap_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        weights = rng.choice([0.5, 3.0], p=[0.8, 0.2], size=400)
        rewards = (rng.random(400) < np.where(weights > 1, 0.5, 0.2)).astype(np.float64)
        # The value is 0.8 * 0.5 * 0.2 + 0.2 * 3 * 0.5.
        seen = Evidence(weights, rewards)
        ((low, high),) = bootstrap([parse_estimator("snips").terms(seen)], np.arange(400), 0.9, 200, rng)
        covered += low < 0.38 < high
    assert stats.binomtest(covered, 400, 0.9).pvalue > 1e-4, covered
