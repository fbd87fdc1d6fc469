"""The models against other implementations: numpy's solvers, scipy's distributions, scikit-learn's estimators."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.naive_bayes import CategoricalNB

from learners.features import Slots
from learners.hybrid import HybridRegression
from learners.model import Features, Floats, Rewards
from learners.models import make_model
from learners.models.linear_bandits import LinearBandit

D = 6
OFFERS = ["a", "b", "c"]


def numeric(n: int, seed: int = 0) -> tuple[Rewards, Floats]:
    """Return rewards on D - 1 numbers, and the numbers with a bias in front."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D - 1))
    offers = [OFFERS[i] for i in rng.integers(0, 3, n)]
    weights = np.where(rng.random(n) < special.expit(x[:, 0] + 0.3), rng.choice([1.0, 2.0], n), -1.0)
    rows: list[Features] = [{f"x{j}": float(row[j]) for j in range(D - 1)} for row in x]
    batch = Rewards(offers, [None] * n, weights, np.full(n, np.nan), np.arange(n, dtype=np.int64), rows)
    return batch, np.asarray(np.hstack([np.ones((n, 1)), x]), np.float64)


def of(batch: Rewards, offer: str) -> Floats:
    return np.array([one == offer for one in batch.offers])


def linear(name: str, **config: Any) -> LinearBandit:
    model = make_model(name, {"dim": D, "normalize": False, **config})
    assert isinstance(model, LinearBandit)
    return model


def test_lin_ucb_is_algorithm_1_by_direct_inversion() -> None:
    batch, x = numeric(400)
    model = linear("lin_ucb", shared=False, explore=0.7, priorPrecision=2.0)
    for start in range(0, 400, 50):
        model.update(batch.part(start, start + 50))
    reward = np.maximum(batch.weights, 0)
    query = np.array([1.0, *np.linspace(-1, 1, D - 1)])
    row: Features = {f"x{j}": query[j + 1] for j in range(D - 1)}
    expected = []
    for offer in OFFERS:
        own = of(batch, offer)
        inverse = np.linalg.inv(2.0 * np.eye(D) + x[own].T @ x[own])
        theta = inverse @ x[own].T @ reward[own]
        expected.append(theta @ query + 0.7 * math.sqrt(query @ inverse @ query))
    scores = model.sample(np.random.default_rng(0), row, OFFERS, [None] * 3, 1)[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-10)


def joint(batch: Rewards, x: Floats, precision: float, kept: Floats) -> tuple[Floats, Floats]:
    """Return mean and covariance of (β, θ_a, θ_b, θ_c) of the hybrid model, solved as one regression."""
    wide = np.hstack([x, *(x * of(batch, offer)[:, None] for offer in OFFERS)])
    covariance = np.linalg.inv(precision * np.eye(4 * D) + (wide * kept[:, None]).T @ wide)
    mean = covariance @ (wide * kept[:, None]).T @ np.maximum(batch.weights, 0)
    return mean, np.asarray(covariance, np.float64)


@pytest.mark.parametrize("half_life", [None, 60.0])
def test_the_hybrid_is_one_big_regression(half_life: float | None) -> None:
    batch, x = numeric(400)
    config = {} if half_life is None else {"halfLife": {"events": half_life}}
    model = linear("lin_ucb", priorPrecision=1.5, explore=1.0, **config)
    for start in range(0, 400, 50):
        model.update(batch.part(start, start + 50))
    kept = np.ones(400) if half_life is None else 0.5 ** (np.arange(399, -1, -1) / half_life)
    mean, covariance = joint(batch, x, 1.5, kept)
    query = np.array([1.0, *np.linspace(-1, 1, D - 1)])
    row: Features = {f"x{j}": query[j + 1] for j in range(D - 1)}
    expected = []
    for k in range(4):  # the fourth is an offer that was never met: the shared part and the prior
        wide = np.concatenate([query, *(query * (j == k) for j in range(3))])
        variance = wide @ covariance @ wide + (query @ query / 1.5 if k == 3 else 0.0)
        expected.append(mean @ wide + math.sqrt(variance))
    scores = model.sample(np.random.default_rng(0), row, [*OFFERS, "new"], [None] * 4, 1)[0]
    np.testing.assert_allclose(scores, expected, rtol=1e-10)


def test_lin_ts_draws_have_the_posteriors_mean_and_covariance() -> None:
    batch, x = numeric(60)
    model = linear("lin_ts", priorPrecision=1.5, explore=0.5)
    model.update(batch)
    mean, covariance = joint(batch, x, 1.5, np.ones(60))
    query = np.array([1.0, *np.linspace(-1, 1, D - 1)])
    row: Features = {f"x{j}": query[j + 1] for j in range(D - 1)}
    wide = np.array([np.concatenate([query, *(query * (j == k) for j in range(3))]) for k in range(3)])
    n = 200_000
    draws = model.sample(np.random.default_rng(4), row, OFFERS, [None] * 3, n)
    expected = 0.25 * wide @ covariance @ wide.T
    # Five standard errors of a mean, and of a covariance, whose error is at most √2 · variance / √n.
    deviation = np.sqrt(np.diag(expected).max())
    np.testing.assert_allclose(draws.mean(axis=0), wide @ mean, atol=5 * deviation / math.sqrt(n))
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=5 * math.sqrt(2) * deviation**2 / math.sqrt(n))


@pytest.mark.parametrize("name", ["lin_ts", "logistic_ts"])
def test_optimistic_draws_are_the_others_held_at_the_mean(name: str) -> None:
    batch, _ = numeric(60)
    plain, optimistic = (make_model(name, {"dim": D, "optimistic": one}) for one in (False, True))
    for model in (plain, optimistic):
        model.update(batch)
    row: Features = {"x0": 0.5}
    means = plain.score(row, OFFERS, [None] * 3)
    draws = [model.sample(np.random.default_rng(1), row, OFFERS, [None] * 3, 50) for model in (plain, optimistic)]
    np.testing.assert_allclose(draws[1], np.maximum(draws[0], means), rtol=1e-12)
    assert (draws[0] < means).any()


def test_a_removed_offer_leaves_what_it_taught_of_the_shared_part() -> None:
    batch, _ = numeric(300)
    model = linear("lin_ucb")
    model.update(batch)
    row: Features = {"x0": 0.5, "x1": -1.0}
    offers = ["b", "c", "new"]
    before = model.sample(np.random.default_rng(0), row, offers, [None] * 3, 1)
    model.remove("a")
    np.testing.assert_allclose(
        model.sample(np.random.default_rng(0), row, offers, [None] * 3, 1), before, rtol=1e-10
    )


@pytest.mark.parametrize("shared", [False, True])
def test_logistic_ts_stands_at_the_posterior_mode(shared: bool) -> None:
    batch, x = numeric(300)
    model = make_model("logistic_ts", {"dim": D, "normalize": False, "shared": shared, "priorPrecision": 0.8})
    model.update(batch)
    wide = np.hstack([x * shared, *(x * of(batch, offer)[:, None] for offer in OFFERS)])
    won, importance = batch.weights > 0, np.abs(batch.weights)

    def loss(w: Floats) -> float:
        margin = np.where(won, 1, -1) * (wide @ w)
        return float(0.4 * w @ w + (importance * np.logaddexp(0, -margin)).sum())

    def slope(w: Floats) -> Floats:
        return np.asarray(0.8 * w + wide.T @ (importance * (special.expit(wide @ w) - won)), np.float64)

    found = optimize.minimize(loss, np.zeros(4 * D), jac=slope, method="BFGS", options={"gtol": 1e-9}).x
    expected = special.expit(wide @ found)
    np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-6)
    curvature = importance * expected * (1 - expected)
    covariance = np.linalg.inv(0.8 * np.eye(4 * D) + (wide * curvature[:, None]).T @ wide)
    query = np.zeros(4 * D)
    query[[0, D] if shared else [D]] = 1.0  # the bias of offer a, and the shared one
    variance = query @ covariance @ query
    n = 100_000
    draws = special.logit(model.sample(np.random.default_rng(1), {}, ["a"], [None], n))
    # Five standard errors of a variance: √(2 / n) of it.
    assert draws.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))


def test_naive_bayes_is_scikit_learns() -> None:
    rng = np.random.default_rng(8)
    n = 500
    tiers, ages = rng.integers(0, 3, n), rng.uniform(20, 70, n)
    won = rng.random(n) < 0.3 + 0.15 * tiers
    rows: list[Features] = [{"tier": f"t{t}", "age": float(a)} for t, a in zip(tiers, ages, strict=True)]
    offers = [OFFERS[i] for i in rng.integers(0, 2, n)]
    batch = Rewards(
        offers,
        [None] * n,
        np.where(won, 1.0, -1.0),
        np.full(n, np.nan),
        np.arange(n, dtype=np.int64),
        rows,
    )
    model = make_model("bayesian", {"laplace": 0.7, "bins": {"age": [30, 45, 60]}})
    model.update(batch)
    columns = np.column_stack([tiers, np.searchsorted([30, 45, 60], ages, side="right")])
    for offer in ("a", "b"):
        own = of(batch, offer)
        share = (won[own].sum() + 0.7) / (own.sum() + 1.4)  # scikit-learn does not smooth the classes
        theirs = CategoricalNB(alpha=0.7, class_prior=[1 - share, share], min_categories=[3, 4])
        theirs.fit(columns[own], won[own])
        expected = theirs.predict_proba(columns)[:, 1]
        scores = [model.score(row, [offer], [None])[0] for row in rows]
        np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_naive_bayes_pooling_moves_a_new_offer_to_what_all_have_shown() -> None:
    rows: list[Features] = [*[{"tier": "gold"}] * 30, *[{"tier": "tin"}] * 30]
    won = np.array([1.0] * 27 + [-1.0] * 3 + [1.0] * 3 + [-1.0] * 27)
    batch = Rewards(["a"] * 60, [None] * 60, won, np.full(60, np.nan), np.arange(60), rows)
    alone, pooled = make_model("bayesian", {}), make_model("bayesian", {"pooling": 1e6})
    for model in (alone, pooled):
        model.update(batch)
    assert alone.score({"tier": "gold"}, ["new"], [None])[0] == pytest.approx(0.5)
    expected = alone.score({"tier": "gold"}, ["a"], [None])[0]
    assert pooled.score({"tier": "gold"}, ["new"], [None])[0] == pytest.approx(expected, rel=1e-4)


def test_gaussian_posteriors_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(50, 12, 80)
    config = {"mean": 40, "kappa": 2, "alpha": 3, "beta": 100}
    model = make_model("gaussian_ts", config)
    batch = Rewards(["a"] * 80, [None] * 80, np.ones(80), values, np.arange(80, dtype=np.int64), [{}] * 80)
    model.update(batch)
    kappa, alpha = 2 + 80, 3 + 40
    mean = (2 * 40 + values.sum()) / kappa
    beta = 100 + 0.5 * ((values - values.mean()) ** 2).sum() + 2 * 80 * (values.mean() - 40) ** 2 / (2 * kappa)
    posterior = stats.t(2 * alpha, mean, math.sqrt(beta / (alpha * kappa)))
    [arm] = model.arms("a")
    assert arm.parameters == pytest.approx({"mean": mean, "kappa": kappa, "alpha": alpha, "beta": beta}, rel=1e-12)
    assert (arm.ci_lower, arm.ci_upper) == pytest.approx(posterior.interval(0.95), rel=1e-12)
    draws = model.sample(np.random.default_rng(0), {}, ["a"], [None], 10_000)[:, 0]
    assert stats.kstest(draws, posterior.cdf).pvalue > 1e-4  # a right sampler fails once in 10,000 seeds


def test_gaussian_rewards_are_values_weights_and_nothing() -> None:
    model = make_model("gaussian_ts", {"kappa": 1e-9})
    batch = Rewards(
        ["a", "b", "c"],
        [None] * 3,
        np.array([1.0, 2.5, -1.0]),
        np.array([80.0, np.nan, 80.0]),
        np.arange(3, dtype=np.int64),
        [{}] * 3,
    )
    model.update(batch)
    np.testing.assert_allclose(model.score({}, ["a", "b", "c"], [None] * 3), [80.0, 2.5, 0.0], atol=1e-6)


def test_ucb_bounds_are_the_papers() -> None:
    won = [("a", 30, 100), ("b", 3, 20), ("c", 0, 5)]
    offers = [offer for offer, _, n in won for _ in range(n)]
    weights = [1.0 if i < k else -1.0 for _, k, n in won for i in range(n)]
    batch = Rewards(
        offers, [None] * 125, np.array(weights), np.full(125, np.nan), np.arange(125, dtype=np.int64), [{}] * 125
    )
    ucb1, kl = make_model("ucb", {"explore": 0.5}), make_model("ucb", {"variant": "kl_ucb"})
    for model in (ucb1, kl):
        model.update(batch)
    rng = np.random.default_rng(0)
    bounds = ucb1.sample(rng, {}, ["a", "b", "c", "new"], [None] * 4, 1)[0]
    expected = [k / n + 0.5 * math.sqrt(2 * math.log(125) / n) for _, k, n in won]
    np.testing.assert_allclose(bounds[:3], expected, rtol=1e-12)
    assert bounds[3] > bounds[:3].max()
    kl_bounds = kl.sample(rng, {}, ["a", "b", "c"], [None] * 3, 1)[0]
    for (_, k, n), bound in zip(won, kl_bounds, strict=True):
        p = k / n

        def gap(q: float, p: float = p, n: int = n) -> float:
            return float(special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)) - math.log(125) / n

        assert bound == pytest.approx(optimize.brentq(gap, max(p, 1e-12), 1 - 1e-12), abs=1e-9)


@pytest.mark.parametrize("normalize", [True, False])
def test_golden_online_learner(normalize: bool) -> None:
    weights = {"credit_score": 0.004, "income": 0.000015, "age": 0.005}
    model = make_model("online_learner", {"weights": weights, "bias": -3.2, "normalize": normalize})
    row: Features = {"credit_score": 760, "income": 95000, "age": 38}
    assert round(float(model.score(row, ["o"], [None])[0]), 4) == 0.8108


def test_online_learner_plain_steps_are_gradient_descent() -> None:
    batch, x = numeric(50)
    batch = Rewards(
        ["a"] * 50, *(getattr(batch, f) for f in ("categories", "weights", "values", "times_ms", "features"))
    )
    model = make_model("online_learner", {"normalize": False, "learningRate": 0.1, "shared": False, "bias": 0.3})
    model.update(batch)
    weights = np.zeros(D)
    for row, weight in zip(x, batch.weights, strict=True):
        weights -= 0.1 * abs(weight) * (special.expit(weights @ row) - (weight > 0)) * row
    np.testing.assert_allclose(model.predict(batch), special.expit(x @ weights), rtol=1e-9)


@pytest.mark.parametrize("name", ["online_learner", "lin_ts", "logistic_ts"])
def test_the_scale_of_a_feature_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(1)
    n = 3000
    income, share = rng.lognormal(11, 0.5, n), rng.random(n)
    won = rng.random(n) < special.expit(3 * (np.log(income) - 11) + 4 * (share - 0.5))
    scores = []
    for factor in (1.0, 1e-5):
        rows: list[Features] = [
            {"income": float(i * factor), "share": float(s)} for i, s in zip(income, share, strict=True)
        ]
        batch = Rewards(["a"] * n, [None] * n, np.where(won, 1.0, -1.0), np.full(n, np.nan), np.arange(n), rows)
        model = make_model(name, {"learningRate": 0.5} if name == "online_learner" else {})
        for start in range(0, n, 100):
            model.update(batch.part(start, start + 100))
        scores.append(model.predict(batch))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)
    u = stats.mannwhitneyu(scores[0][won], scores[0][~won]).statistic
    assert u / (won.sum() * (~won).sum()) > 0.8  # the truth's own AUC is 0.84


def test_slots_standardise_by_the_running_mean_and_deviation() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(10, 1, 300)
    slots = Slots(4, normalize=True)
    for start in range(0, 300, 70):
        slots.learn([{"income": float(v)} for v in values[start : start + 70]])
    encoded = slots.encode([{"income": float(v)} for v in values] + [{}])
    np.testing.assert_allclose(encoded[:-1, 1], (values - values.mean()) / values.std(), rtol=1e-9)
    assert encoded[-1].tolist() == [1, 0, 0, 0]


def test_slots_beyond_the_dimension_are_shared_by_hash() -> None:
    slots = Slots(3, normalize=False)
    slots.learn([{"a": 1.0, "b": 2.0, "c": 4.0, "d": "x"}])
    [row] = slots.encode([{"c": 4.0}])
    assert sorted(row.tolist()) == [0, 1, 4]
    assert slots.encode([{"d": "x"}]).sum() == 2
    assert slots.encode([{"e": 0.0}]).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("rule", "row", "expected"),
    [
        ({"field": "age", "operator": "gte", "value": 30, "points": 30}, {"age": 30}, 80),
        ({"field": "age", "operator": "lt", "value": 30, "points": 30}, {"age": 30}, 50),
        ({"field": "tier", "operator": "in", "value": ["gold", "tin"], "points": -20}, {"tier": "tin"}, 30),
        ({"field": "tier", "operator": "not_in", "value": ["gold"], "points": 9}, {"tier": "tin"}, 59),
        ({"field": "tier", "operator": "ne", "value": "gold", "points": 9}, {}, 50),
        ({"field": "age", "operator": "gt", "value": 30, "points": 9}, {"age": "40"}, 50),
        ({"field": "member", "operator": "eq", "value": True, "points": 500}, {"member": True}, 100),
        ({"field": "member", "operator": "eq", "value": True, "points": 500}, {"member": 1}, 50),
        ({"field": "offerId", "operator": "eq", "value": "a", "points": 10}, {}, 60),
        ({"field": "categoryId", "operator": "eq", "value": "c", "points": 10}, {}, 60),
    ],
)
def test_a_scorecard_adds_points(rule: dict[str, Any], row: Features, expected: float) -> None:
    model = make_model("scorecard", {"rules": [rule]})
    score = model.score(row, ["a"], ["c"])[0]
    assert score == pytest.approx(1 / (1 + math.exp(-(expected - 50) / 100 * 6)), rel=1e-12)


def test_weights_of_some_offers_are_those_of_all_bit_for_bit() -> None:
    rng = np.random.default_rng(6)
    regression = HybridRegression(D, 1.5, 0.7)
    regression.grow(40)
    regression.add(
        list(range(40)), list(range(3, 123, 3)), rng.normal(size=(120, D)), rng.random(120), np.ones(120)
    )
    solved = regression.solve()
    rows = np.array([7, 40, 7, 3])
    assert solved.weights_of(rows).tobytes() == solved.weights[rows].tobytes()
    x = rng.normal(size=D)
    few, all_rows = solved.variances(rows, x), solved.variances(np.arange(41), x)
    np.testing.assert_allclose(few, all_rows[rows], rtol=1e-12)
    np.testing.assert_allclose(solved.at(rows, x), solved.at(np.arange(41), x)[rows], rtol=1e-12)


def test_numbers_that_drown_the_prior_are_still_inverted() -> None:
    regression = HybridRegression(2, 1.0, None)
    regression.grow(1)
    regression.add([0], [1], np.array([[1e15, 1.0]]), np.ones(1), np.ones(1))
    assert np.isfinite(regression.solve().weights).all()
