"""Metrics against scikit-learn, published numbers and a drift that is known."""

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import log_loss, roc_auc_score

from learners.metrics import LOSSES, Metrics, auc_from_bins


def observed(n: int, seed: int = 0, chunk: int = 100) -> tuple[Metrics, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = special.expit(rng.normal(-1, 1.5, n))
    won = rng.random(n) < p
    metrics = Metrics()
    for start in range(0, n, chunk):
        part = slice(start, start + chunk)
        metrics.observe(p[part], np.where(won[part], 2.0, -1.0))
    return metrics, p, won


def test_the_published_auc_from_bins() -> None:
    """Bins [3, 1, 0] against [2, 0, 1] have 0.75 (documentation of pdstools), once sorted by their rate."""
    assert auc_from_bins(np.array([0, 3, 1]), np.array([1, 2, 0])) == 0.75
    assert auc_from_bins(np.array([0, 0]), np.array([1, 2])) is None


def test_figures_are_scikit_learns() -> None:
    metrics, p, won = observed(5000)
    report = metrics.report()
    assert report["samples"] == 5000
    assert report["logLoss"] == pytest.approx(log_loss(won, p), rel=1e-12)
    assert report["auc"] == pytest.approx(roc_auc_score(won, p), abs=0.002)  # twenty bins to a unit of log-odds
    assert report["meanReward"] == pytest.approx(2 * won.mean(), rel=1e-12)
    for row in report["calibration"]:
        own = np.minimum((p * 10).astype(int), 9) == row["decile"] - 1
        assert row["count"] == own.sum()
        assert (row["predicted"], row["observed"]) == pytest.approx((p[own].mean(), won[own].mean()), rel=1e-12)


def test_a_sure_prediction_that_fails_costs_a_finite_loss() -> None:
    metrics = Metrics()
    metrics.observe(np.array([1.0, 0.0, 7.0, -3.0]), np.array([-1.0, 1.0, -1.0, 1.0]))
    assert metrics.report()["logLoss"] == pytest.approx(-np.log(1e-9), rel=1e-6)


def test_drift_is_found_where_it_is_and_nowhere_else() -> None:
    rng = np.random.default_rng(1)
    steady, drifting = Metrics(), Metrics()
    for i in range(400):
        p = np.full(50, 0.3)
        won = rng.random(50) < 0.3
        steady.observe(p, np.where(won, 1.0, -1.0))
        moved = rng.random(50) < (0.9 if i >= 200 else 0.3)
        drifting.observe(p, np.where(moved, 1.0, -1.0))
    assert steady.report()["drift"] == {"detections": 0, "lastAtSample": None}
    drift = drifting.report()["drift"]
    assert drift["detections"] >= 1
    assert 10_000 < drift["lastAtSample"] <= 15_000


def test_nothing_observed_says_nothing() -> None:
    assert Metrics().report()["auc"] is None


def test_state_is_bounded_and_restores() -> None:
    metrics, _, _ = observed(LOSSES * 20 + 500, chunk=10)
    restored = Metrics()
    restored.restore(metrics.state())
    assert restored.report() == metrics.report()
    assert restored.state() == metrics.state()
    assert len(metrics.state()["chunks"]) == LOSSES
