"""The multi-class quickstart of the Open Bandit Pipeline on scikit-learn's digits, through the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from tests.published.conftest import estimates, evaluated

CLASSES = 10
GROUND_TRUTH = 0.8770906200317964


def softened(predicted: NDArray[Any], share: float) -> NDArray[np.float64]:
    """Return a classifier as a policy, (n, 10): its class with probability `share`, else any."""
    return np.asarray(share * np.eye(CLASSES)[predicted] + (1 - share) / CLASSES, np.float64)


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Images and classes of the test part, with the behaviour's and the policy's probabilities."""
    images, classes = load_digits(return_X_y=True)
    seen, asked, known, wanted = train_test_split(images, classes, test_size=0.7, random_state=12345)
    behaviour = LogisticRegression(max_iter=10_000, random_state=12345).fit(seen, known)
    policy = RandomForestClassifier(random_state=12345).fit(seen, known)
    return asked, wanted, softened(behaviour.predict(asked), 0.8), softened(policy.predict(asked), 0.9)


def write(path: Path, images: Any, shown: Any, propensities: Any, rewards: Any, policy: Any) -> Path:
    names = [str(label) for label in range(CLASSES)]
    with path.open("w") as log:
        for n, label in enumerate(shown):
            common = {"time": "2026-03-16T14:35:00Z", "customerId": f"c{n}", "recommendationId": f"r{n}"}
            decision = {
                "features": {f"pixel{i}": float(value) for i, value in enumerate(images[n])},
                "candidates": names,
                "decisions": [{"rank": 1, "offerId": names[label], "propensity": float(propensities[n])}],
                "policy": policy[n].tolist(),
            }
            kind, weight = ("positive", 1.0) if rewards[n] else ("negative", 0.0)
            outcome = {"offerId": names[label], "outcome": "label", "classification": kind, "weight": weight}
            log.write(json.dumps({"kind": "decision", **common, **decision}) + "\n")
            log.write(json.dumps({"kind": "outcome", **common, **outcome}) + "\n")
    return path


def test_the_ground_truth_is_the_published_one(digits: Any, tmp_path: Path) -> None:
    images, wanted, _, policy = digits
    certain = np.ones(len(wanted))
    log = write(tmp_path / "log.ndjson", images, wanted, certain, certain, policy)
    values = estimates(evaluated(log, "--policy", "column:policy", "--estimator", "ips"))
    assert values["ips"] == pytest.approx(GROUND_TRUTH, rel=1e-14)


def test_estimates_from_a_bandit_log_surround_the_ground_truth(digits: Any, tmp_path: Path) -> None:
    images, wanted, behaviour, policy = digits
    rng = np.random.default_rng(12345)
    shown = (rng.random((len(wanted), 1)) < behaviour.cumsum(axis=1)).argmax(axis=1)
    propensities = behaviour[np.arange(len(wanted)), shown]
    log = write(tmp_path / "log.ndjson", images, shown, propensities, shown == wanted, policy)
    names = [part for name in ("ips", "snips", "dr", "sndr") for part in ("--estimator", name)]
    report = evaluated(log, "--policy", "column:policy", *names)
    for one in report["policies"][0]["estimates"]:
        assert one["ciLower"] < GROUND_TRUTH < one["ciUpper"], one
    ips = report["policies"][0]["estimates"][0]
    assert ips["anytimeLower"] < GROUND_TRUTH < ips["anytimeUpper"]
