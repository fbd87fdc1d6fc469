"""Numbers published for the Open Bandit Dataset (Saito et al. 2021, arXiv:2008.07146), through the command."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.published.conftest import estimates, evaluated

ITEMS = 80
POSITIONS = 3
SIMULATIONS = 100_000


def bernoulli_ts(prior: dict[str, list[float]]) -> np.ndarray[Any, Any]:
    """Return how often Thompson sampling from a Beta prior puts each item at each position, (80, 3)."""
    rng = np.random.RandomState(12345)
    counts = np.zeros((ITEMS, POSITIONS))
    for _ in range(SIMULATIONS):
        ranking = rng.beta(prior["alpha"], prior["beta"]).argsort()[::-1][:POSITIONS]
        counts[ranking, np.arange(POSITIONS)] += 1
    return counts / SIMULATIONS


def item_features(path: Path) -> dict[str, dict[str, float]]:
    """Return the items' features as the published numbers have them: texts numbered in alphabetical order."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [f"item_feature_{i}" for i in (1, 2, 3)]
    levels = {name: sorted({row[name] for row in rows}) for name in texts}
    return {
        f"obd-item-{row['item_id']}": {
            "item_feature_0": float(row["item_feature_0"]),
            **{name: float(levels[name].index(row[name])) for name in texts},
        }
        for row in rows
    }


@pytest.fixture(scope="module")
def asked(open_bandit: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What the command is asked: the random log, with the policy's probabilities as a column."""
    folder = tmp_path_factory.mktemp("asked")
    prior = yaml.safe_load((open_bandit / "raw" / "prior_bts.yaml").read_text())["all"]
    columns = bernoulli_ts(prior).T.tolist()
    with gzip.open(open_bandit / "random-all.ndjson.gz") as given, (folder / "log.ndjson").open("w") as log:
        for line in map(json.loads, given):
            if line["kind"] == "decision":
                assert line["candidates"] == [f"obd-item-{i}" for i in range(ITEMS)]
                line["bts"] = columns[line["decisions"][0]["rank"] - 1]
            log.write(json.dumps(line) + "\n")
    features = folder / "items.json"
    features.write_text(json.dumps(item_features(open_bandit / "raw" / "random" / "all" / "item_context.csv")))
    return [folder / "log.ndjson", "--policy", "column:bts", "--offer-features", features]


def test_the_published_values_of_bernoulli_thompson_sampling(asked: list[object], open_bandit: Path) -> None:
    names = [part for name in ("ips", "snips", "dm", "dr", "sndr") for part in ("--estimator", name)]
    regression = ["--reward-model", "logistic:folds=3,seed=12345,scale=false"]
    report = evaluated(*asked, *names, *regression)
    values = estimates(report)

    assert round(values["ips"], 8) == 0.00455288
    assert values["ips"] == pytest.approx(0.00455288, abs=1e-15), "it has no more digits than these"
    assert round(values["ips"] / report["log"]["meanReward"], 7) == 1.1981263
    truth = evaluated(open_bandit / "bts-all.ndjson.gz", "--policy", "logged", "--estimator", "ips")
    on_policy = truth["log"]["meanReward"]
    assert round(abs(values["ips"] - on_policy) / on_policy, 7) == 0.0840190
    assert round(values["snips"], 9) == 0.004775833
    assert values["dm"] == pytest.approx(0.003545, rel=1e-3)
    assert values["dr"] == pytest.approx(0.004727, rel=1e-3)
    assert values["sndr"] == pytest.approx(0.0047852, rel=1e-3)
    told = report["policies"][0]["diagnostics"]
    assert round(told["ess"], 1) == 1639.5
    assert round(told["meanWeight"], 4) == 0.9533


def test_the_log_holds_what_its_authors_logged(open_bandit: Path) -> None:
    report = evaluated(open_bandit / "random-all.ndjson.gz", "--policy", "logged", "--estimator", "ips")
    assert (report["log"]["decisions"], report["log"]["rows"], report["log"]["offers"]) == (10_000, 10_000, ITEMS)
    assert report["log"]["meanReward"] == 0.0038
    assert estimates(report) == {"ips": pytest.approx(0.0038, abs=1e-15)}
