"""What holds for every model, whatever its configuration."""

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from learners.errors import ConfigError
from learners.model import Model, Rewards
from learners.models import MODELS, make_model

ARMS: dict[str, Any] = {
    "thompson_bandit": {"o1": {"alpha": 22, "beta": 80}},
    "epsilon_greedy": {"o1": {"totalReward": 3, "pulls": 10}},
}
CASES = [
    (name, config)
    for name in MODELS
    for config in (
        {},
        {"arms": ARMS[name]},
        {"halfLife": {"events": 7}},
        {"halfLife": {"seconds": 90}, "arms": ARMS[name]},
        *([{"pooling": 5}, {"pooling": 3, "halfLife": {"events": 4}}] if name == "thompson_bandit" else []),
    )
]
every_model = pytest.mark.parametrize(("name", "config"), CASES, ids=str)


def stream(n: int = 200) -> Rewards:
    rng = np.random.default_rng(5)
    offers = [f"o{i}" for i in rng.integers(0, 9, n)]
    weights = rng.choice([1.0, -1.0, 0.3, -0.7, 2.5], n)
    times = np.cumsum(rng.integers(0, 30_000, n)).astype(np.int64)
    categories = [None if offer == "o8" else f"c{int(offer[1]) % 2}" for offer in offers]
    return Rewards(offers, categories, weights, np.full(n, np.nan), times, [{}] * n)


def cut(batch: Rewards, start: int, end: int) -> Rewards:
    part = slice(start, end)
    return Rewards(
        batch.offers[part],
        batch.categories[part],
        batch.weights[part],
        batch.values[part],
        batch.times_ms[part],
        batch.features[part],
    )


def bits(model: Model) -> bytes:
    return msgspec.msgpack.encode(model.state())


@every_model
def test_a_batch_is_the_sequence_of_its_rewards_bit_for_bit(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    whole, single, pieces = (make_model(name, config) for _ in range(3))
    whole.update(batch)
    for i in range(len(batch)):
        single.update(batch.only(i))
    for start, end in ((0, 1), (1, 50), (50, 50), (50, 199), (199, 200)):
        pieces.update(cut(batch, start, end))
    assert bits(whole) == bits(single) == bits(pieces)


@every_model
def test_reading_changes_nothing_and_is_finite(name: str, config: dict[str, Any]) -> None:
    model = make_model(name, config)
    model.update(stream())
    before = bits(model)
    offers, categories = ["o1", "o8", "new"], ["c1", None, "c0"]
    draws = [model.sample(np.random.default_rng(1), {}, offers, categories) for _ in range(2)]
    assert (draws[0] == draws[1]).all()
    assert np.isfinite(draws[0]).all()
    scores = model.score({}, offers, categories)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert model.arms("never met") == []
    model.summary()
    assert bits(model) == before


@every_model
def test_a_restored_model_is_the_same_and_goes_on_the_same(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model, restored = make_model(name, config), make_model(name, config)
    model.update(cut(batch, 0, 120))
    restored.restore(msgspec.msgpack.decode(bits(model)))
    assert bits(restored) == bits(model)
    for one in (model, restored):
        one.update(cut(batch, 120, 200))
    assert bits(restored) == bits(model)


@every_model
def test_counts_are_those_of_the_stream(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model = make_model(name, config)
    model.update(batch)
    won = Counter(o for o, w in zip(batch.offers, batch.weights, strict=True) if w > 0)
    lost = Counter(o for o, w in zip(batch.offers, batch.weights, strict=True) if w < 0)
    arms = {arm.offer_id: arm for arm in model.arms()}
    assert set(arms) == set(batch.offers)
    for offer, arm in arms.items():
        assert (arm.positives, arm.negatives, arm.pulls) == (won[offer], lost[offer], won[offer] + lost[offer])
        assert arm.ci_lower <= min(arm.mean, 1.0) <= arm.ci_upper
        last = [int(t) for o, t in zip(batch.offers, batch.times_ms, strict=True) if o == offer][-1]
        assert arm.last_reward_at == last


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"colour": 1}, "config.colour"),
        ({"halfLife": {"events": 1, "seconds": 1}}, "config.halfLife"),
        ({"halfLife": {"events": 0}}, "config.halfLife.events"),
        ({"seed": -1}, "config.seed"),
        ({"arms": {"o1": {}}}, "config.arms.o1"),
    ],
)
def test_a_bad_configuration_is_told_by_its_field(name: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        make_model(name, config)


def test_an_unknown_type_is_told() -> None:
    with pytest.raises(ConfigError, match="modelType must be one of"):
        make_model("oracle", {})
