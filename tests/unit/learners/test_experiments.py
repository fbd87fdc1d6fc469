"""Experiments: assignment, classical tests against statsmodels and scipy, and looking at any time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from learners import experiments
from learners.assignment import BUCKETS, assigned, bucket, fnv1a_32, held_out
from learners.experiments import ALPHA, Arm, compare, sample_ratio

CUSTOMERS = [f"customer-{n}" for n in range(100_000)]


@pytest.mark.parametrize(
    ("text", "expected"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"foobar", 0xBF9CF968), (b"hello", 0x4F9F2CAB)]
)
def test_fnv1a_gives_the_published_values(text: bytes, expected: int) -> None:
    assert fnv1a_32(text) == expected


def test_each_variant_gets_its_share_of_customers() -> None:
    shares = [50.0, 30.0, 20.0]
    found = [assigned("exp", one, 10, shares) for one in CUSTOMERS]
    for variant, percent in ((None, 10.0), (0, 45.0), (1, 27.0), (2, 18.0)):
        count, p = found.count(variant), percent / 100
        deviation = (p * (1 - p) * len(CUSTOMERS)) ** 0.5
        assert abs(count - p * len(CUSTOMERS)) < 5 * deviation  # 4 checks at 6e-7 each
    assert found == [assigned("exp", one, 10, shares) for one in CUSTOMERS], "sticky"
    assert found != [assigned("other", one, 10, shares) for one in CUSTOMERS], "another experiment, another split"


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.integers(0, BUCKETS),
    st.lists(st.integers(1, 100), min_size=1, max_size=6),
)
def test_the_lowest_buckets_are_held_out_and_variants_follow_in_order(
    key: str, customer: str, holdout: int, weights: list[int]
) -> None:
    percent, shares = holdout / 100, [100 * weight / sum(weights) for weight in weights]
    place, found = bucket(key, customer), assigned(key, customer, percent, shares)
    assert held_out(key, customer, percent) == (found is None) == (place < holdout)
    if found is not None:
        within = (place - holdout) / (BUCKETS - holdout) * 100
        rounding = 50 / (BUCKETS - holdout) + 1e-9  # an edge is at most half a bucket off
        assert sum(shares[:found]) - rounding <= within < sum(shares[: found + 1]) + rounding


TABLES = [(7, 50, 12, 61), (120, 1000, 150, 1000), (5, 1000, 0, 900), (3, 3, 1, 9)] + [
    (int(rng.integers(0, n + 1)), n, int(rng.integers(0, m + 1)), m)
    for rng in [np.random.default_rng(0)]
    for n, m in rng.integers(1, 10_000, (60, 2)).tolist()
]


@pytest.mark.parametrize("table", TABLES)
def test_classical_results_equal_statsmodels_and_scipy(table: tuple[int, int, int, int]) -> None:
    s1, n1, s2, n2 = table
    found = compare(Arm(n1, s1), Arm(n2, s2))
    z, p = proportions_ztest([s1, s2], [n1, n2])
    assert found.z_score == pytest.approx(z, rel=1e-10, abs=1e-10)
    assert found.p_value == pytest.approx(p, rel=1e-10, abs=1e-300)
    chi2 = stats.chi2_contingency([[s1, n1 - s1], [s2, n2 - s2]], correction=False)
    assert found.p_value == pytest.approx(chi2.pvalue, rel=1e-8, abs=1e-300)  # the square of that very z
    assert Arm(n1, s1).interval == pytest.approx(proportion_confint(s1, n1, method="wilson"), abs=1e-10)
    assert found.uplift == pytest.approx(s1 / n1 - s2 / n2, abs=1e-15)
    assert (found.relative_uplift is None) == (s2 == 0)


def test_what_cannot_be_computed_is_none() -> None:
    for treated, control in ((Arm(0, 0), Arm(5, 1)), (Arm(5, 0), Arm(9, 0)), (Arm(5, 5), Arm(9, 9))):
        found = compare(treated, control)
        assert (found.z_score, found.p_value, found.always_valid_p_value) == (None, None, 1.0)
        assert found.insufficient


def test_sample_ratios_equal_scipy() -> None:
    assert sample_ratio([480, 530, 90], [45, 45, 10]) == pytest.approx(
        stats.chisquare([480, 530, 90], [495, 495, 110]).pvalue, rel=1e-10
    )
    assert sample_ratio([10, 0, 7], [50, 0, 50]) == sample_ratio([10, 7], [1, 1])
    assert sample_ratio([10, 1], [100, 0]) == 0.0
    assert sample_ratio([0, 0], [50, 50]) is None
    assert sample_ratio([5], [100]) is None


@given(st.integers(100, 10**6), st.integers(100, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_sequence_and_p_value_agree(n1: int, n2: int, r1: float, r2: float) -> None:
    found = compare(Arm(n1, round(n1 * r1)), Arm(n2, round(n2 * r2)))
    if abs(found.always_valid_p_value - ALPHA) > 1e-9:
        assert (found.always_valid_p_value <= ALPHA) == (not found.lower <= 0 <= found.upper)
    assert found.confident(0.95) == (found.always_valid_p_value <= ALPHA and found.uplift > 0)


def peeked(rates: tuple[float, float], tests: int, decisions: int, seed: int) -> tuple[float, float, float]:
    """Return how often a test, peeked at after every decision, ever finds a difference.

    Half of the decisions go to each side, in turns. First the always-valid test, then the classical one peeked at
    in the same way, then the classical one looked at once, at the end.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros(3)
    n = np.arange(1, decisions // 2 + 1, dtype=np.float64)
    for _ in range(tests):
        s1 = np.cumsum(rng.random(len(n)) < rates[0])
        s2 = np.cumsum(rng.random(len(n)) < rates[1])
        enough = np.all([n >= experiments.FEWEST_SAMPLES, *(fewest(s, n) for s in (s1, s2))], axis=0)
        always, classical = always_valid_log_p(s1, s2, n), pooled_z(s1, s2, n)
        found += (
            bool(np.any(always[enough] <= np.log(ALPHA))),
            bool(np.any(classical[enough] >= stats.norm.isf(ALPHA / 2))),
            bool(classical[-1] >= stats.norm.isf(ALPHA / 2)),
        )
    always_rate, peeked_rate, fixed_rate = (found / tests).tolist()
    return always_rate, peeked_rate, fixed_rate


def fewest(s: NDArray[Any], n: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.minimum(s, n - s) >= experiments.FEWEST_EVENTS)


def always_valid_log_p(s1: NDArray[Any], s2: NDArray[Any], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """The paper's formula over whole paths, written anew: log of 1 over the mixture's likelihood ratio."""
    p1, p2 = (s1 + 0.5) / (n + 1), (s2 + 0.5) / (n + 1)
    v = (p1 * (1 - p1) + p2 * (1 - p2)) / n
    a = 2 * n * (2 * np.log(1 / ALPHA) + np.log(2 * np.log(1 / ALPHA) + 1)) / experiments.TUNED_FOR
    z2 = (s1 / n - s2 / n) ** 2 / v
    return np.asarray(0.5 * np.log1p(a) - 0.5 * z2 * a / (1 + a))


def pooled_z(s1: NDArray[Any], s2: NDArray[Any], n: NDArray[np.float64]) -> NDArray[np.float64]:
    p = (s1 + s2) / (2 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(s1 - s2) / n / np.sqrt(p * (1 - p) * 2 / n)
    return np.asarray(np.nan_to_num(z))


def test_the_paths_of_the_simulation_are_those_of_the_code() -> None:
    rng = np.random.default_rng(1)
    n = np.arange(1, 3001, dtype=np.float64)
    s1, s2 = np.cumsum(rng.random(3000) < 0.1), np.cumsum(rng.random(3000) < 0.13)
    logs, z = always_valid_log_p(s1, s2, n), pooled_z(s1, s2, n)
    for at in range(200, 3000, 97):
        found = compare(Arm(at + 1, int(s1[at])), Arm(at + 1, int(s2[at])))
        assert not found.insufficient
        assert found.always_valid_p_value == pytest.approx(np.exp(min(0.0, logs[at])), rel=1e-9)
        assert abs(found.z_score or 0.0) == pytest.approx(z[at], rel=1e-9)


@pytest.mark.parametrize(("rate", "tests"), [(0.02, 700), (0.1, 700), (0.5, 600)])
def test_peeking_at_every_decision_finds_nothing_too_often(rate: float, tests: int, record_property: Any) -> None:
    """2,000 A/A tests of 10,000 decisions; what the last run found is in docs/experiments.md."""
    always, classical, once = peeked((rate, rate), tests, 10_000, seed=tests + int(1000 * rate))
    record_property("false positives", (always, classical, once))
    assert always <= ALPHA
    assert classical > 3 * ALPHA, "the simulation would notice a test that is not valid under peeking"


def test_an_effect_is_found_while_peeking(record_property: Any) -> None:
    always, _, once = peeked((0.12, 0.10), 500, 10_000, seed=1)
    record_property("power", (always, once))
    assert once > 0.8
    assert always > 0.5
