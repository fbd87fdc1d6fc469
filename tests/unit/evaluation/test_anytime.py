"""Bounds that hold at all times: coverage when one looks after every row, and how tight they are."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from learners.evaluation.anytime import bounds

LOGS = 1_000
ROWS = 2_000
PROPENSITIES = np.array([0.5, 0.3, 0.2])


def simulated(
    policy: NDArray[np.float64], rates: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], ...]:
    """Return weights and rewards of many logs, (logs, rows) each, and the policy's value."""
    rng = np.random.default_rng(seed)
    shown = rng.choice(3, p=PROPENSITIES, size=(LOGS, ROWS))
    rewards = (rng.random((LOGS, ROWS)) < rates[shown]).astype(np.float64)
    return (policy / PROPENSITIES)[shown], rewards, np.asarray(policy @ rates)


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize(
    ("policy", "rates"),
    [([0.0, 0.2, 0.8], [0.1, 0.3, 0.6]), ([0.5, 0.3, 0.2], [0.01, 0.02, 0.0]), ([0.0, 0.0, 1.0], [0.9, 0.9, 0.99])],
)
def test_coverage_holds_when_one_peeks_after_every_row(
    policy: list[float], rates: list[float], level: float
) -> None:
    weights, rewards, value = simulated(np.array(policy), np.array(rates), seed=11)
    lower, upper = bounds(weights, rewards, 1 / PROPENSITIES.min(), level)
    held = ((lower <= value) & (value <= upper)).all(axis=1)
    # With a coverage of just its level, fewer logs than this would hold once in a million times.
    assert held.sum() >= stats.binom.ppf(1e-6, LOGS, level), held.mean()
    if level == 0.95:
        assert held.mean() >= level


def test_a_fixed_interval_would_not_survive_peeking() -> None:
    """The same question, asked with a normal interval at every step: what the bounds are for."""
    weights, rewards, value = simulated(np.array([0.0, 0.2, 0.8]), np.array([0.1, 0.3, 0.6]), seed=11)
    seen = weights * rewards
    steps = np.arange(1, ROWS + 1)
    mean = seen.cumsum(axis=1) / steps
    error = np.sqrt(np.maximum((seen**2).cumsum(axis=1) / steps - mean**2, 0) / steps)
    held = (np.abs(mean - value) <= 1.96 * error)[:, 100:].all(axis=1)
    assert held.mean() < 0.9


def test_the_mean_of_a_changing_policy_is_covered() -> None:
    rng = np.random.default_rng(3)
    rates = np.array([0.1, 0.3, 0.6])
    shares = np.linspace(0.0, 1.0, ROWS)
    policy = np.stack([1 - shares, np.zeros(ROWS), shares], axis=1)
    values = (policy @ rates).cumsum() / np.arange(1, ROWS + 1)
    shown = rng.choice(3, p=PROPENSITIES, size=(LOGS, ROWS))
    rewards = (rng.random((LOGS, ROWS)) < rates[shown]).astype(np.float64)
    weights = policy[np.arange(ROWS), shown] / PROPENSITIES[shown]
    lower, upper = bounds(weights, rewards, 1 / PROPENSITIES.min(), 0.95)
    assert ((lower <= values) & (values <= upper)).all(axis=1).mean() >= 0.95


def test_bounds_close_in_on_the_value() -> None:
    weights, rewards, value = simulated(np.array([0.0, 0.2, 0.8]), np.array([0.1, 0.3, 0.6]), seed=12)
    lower, upper = bounds(weights, rewards, 1 / PROPENSITIES.min(), 0.95)
    widths = upper - lower
    fixed = 2 * 1.96 * (weights * rewards).std(axis=1) / np.sqrt(ROWS)
    assert np.median(widths[:, -1]) < 2.5 * np.median(fixed), "an interval for all times is wider, but not by much"
    assert np.median(widths[:, 199]) > np.median(widths[:, -1])
    assert (lower >= 0).all()
    assert (upper <= 1).all()
    assert value == pytest.approx(0.54)


def test_a_bound_uses_nothing_that_comes_later() -> None:
    rng = np.random.default_rng(4)
    weights, rewards = rng.random((2, 300))
    lower, upper = bounds(weights * 2, rewards, 2.0, 0.9)
    lower_before, upper_before = bounds(weights[:100] * 2, rewards[:100], 2.0, 0.9)
    assert lower[:100] == pytest.approx(lower_before, abs=1e-12)
    assert upper[:100] == pytest.approx(upper_before, abs=1e-12)
