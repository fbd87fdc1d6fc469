"""The models against published numbers, closed forms and other implementations."""

import doctest
import importlib
import math

import numpy as np
import pytest
from scipy import integrate, stats

from learners.errors import ConfigError
from learners.models import MODELS, check_outcome_weights, make_model
from tests.learning import rewards


@pytest.mark.parametrize(("alpha", "beta", "mean"), [(22, 80, 0.2157), (65, 38, 0.6311), (12, 90, 0.1176)])
def test_golden_beta_means(alpha: float, beta: float, mean: float) -> None:
    model = make_model("thompson_bandit", {"arms": {"o": {"alpha": alpha, "beta": beta}}})
    assert round(float(model.score({}, ["o"], [None])[0]), 4) == mean


def test_golden_exploration_rate_after_300_pulls() -> None:
    model = make_model("epsilon_greedy", {"epsilon": 0.1, "decayRate": 0.001})
    model.update(rewards(*[("o", 1.0)] * 300))
    assert round(model.summary()["explorationRate"], 4) == 0.0769
    assert model.summary()["totalPulls"] == 300


def test_the_beta_posterior_is_scipys() -> None:
    model = make_model("thompson_bandit", {"priorAlpha": 2, "priorBeta": 3})
    model.update(rewards(*[("o", 1.0)] * 7, *[("o", -1.0)] * 20, ("o", 2.5), ("o", -0.5)))
    [arm] = model.arms("o")
    posterior = stats.beta(2 + 7 + 2.5, 3 + 20 + 0.5)
    assert arm.mean == pytest.approx(posterior.mean(), rel=1e-12)
    assert (arm.ci_lower, arm.ci_upper) == pytest.approx(posterior.interval(0.95), rel=1e-9)
    assert arm.parameters == {"alpha": 11.5, "beta": 23.5}


def test_thompson_draws_choose_as_often_as_an_arm_is_best() -> None:
    arms = {"a": (22, 80), "b": (12, 40), "c": (5, 30)}
    model = make_model("thompson_bandit", {"arms": {o: {"alpha": a, "beta": b} for o, (a, b) in arms.items()}})
    rng, n = np.random.default_rng(11), 20_000
    chosen = np.bincount(model.sample(rng, {}, list(arms), [None] * 3, n).argmax(axis=1), minlength=3)
    posteriors = [stats.beta(a, b) for a, b in arms.values()]
    for i, posterior in enumerate(posteriors):
        others = [p for j, p in enumerate(posteriors) if j != i]

        def best(x: float, own: object = posterior, rest: list[object] = others) -> float:
            return float(own.pdf(x) * math.prod(p.cdf(x) for p in rest))  # type: ignore[attr-defined]

        share, _ = integrate.quad(best, 0, 1)
        # Five standard errors of a binomial share: a right sampler fails once in two million runs.
        assert chosen[i] / n == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / n))


def test_epsilon_greedy_explores_at_its_rate_and_starts_unpulled_at_1() -> None:
    model = make_model("epsilon_greedy", {"epsilon": 0.5, "decayRate": 0})
    model.update(rewards(("a", 1.0), ("a", -1.0), ("b", -1.0)))
    assert model.score({}, ["a", "b", "new"], [None] * 3).tolist() == [0.5, 0.0, 1.0]
    assert model.exploration() == 0.5


def test_wilsons_interval_is_scipys() -> None:
    model = make_model("epsilon_greedy", {})
    model.update(rewards(*[("o", 1.0)] * 9, *[("o", -1.0)] * 31))
    [arm] = model.arms("o")
    expected = stats.binomtest(9, 40).proportion_ci(0.95, method="wilson")
    assert (arm.ci_lower, arm.ci_upper) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_evidence_halves_after_a_half_life_of_events() -> None:
    model = make_model("thompson_bandit", {"halfLife": {"events": 10}})
    model.update(rewards(*[("o", 1.0)], *[("other", -1.0)] * 10))
    assert model.arms("o")[0].parameters == {"alpha": 1.5, "beta": 1.0}
    many = make_model("thompson_bandit", {"halfLife": {"events": 10}})
    many.update(rewards(*[("o", 1.0)] * 50))
    closed_form = sum(2.0 ** (-k / 10) for k in range(50))
    assert many.arms("o")[0].parameters["alpha"] == pytest.approx(1 + closed_form, rel=1e-12)


def test_evidence_halves_after_a_half_life_of_seconds() -> None:
    for name, key in (("thompson_bandit", "alpha"), ("epsilon_greedy", "totalReward")):
        model = make_model(name, {"halfLife": {"seconds": 60}})
        model.update(rewards(("o", 4.0), ("other", -1.0), times_ms=[1_000, 121_000]))
        assert model.arms("o")[0].parameters[key] == pytest.approx(1.0 + (key == "alpha"), rel=1e-12)


def test_a_new_offer_starts_from_its_category() -> None:
    model = make_model("thompson_bandit", {"pooling": 10})
    model.update(rewards(*[("a", 1.0)] * 3, *[("a", -1.0)] * 5, category="cat"))
    # The category's posterior mean is (1 + 3) / (2 + 8) = 0.4: 4 and 6 of the 10 pseudo-counts.
    assert model.score({}, ["b", "stranger"], ["cat", None]).tolist() == pytest.approx([5 / 12, 0.5])
    model.update(rewards(("b", 1.0), category="cat"))
    assert model.arms("b")[0].parameters == pytest.approx({"alpha": 6.0, "beta": 7.0})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"click": 0.0}, "outcomeWeights.click must be greater than 0"),
        ({"click": -1.0}, "outcomeWeights.click must be greater than 0"),
        ({"dismiss": 2.0}, "outcomeWeights.dismiss must be less than 0"),
        ({"click": math.inf}, "outcomeWeights.click must be greater than 0"),
        ({"view": 1.0}, "outcomeWeights.view must not be given"),
    ],
)
def test_weights_have_the_sign_of_their_outcome(weights: dict[str, float], message: str) -> None:
    classes = {"click": "positive", "dismiss": "negative", "view": "neutral"}
    check_outcome_weights({"click": 2.0, "dismiss": -0.5}, classes)
    with pytest.raises(ConfigError, match=message):
        check_outcome_weights(weights, classes)


@pytest.mark.parametrize(
    "name",
    [
        "learners.model",
        "learners.features",
        "learners.intervals",
        "learners.metrics",
        "learners.training",
        *(model.__module__ for _, model in MODELS.values() if isinstance(model, type)),
        "storage.clock",
        "serve.respond",
    ],
)
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
