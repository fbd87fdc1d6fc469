"""What holds for every model, whatever its configuration."""

import os
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import pytest

from learners.errors import ConfigError, FeatureError
from learners.features import Slots, bounded
from learners.model import Features, Model, Rewards
from learners.models import MODELS, make_model
from storage.entry import LARGEST_WEIGHT

STARTS: dict[str, list[dict[str, Any]]] = {
    "thompson_bandit": [
        {"arms": {"o1": {"alpha": 22, "beta": 80}}},
        {"pooling": 5},
        {"pooling": 3, "halfLife": {"events": 4}},
    ],
    "epsilon_greedy": [{"arms": {"o1": {"totalReward": 3, "pulls": 10}}}],
    "ucb": [{"variant": "kl_ucb"}],
    "gaussian_ts": [{"mean": 20, "kappa": 2, "alpha": 3, "beta": 4}],
    "bayesian": [{"laplace": 0.5, "bins": {"age": [30, 50]}}, {"pooling": 10}],
    "online_learner": [
        {"dim": 1024},
        {"dim": 1024, "weights": {"age": 0.1}, "bias": -1, "shared": False},
        {"dim": 1024, "normalize": False, "learningRate": 1e-9},
    ],
    "lin_ucb": [{"shared": False, "normalize": False, "dim": 16}, {"dim": 4}],
    "lin_ts": [{"shared": False}, {"explore": 0.1, "optimistic": True}],
    "logistic_ts": [{"shared": False}, {"dim": 4, "halfLife": {"events": 9}}],
    "scorecard": [{"rules": [{"field": "age", "operator": "gte", "value": 40, "points": 30}]}],
}
CONTEXTUAL = frozenset({"bayesian", "online_learner", "lin_ucb", "lin_ts", "logistic_ts", "scorecard"})
SEQUENTIAL = frozenset(MODELS) - {"lin_ucb", "lin_ts", "logistic_ts"}
"""Models for which a batch is the sequence of its rewards, bit for bit; the others learn a batch at once."""
CASES = [
    (name, config)
    for name in MODELS
    for config in ({}, {"halfLife": {"events": 7}}, {"halfLife": {"seconds": 90}}, *STARTS[name])
]
every_model = pytest.mark.parametrize(("name", "config"), CASES, ids=str)
ODD: dict[str, Features] = {
    "none": {},
    "huge": {"income": 1e300, "count": -(2**62)},
    "tiny": {"share": 5e-324, "zero": 0, "minus": -0.0},
    "unicode": {"städte": "Zürich 🏔", "\u202e": "x=y", "": ""},
    "long": {"n" * 5000: 1.0, "novel": "word " * 5000, "m" * 5000: "x" * 5000},
    "mixed": {"age": "unknown", "tier": 7, "member": "yes"},
    "many": {f"f{i}": float(i) for i in range(100)},
}


def features(rng: np.random.Generator, n: int) -> list[Features]:
    rows: list[Features] = []
    for _ in range(n):
        row: dict[str, Any] = {
            "income": float(rng.lognormal(11, 1)),
            "share": float(rng.random()),
            "age": int(rng.integers(18, 80)),
            "tier": str(rng.choice(["gold", "silver"])),
            "member": bool(rng.random() < 0.5),
        }
        if rng.random() < 0.2:
            del row["age"]
        if rng.random() < 0.1:
            row["tier"] = 3
        rows.append(row)
    return rows


def stream(n: int = 200, offers: int = 9) -> Rewards:
    rng = np.random.default_rng(5)
    names = [f"o{i}" for i in rng.integers(0, offers, n)]
    weights = rng.choice([1.0, -1.0, 0.3, -0.7, 2.5], n)
    times = np.cumsum(rng.integers(0, 30_000, n)).astype(np.int64)
    categories = [None if name == "o8" else f"c{int(name[1:]) % 2}" for name in names]
    values = np.where((weights > 0) & (rng.random(n) < 0.5), rng.lognormal(3, 1, n), np.nan)
    return Rewards(names, categories, weights, values, times, features(rng, n))


def bits(model: Model) -> bytes:
    return msgspec.msgpack.encode(model.state())


def taught(name: str, config: dict[str, Any], batch: Rewards, chunk: int = 64) -> Model:
    model = make_model(name, config)
    for start in range(0, len(batch), chunk):
        model.update(batch.part(start, start + chunk))
    return model


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case[0] in SEQUENTIAL], ids=str)
def test_a_batch_is_the_sequence_of_its_rewards_bit_for_bit(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    pieces = make_model(name, config)
    for start, end in ((0, 1), (1, 50), (50, 50), (50, 199), (199, 200)):
        pieces.update(batch.part(start, end))
    whole, single = taught(name, config, batch, 200), taught(name, config, batch, 1)
    assert bits(whole) == bits(single) == bits(pieces)


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case[0] not in SEQUENTIAL], ids=str)
def test_the_same_batches_give_the_same_bits_and_others_nearly_the_same(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    assert bits(taught(name, config, batch)) == bits(taught(name, config, batch))
    if name != "logistic_ts" and config.get("normalize") is False:  # sums of the same numbers, in another order
        other = taught(name, config, batch, 7)
        expected = taught(name, config, batch).predict(batch)
        np.testing.assert_allclose(other.predict(batch), expected, rtol=1e-6, atol=1e-9)


@every_model
def test_reading_changes_nothing_is_finite_and_repeats_under_a_seed(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model = taught(name, config, batch)
    assert model.contextual == (name in CONTEXTUAL)
    before = bits(model)
    offers, categories = ["o1", "o8", "new"], ["c1", None, "c0"]
    for row in ({}, batch.features[0], *ODD.values()):
        draws = [model.sample(np.random.default_rng(1), row, offers, categories, 5) for _ in range(2)]
        assert (draws[0] == draws[1]).all()
        assert draws[0].shape == (5, 3)
        scores = model.score(row, offers, categories)
        assert scores.shape == (3,)
        assert np.isfinite(draws[0]).all()
        assert np.isfinite(scores).all()
    assert model.arms("never met") == []
    assert 0 <= model.exploration() <= 1
    model.summary()
    model.predict(batch)
    assert bits(model) == before


def test_one_customer_is_encoded_as_many_are_bit_for_bit() -> None:
    rows = [*stream().features, *ODD.values()]
    for dim, normalize in ((32, True), (5, True), (32, False)):
        slots = Slots(dim, normalize=normalize)
        slots.learn(rows[:150])
        for row, vector in zip(rows, slots.encode(rows), strict=True):
            assert slots.encode_one(row).tobytes() == vector.tobytes()


@every_model
def test_predictions_are_the_scores_of_each_offer(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model = taught(name, config, batch)
    scores = [
        model.score(batch.features[i], [batch.offers[i]], [batch.categories[i]])[0] for i in range(len(batch))
    ]
    np.testing.assert_allclose(model.predict(batch), scores, rtol=1e-9, atol=1e-12)


@every_model
def test_inputs_are_never_changed(name: str, config: dict[str, Any]) -> None:
    batch, given = stream(), deepcopy(config)
    copy = deepcopy(batch)
    model = make_model(name, given)
    model.update(batch)
    model.sample(np.random.default_rng(0), batch.features[0], batch.offers[:3], batch.categories[:3], 3)
    assert given == config
    assert batch.offers == copy.offers
    assert batch.features == copy.features
    for column in ("weights", "values", "times_ms"):
        np.testing.assert_array_equal(getattr(batch, column), getattr(copy, column))


@every_model
def test_a_restored_model_is_the_same_and_goes_on_the_same(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model, restored = taught(name, config, batch.part(0, 120)), make_model(name, config)
    restored.restore(msgspec.msgpack.decode(bits(model)))
    assert bits(restored) == bits(model)
    for one in (model, restored):
        one.update(batch.part(120, 180))
        one.update(batch.part(180, 200))
    assert bits(restored) == bits(model)
    draws = [
        one.sample(np.random.default_rng(1), batch.features[0], batch.offers[:4], batch.categories[:4], 3)
        for one in (model, restored)
    ]
    assert (draws[0] == draws[1]).all()


@every_model
def test_counts_are_those_of_the_stream(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    arms = {arm.offer_id: arm for arm in taught(name, config, batch).arms()}
    won = Counter(o for o, w in zip(batch.offers, batch.weights, strict=True) if w > 0)
    lost = Counter(o for o, w in zip(batch.offers, batch.weights, strict=True) if w < 0)
    assert set(arms) == set(batch.offers)
    for offer, arm in arms.items():
        assert (arm.positives, arm.negatives, arm.pulls) == (won[offer], lost[offer], won[offer] + lost[offer])
        bounded = name not in ("lin_ucb", "lin_ts", "gaussian_ts")
        assert arm.ci_lower <= (min(arm.mean, 1.0) if bounded else arm.mean) <= arm.ci_upper
        last = [int(t) for o, t in zip(batch.offers, batch.times_ms, strict=True) if o == offer][-1]
        assert arm.last_reward_at == last
        assert all(np.isfinite(value) for value in arm.parameters.values())


@every_model
def test_a_removed_offer_is_a_new_one_and_the_rest_is_untouched(name: str, config: dict[str, Any]) -> None:
    batch = stream()
    model = taught(name, config, batch)
    row, others = batch.features[0], [f"o{i}" for i in range(9) if i != 4]
    before = model.score(row, others, [None] * 8)
    model.remove("o4")
    model.remove("never met")
    assert model.arms("o4") == []
    assert {arm.offer_id for arm in model.arms()} == set(others)
    if not config.get("pooling"):
        np.testing.assert_allclose(model.score(row, others, [None] * 8), before, rtol=1e-9, atol=1e-12)
    same = make_model(name, config)
    same.restore(msgspec.msgpack.decode(bits(model)))
    for one in (model, same):
        one.update(batch.part(0, 50))
    assert bits(same) == bits(model)
    if config.get("arms") is None:
        expected = Counter(batch.offers[:50])["o4"]
        assert [arm.pulls for arm in model.arms("o4")] == [expected]


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case[0] in CONTEXTUAL], ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None, [1]], ids=str)
def test_what_is_no_number_is_refused_and_nothing_learned(name: str, config: dict[str, Any], bad: Any) -> None:
    model = taught(name, config, stream())
    before = bits(model)
    with pytest.raises(FeatureError, match="attributes\\.bad"):
        model.score({"bad": bad}, ["o1"], [None])
    if name != "scorecard":  # it learns nothing of features
        batch = stream(3)
        odd = Rewards(
            batch.offers,
            batch.categories,
            batch.weights,
            batch.values,
            batch.times_ms,
            [batch.features[0], {"new": "x", "bad": bad}, {}],
        )
        with pytest.raises(FeatureError, match="attributes\\.bad"):
            model.update(odd)
    assert bits(model) == before


@every_model
def test_odd_features_are_learned_from(name: str, config: dict[str, Any]) -> None:
    batch = stream(len(ODD))
    odd = Rewards(batch.offers, batch.categories, batch.weights, batch.values, batch.times_ms, list(ODD.values()))
    model = taught(name, config, odd, 2)
    model.update(stream())
    for row in (*ODD.values(), stream().features[0]):
        assert np.isfinite(model.score(row, ["o1", "o2"], [None, None])).all()
    restored = make_model(name, config)
    restored.restore(msgspec.msgpack.decode(bits(model)))
    assert bits(restored) == bits(model)


@every_model
def test_the_largest_weights_leave_numbers_finite(name: str, config: dict[str, Any]) -> None:
    model = taught(name, config, stream())
    batch = stream(60)
    heavy = Rewards(
        batch.offers,
        batch.categories,
        np.sign(batch.weights) * LARGEST_WEIGHT,
        batch.values,
        batch.times_ms,
        batch.features,
    )
    for _ in range(20):
        model.update(heavy)
    model.update(stream())
    for row in stream(5).features:
        assert np.isfinite(model.score(row, ["o1", "o2"], [None, None])).all()
    assert np.isfinite(model.predict(batch)).all()


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case[0] in CONTEXTUAL], ids=str)
def test_long_texts_are_told_apart_and_not_kept(name: str, config: dict[str, Any]) -> None:
    rows: list[Features] = [{"a" * 9000 + end: "b" * 9000 + end} for end in ("x", "y")]
    kept = [bounded(row) for row in rows]
    assert max(len(text) for row in kept for item in row.items() for text in map(str, item)) <= 200
    assert kept[0] != kept[1]
    assert [bounded(row) for row in kept] == kept
    batch = stream(20)
    given = replace(batch, features=[rows[i % 2] for i in range(20)])
    shortened = replace(batch, features=[kept[i % 2] for i in range(20)])
    model, other = taught(name, config, given), taught(name, config, shortened)
    assert bits(model) == bits(other)
    assert model.score(rows[0], ["o1"], [None]) == other.score(kept[0], ["o1"], [None])
    assert b"b" * 201 not in bits(model)


@every_model
def test_a_long_stream_grows_nothing(name: str, config: dict[str, Any]) -> None:
    batch = stream(1000)
    model = taught(name, config, batch, 250)
    size = len(bits(model))
    for start in (0, 250, 500, 750):
        model.update(batch.part(start, start + 250))
    assert len(bits(model)) - size <= 16  # counters take more bytes in msgpack as they grow


def evidence(name: str, model: Model) -> float:
    """How many rewards an offer's belief is worth, as its parameters or the width of its interval tell."""
    arm = model.arms("o1")[0]
    if name == "thompson_bandit":
        return arm.parameters["alpha"] + arm.parameters["beta"] - 2
    if name == "gaussian_ts":
        return arm.parameters["kappa"] - 1
    if name == "bayesian":
        return arm.parameters["positive"] + arm.parameters["negative"]
    if name in ("lin_ucb", "lin_ts"):  # the bias's variance is 1 / (1 + evidence)
        return (2 * 1.959963984540054 / (arm.ci_upper - arm.ci_lower)) ** 2 - 1
    return arm.parameters["pulls"]


@pytest.mark.parametrize("name", sorted(frozenset(MODELS) - {"logistic_ts"}))
@pytest.mark.parametrize("half_life", [{"events": 5}, {"seconds": 12}], ids=str)
def test_forgetting_is_exact(name: str, half_life: dict[str, float]) -> None:
    extra = {"shared": False} if name in ("lin_ucb", "lin_ts") else {}
    model = make_model(name, {"halfLife": half_life, **extra})
    n = 40
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.integers(0, 9_000, n)).astype(np.int64)
    offers = [str(one) for one in rng.choice(["o1", "o2"], n)]
    batch = Rewards(offers, [None] * n, np.ones(n), np.full(n, np.nan), times, [{}] * n)
    for start in range(0, n, 7):
        model.update(batch.part(start, start + 7))
    ages = (n - 1 - np.arange(n)) / 5 if "events" in half_life else (times[-1] - times) / 12_000
    expected = sum(2.0**-age for age, offer in zip(ages, offers, strict=True) if offer == "o1")
    assert evidence(name, model) == pytest.approx(expected, rel=1e-9)


def of_one(offer: str, n: int, weight: float = 1.0) -> Rewards:
    weights, values = np.full(n, weight), np.full(n, np.nan)
    return Rewards([offer] * n, [None] * n, weights, values, np.arange(n, dtype=np.int64), [{}] * n)


@pytest.mark.parametrize("name", ["logistic_ts", "online_learner"])
def test_what_was_learned_fades_by_the_half_life(name: str) -> None:
    """Eight events of another offer at a half-life of four leave a quarter of the evidence."""
    model = make_model(name, {"halfLife": {"events": 4}, "shared": False})
    model.update(of_one("o1", 5))

    def margin() -> float:
        p = float(model.score({}, ["o1"], [None])[0])
        return float(np.log(p / (1 - p)))

    before = margin()
    if name == "logistic_ts":  # evidence e beside the prior's precision 1: the mode is k (1 + e) m / (1 + k e)
        arm = model.arms("o1")[0]
        logits = [float(np.log(p / (1 - p))) for p in (arm.ci_lower, arm.ci_upper)]
        e = (2 * 1.959963984540054 / (logits[1] - logits[0])) ** 2 - 1
        expected = 0.25 * (1 + e) * before / (1 + 0.25 * e)
    else:
        expected = before / 4
    model.update(of_one("o2", 8))
    assert margin() == pytest.approx(expected, rel=1e-9)
    model.update(of_one("o2", 400))
    assert margin() == pytest.approx(0.0, abs=1e-12)


STATE_OF = """
from tests.contract.test_models import STARTS, bits, stream, taught
from hashlib import sha256
from learners.models import MODELS
for name in MODELS:
    print(name, sha256(bits(taught(name, STARTS[name][0], stream()))).hexdigest())
"""


def test_states_are_the_same_in_every_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STATE_OF], env=environment, capture_output=True, text=True, check=True
    )
    here = [f"{name} {sha256(bits(taught(name, STARTS[name][0], stream()))).hexdigest()}" for name in MODELS]
    assert done.stdout.split("\n")[:-1] == here


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"colour": 1}, "config.colour"),
        ({"halfLife": {"events": 1, "seconds": 1}}, "config.halfLife"),
        ({"halfLife": {"events": 0}}, "config.halfLife.events"),
        ({"seed": -1}, "config.seed"),
        ({"seed": float("nan")}, "config.seed"),
    ],
)
def test_a_bad_configuration_is_told_by_its_field(name: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        make_model(name, config)


@pytest.mark.parametrize(
    ("name", "config", "field"),
    [
        ("thompson_bandit", {"arms": {"o1": {}}}, "config.arms.o1"),
        ("epsilon_greedy", {"arms": {"o1": {"pulls": -1, "totalReward": 0}}}, "config.arms.o1.pulls"),
        ("ucb", {"variant": "ucb9"}, "config.variant"),
        ("gaussian_ts", {"kappa": 0}, "config.kappa"),
        ("bayesian", {"bins": {"age": [3, 2]}}, "config.bins"),
        ("online_learner", {"learningRate": 0}, "config.learningRate"),
        ("lin_ucb", {"dim": 4097}, "config.dim"),
        ("lin_ts", {"priorPrecision": 0}, "config.priorPrecision"),
        ("logistic_ts", {"explore": -1}, "config.explore"),
        ("scorecard", {"min": 1, "max": 1}, "config"),
        ("scorecard", {"rules": [{"field": "a", "operator": "in", "value": 3, "points": 1}]}, "config.rules.0"),
    ],
)
def test_a_rule_of_one_type_is_told_by_its_field(name: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        make_model(name, config)


def test_an_unknown_type_is_told() -> None:
    with pytest.raises(ConfigError, match="modelType must be one of"):
        make_model("oracle", {})
