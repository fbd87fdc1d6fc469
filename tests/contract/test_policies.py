"""Propensities are true: what is logged for an offer at a rank is how often the policy puts it there."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from learners.model import Categories, Features, Floats, Model
from learners.models import MODELS, make_model
from learners.policy import Policy
from tests.contract.test_models import stream, taught

RANKINGS = 200_000
LEVEL = 1e-6
"""Family-wise: of a million runs of this file with other seeds, one would fail by chance."""
OFFERS = ["o0", "o1", "o2", "o3", "new", "newer"]
CATEGORIES: Categories = ["c0", "c1", "c0", "c1", None, None]
ROW: Features = {"income": 60_000.0, "age": 41, "tier": "gold"}
LIMIT = 3
CONFIGS: dict[str, dict[str, Any]] = {
    "epsilon_greedy": {"epsilon": 0.4},
    "lin_ts": {"explore": 0.3},
    "logistic_ts": {"optimistic": True},
    "scorecard": {"rules": [{"field": "offerId", "operator": "eq", "value": "o1", "points": 9}]},
}
CELLS = len(MODELS) * len(OFFERS) * LIMIT


class OneCustomer:
    """A model that always meets the same customer, so that its policy may remember the draws."""

    contextual = False

    def __init__(self, model: Model) -> None:
        self._model = model
        self.draws = model.draws

    def sample(
        self, rng: np.random.Generator, features: Features, offers: list[str], categories: Categories, n: int
    ) -> Floats:
        del features
        return self._model.sample(rng, ROW, offers, categories, n)

    def exploration(self) -> float:
        return self._model.exploration()


def policy_of(name: str) -> Policy:
    model = taught(name, CONFIGS.get(name, {}), stream(120))
    return Policy(OneCustomer(model), seed=3, version=120)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
def test_offers_are_shown_as_often_as_their_propensity_says(name: str) -> None:
    """Each count lies in the exact binomial interval of its propensity; together they fail with LEVEL at most."""
    policy, rng = policy_of(name), np.random.default_rng(17)
    expected = policy.propensities(ROW, OFFERS, CATEGORIES, LIMIT)
    np.testing.assert_allclose(expected.sum(axis=0), 1.0, rtol=1e-12)
    shown = [policy.rank(rng, ROW, OFFERS, CATEGORIES, LIMIT) for _ in range(RANKINGS)]
    places, ranks = np.array([ranked.places for ranked in shown]), np.arange(LIMIT)
    logged = np.array([ranked.propensities for ranked in shown])
    assert (logged == expected[places, ranks]).all()  # what is logged is the same
    counts = np.stack([np.bincount(places[:, rank], minlength=len(OFFERS)) for rank in ranks], axis=1)
    low, high = stats.binom.interval(1 - LEVEL / CELLS, RANKINGS, np.minimum(expected, 1.0))
    assert ((low <= counts) & (counts <= high)).all()
    assert (expected > 0).all() == (
        name in {"thompson_bandit", "epsilon_greedy", "gaussian_ts", "lin_ts", "logistic_ts"}
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_slate_has_no_offer_twice_and_is_ordered_by_score(name: str) -> None:
    policy, rng = policy_of(name), np.random.default_rng(2)
    for limit in (1, 6, 50):
        ranked = policy.rank(rng, ROW, OFFERS, CATEGORIES, limit)
        assert len(set(ranked.places.tolist())) == len(ranked.places) == min(limit, 6)
        assert (ranked.propensities > 0).all()
    by_score = [policy.rank(rng, ROW, OFFERS, CATEGORIES, 6).scores for _ in range(50)]
    ordered = sum((np.diff(scores) <= 0).all() for scores in by_score)
    assert ordered >= 20  # the others were left to chance: at most 0.4 of them, by epsilon_greedy


def test_the_propensity_of_a_draw_is_close_to_the_posterior_probability() -> None:
    """A hundred draws stand for the posterior: within five standard errors of their share."""
    model = make_model(
        "thompson_bandit", {"arms": {"a": {"alpha": 30, "beta": 70}, "b": {"alpha": 25, "beta": 75}}}
    )
    rng = np.random.default_rng(0)
    truth = (rng.beta(30, 70, 10**6) > rng.beta(25, 75, 10**6)).mean()
    shares = [Policy(model, seed, 0).propensities({}, ["a", "b"], [None, None], 1)[0, 0] for seed in range(40)]
    assert np.mean(shares) == pytest.approx(truth, abs=0.005 + 5 * (truth * (1 - truth) / 4000) ** 0.5)


def test_the_same_state_draws_the_same_in_every_process_and_another_state_does_not() -> None:
    model = make_model("thompson_bandit", {})
    first, again, later = (
        Policy(model, 1, version).propensities({}, OFFERS, CATEGORIES, 2) for version in (5, 5, 6)
    )
    assert (first == again).all()
    assert (first != later).any()


def test_equal_scores_share_their_ranks() -> None:
    model = make_model("ucb", {})  # three offers nobody has met: all tied
    shares = Policy(model, 0, 0).propensities({}, ["a", "b", "c"], [None] * 3, 2)
    np.testing.assert_allclose(shares, 1 / 3)
