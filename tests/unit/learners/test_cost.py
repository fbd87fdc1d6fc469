"""What learning and deciding cost, counted in calls, the same on every machine: a loop that creeps in is seen."""

import sys
from collections.abc import Callable
from types import FrameType

import numpy as np
import pytest

from learners.bandits import BanditFold
from learners.model import Features, Rewards
from learners.models import make_model
from learners.policy import Policy
from storage.entry import DecisionPoint, Entry, Outcome, Resolution
from tests.learning import model_entry

OFFERS = [f"o{i}" for i in range(100)]
CHUNK = 1024
"""The largest chunk: what a model learns at once when it has seen 8,192 rewards."""
CHUNKS = 4


def features(n: int, seed: int = 0) -> list[Features]:
    names = [f"f{j}" for j in range(31)]
    return [
        dict(zip(names, row, strict=True)) for row in np.random.default_rng(seed).standard_normal((n, 31)).tolist()
    ]


def rewards(n: int) -> Rewards:
    rng = np.random.default_rng(1)
    offers = [OFFERS[i] for i in rng.integers(0, len(OFFERS), n)]
    weights = np.where(rng.random(n) < 0.3, 1.0, -1.0)
    return Rewards(offers, [None] * n, weights, np.full(n, np.nan), np.arange(n, dtype=np.int64), features(n))


def entries(n: int, start: int) -> list[Entry]:
    rng = np.random.default_rng(start)
    log = []
    for i, row in enumerate(features(n, start)):
        offer, won = OFFERS[int(rng.integers(0, len(OFFERS)))], rng.random() < 0.3
        body = Outcome("t", f"i{i}", "c", "click", "positive" if won else "negative", "inbound", delivery=False)
        resolution = Resolution(offer, "cr", "ch", None, None, "", "", "", None)
        log.append(Entry(start + i, start + i, body, resolution, DecisionPoint(0, dict(row))))
    return log


def calls(work: Callable[[], object]) -> int:
    """Return how many functions `work` calls, of Python and of C.

    Bounds stand a tenth above what was counted, for numpy's own functions change from version to version.
    """
    count = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(("name", "bound"), [("thompson_bandit", 80), ("lin_ucb", 1500), ("lin_ts", 1500)])
def test_a_chunk_is_learned_without_a_call_for_each_reward(name: str, bound: int) -> None:
    """`bound` is per 1,000 rewards: a contextual model reads each one's names, and has a product for each offer."""
    model = make_model(name, {})
    model.update(rewards(8 * CHUNK))
    chunk = rewards(CHUNK)
    assert calls(lambda: model.update(chunk)) * 1000 / CHUNK <= bound


@pytest.mark.parametrize(("name", "bound"), [("thompson_bandit", 9), ("lin_ts", 15)])
def test_the_fold_makes_a_few_calls_for_each_entry(name: str, bound: int) -> None:
    """`bound` is per entry."""
    fold = BanditFold()
    fold.apply([model_entry(1, model_type=name)])
    fold.apply(entries(8 * CHUNK, 2))
    log = entries(CHUNKS * CHUNK, 2 + 8 * CHUNK)
    assert calls(lambda: fold.apply(log)) / len(log) <= bound


@pytest.mark.parametrize(
    ("name", "bound"), [("lin_ucb", 44), ("lin_ts", 66), ("logistic_ts", 75), ("thompson_bandit", 33), ("ucb", 20)]
)
def test_a_decision_among_a_hundred_offers_makes_a_few_calls(name: str, bound: int) -> None:
    """`bound` is per decision; candidates and state have been met before."""
    model = make_model(name, {})
    model.update(rewards(2 * CHUNK))
    policy, rng, asked = Policy(model, 0, 1), np.random.default_rng(0), features(20)
    none = [None] * len(OFFERS)
    policy.rank(rng, asked[0], OFFERS, none, 1)

    def decide() -> None:
        for row in asked:
            policy.rank(rng, row, OFFERS, none, 1)

    assert calls(decide) / len(asked) <= bound
