"""Policies on logs with known truth: values, intervals, diagnostics and progressive losses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold

from learners.errors import EvaluationError
from learners.evaluation.estimators import ESTIMATORS, parse_estimator
from learners.evaluation.evaluation import Evaluation, PolicyEvaluation, Question, evaluate
from learners.evaluation.logged import Logged
from learners.evaluation.policies import behave, parse_policies
from learners.evaluation.reading import read_logged
from learners.evaluation.regression import predict_rewards
from learners.evaluation.reward_model import RewardModelConfig, parse_reward_model
from learners.model import Rewards
from learners.models import make_model
from learners.policy import Policy
from learners.training import Training, chunk_size
from tests.unit.evaluation.logs import decision, outcome, simulated, write

RATES = (0.1, 0.3, 0.6)
ROWS = 3_000


def load(folder: Path, lines: list[dict[str, Any]], **how: Any) -> Logged:
    return read_logged(write(folder / "log.ndjson", lines), **how)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return load(tmp_path_factory.mktemp("log"), simulated(ROWS, seed=1))


def asked(log: Logged, *policies: str, estimators: tuple[str, ...] = ("ips",), **how: Any) -> Evaluation:
    names = [parse_estimator(name) for name in estimators]
    return evaluate(log, Question(parse_policies(policies), names, resamples=200, **how))


def one(log: Logged, policy: str, *estimators: str, **how: Any) -> PolicyEvaluation:
    return asked(log, policy, estimators=estimators or ("ips",), **how).policies[0]


def test_logged_is_the_mean_reward(log: Logged) -> None:
    logged = one(log, "logged", "ips", "snips")
    assert [each.value for each in logged.estimates] == pytest.approx([log.rewards.mean()] * 2, rel=1e-12)
    assert (logged.diagnostics.ess, logged.diagnostics.mean_weight, logged.diagnostics.matched) == (ROWS, 1, 1)


@pytest.mark.parametrize(
    ("policy", "value"), [("uniform", sum(RATES) / 3), ("constant:o2", 0.6), ("constant:o0", 0.1)]
)
def test_every_estimator_finds_the_truth(log: Logged, policy: str, value: float) -> None:
    names = tuple(ESTIMATORS) if policy != "uniform" else tuple(name for name in ESTIMATORS if name != "replay")
    found = one(log, policy, *names)
    for each in found.estimates:
        assert each.value == pytest.approx(value, abs=0.06), each.estimator
        if each.anytime_lower is not None and each.anytime_upper is not None:
            assert each.anytime_lower < value < each.anytime_upper
    assert {each.estimator for each in found.estimates if each.anytime_lower is not None} <= {"ips", "replay"}


def test_a_model_learns_its_way_to_the_best_offer(log: Logged) -> None:
    model = one(log, "thompson_bandit", "ips", "replay")
    uniform = one(log, "uniform")
    by_name = {each.estimator: each.value for each in model.estimates}
    assert by_name["ips"] is not None
    assert by_name["ips"] > (uniform.estimates[0].value or 0) + 0.1
    assert by_name["replay"] == pytest.approx(0.6, abs=0.1)
    assert model.curve[-1].n == ROWS
    assert (model.curve[5].snips or 0) < (model.curve[-1].snips or 0), "it gets better"
    assert model.progressive.ips == pytest.approx(by_name["ips"], rel=1e-12)


def test_progressive_losses_are_those_of_its_predictions(log: Logged) -> None:
    (policy,) = parse_policies(["thompson_bandit"])
    predictions = behave(policy, log, replay=False, rng=np.random.default_rng(0)).predictions
    assert predictions is not None
    found = one(log, "thompson_bandit").progressive
    assert found.log_loss == pytest.approx(log_loss(log.rewards, predictions), rel=1e-9)
    assert found.auc == pytest.approx(roc_auc_score(log.rewards, predictions), abs=0.005), "from 1,024 bins"


@pytest.mark.parametrize("text", ["thompson_bandit", "lin_ts", "epsilon_greedy"])
def test_a_model_decides_by_the_chunks_it_learned_before_and_by_nothing_else(log: Logged, text: str) -> None:
    (policy,) = parse_policies([text])
    walked = behave(policy, log, replay=False, rng=np.random.default_rng(0))
    assert policy.model is not None
    kind, config = policy.model.model_type, policy.model.config
    for row in (0, 1, 7, 500, ROWS - 1):
        before, learned = int(np.searchsorted(log.outcome_events, log.events[row])), 0
        while learned + chunk_size(learned) <= before:
            learned += chunk_size(learned)
        training = Training(lambda: make_model(kind, config))
        training.learn(log.outcomes.part(0, learned))
        fresh = Policy(training.model, 0, learned).propensities(log.features[row], *log.names(row), 3)[:, 0]
        got = walked.probabilities[log.offsets[row] : log.offsets[row + 1]]
        assert got == pytest.approx(fresh, abs=1e-12)


def test_what_comes_later_changes_nothing_before(tmp_path: Path) -> None:
    lines = simulated(300, seed=2)
    (policy,) = parse_policies(["lin_ts"])
    whole = behave(policy, load(tmp_path, lines), replay=False, rng=np.random.default_rng(0))
    half = behave(policy, load(tmp_path, lines[:300]), replay=False, rng=np.random.default_rng(0))
    assert (whole.probabilities[: 3 * 150] == half.probabilities).all()
    assert whole.predictions is not None
    assert half.predictions is not None
    assert (whole.predictions[:150] == half.predictions).all()


def test_answers_do_not_hang_on_what_stands_beside(log: Logged) -> None:
    both = asked(log, "uniform", "thompson_bandit", estimators=("ips", "replay"))
    alone = asked(log, "thompson_bandit", estimators=("ips", "replay"))
    assert both.policies[1] == alone.policies[0]


def test_unknown_propensities_leave_predictions_alone(tmp_path: Path) -> None:
    lines = simulated(200, seed=3)
    for line in lines:
        for shown in line.get("decisions", []):
            shown["propensity"] = None
    found = one(load(tmp_path, lines), "thompson_bandit", "ips", "dr")
    assert [(each.value, each.ci_lower, each.anytime_lower) for each in found.estimates] == [(None, None, None)] * 2
    assert found.diagnostics.ess is None
    assert found.diagnostics.verdict.startswith("The log cannot answer this")
    assert found.progressive.log_loss is not None
    assert found.progressive.ips is None
    assert found.progressive.reward is not None


def test_rewards_beyond_one_have_anytime_bounds_in_their_own_unit(tmp_path: Path) -> None:
    lines = simulated(500, seed=4)
    for line in lines:
        if line["kind"] == "outcome":
            line["weight"] *= 40
    log = load(tmp_path, lines)
    (wide,) = one(log, "uniform", reward_bound=100.0).estimates
    (narrow,) = one(log, "uniform").estimates
    assert wide.anytime_lower is not None
    assert wide.anytime_upper is not None
    assert narrow.anytime_upper is not None
    assert wide.anytime_lower < 40 / 3 < narrow.anytime_upper < wide.anytime_upper
    with pytest.raises(EvaluationError, match="--reward-bound 10 is below a reward of the log, 40"):
        one(log, "uniform", reward_bound=10.0)


def test_slates_have_bootstrap_intervals_only(tmp_path: Path) -> None:
    shown = [{"rank": 1, "offerId": "o1", "propensity": 0.5}, {"rank": 2, "offerId": "o2", "propensity": 0.5}]
    lines = [line for n in range(20) for line in (decision(n, decisions=shown), outcome(n, rank=1 + n % 2))]
    for n, line in enumerate(lines):
        if line["kind"] == "outcome":
            line["offerId"] = f"o{1 + n // 2 % 2}"
    (ips,) = one(load(tmp_path, lines), "uniform").estimates
    assert ips.value == pytest.approx(0.5)
    assert ips.anytime_lower is None


def test_diagnostics_by_hand(tmp_path: Path) -> None:
    lines = [decision(n, p=[p, 1 - p]) for n, p in enumerate([1.0, 0.25, 0.0])]
    told = one(load(tmp_path, lines, columns=["p"]), "column:p").diagnostics
    # The weights are 2, 1/2 and 0.
    assert told.ess == pytest.approx(2.5**2 / 4.25)
    assert told.mean_weight == pytest.approx(2.5 / 3)
    assert told.max_weight == 2.0
    assert told.max_weight_share == pytest.approx(0.8)
    assert told.matched == pytest.approx(1.25 / 3)
    assert told.support_gaps == 1, "o2 was never shown"
    assert told.support_gap_share == pytest.approx(1.75 / 3)
    assert "58.3 % of what the policy would show is never shown by the log" in told.verdict
    assert "its 3 rows are worth only 1.5" in told.verdict
    assert "one row has 80 % of the weight" in told.verdict


def test_propensities_that_are_not_true_are_noticed(tmp_path: Path) -> None:
    lines = simulated(2000, seed=5)
    for line in lines:
        for shown in line.get("decisions", []):
            shown["propensity"] = {"o0": 0.2, "o1": 0.3, "o2": 0.5}[shown["offerId"]]
    verdict = one(load(tmp_path, lines), "constant:o0").diagnostics.verdict
    assert "the propensities are not those it used" in verdict


def test_a_good_log_is_called_one(log: Logged) -> None:
    assert one(log, "uniform").diagnostics.verdict.startswith("The log can answer this: its 3,000 rows are worth")


def test_an_offer_that_the_log_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="the log has no offer o9"):
        one(load(tmp_path, [decision(), outcome()]), "constant:o9")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["magic"], "must be logged, uniform, constant:OFFER, column:NAME or a model"),
        (["uniform:2"], "must be logged, uniform"),
        (["constant"], "must be followed by an offer"),
        (["column:"], "must be followed by a field's name"),
        (["uniform", "uniform"], "uniform is given twice"),
        (["lin_ts:explore=-1"], "explore"),
    ],
)
def test_what_is_no_policy_is_told(texts: list[str], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        parse_policies(texts)


def test_the_reward_model_is_the_cross_fitted_regression_of_scikit_learn(tmp_path: Path) -> None:
    log = load(tmp_path, simulated(300, seed=6))
    got = predict_rewards(log, RewardModelConfig(folds=3, seed=9, scale=False)).rewards.reshape(300, 3)
    x = np.array([features["x"] for features in log.features], np.float64)[:, None]
    names = np.array(log.offers)
    order = np.argsort(names)
    dummies = np.eye(3)[np.argsort(order)][:, 1:]  # by offer's code: indicators of all names but the first
    design = np.hstack([x, dummies[log.shown]])
    for train, test in KFold(3, shuffle=True, random_state=9).split(x):
        fitted = LogisticRegression(max_iter=1000).fit(design[train], log.rewards[train])
        for k in range(3):
            codes = log.candidates.reshape(300, 3)[test, k]
            wanted = fitted.predict_proba(np.hstack([x[test], dummies[codes]]))[:, 1]
            assert got[test, k] == pytest.approx(wanted, abs=1e-6)


def test_no_row_is_asked_of_a_model_that_has_seen_it(tmp_path: Path) -> None:
    lines = simulated(60, seed=7)
    config = RewardModelConfig(kind="ridge", folds=5)
    before = predict_rewards(load(tmp_path, lines), config).rewards.reshape(60, 3)
    lines[2 * 11 + 1]["weight"] = 50.0
    lines[2 * 11 + 1]["classification"] = "positive"
    after = predict_rewards(load(tmp_path, lines), config).rewards.reshape(60, 3)
    assert (before[11] == after[11]).all()
    assert not np.allclose(before, after)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("forest", "kind: Input should be 'auto', 'logistic' or 'ridge'"),
        ("ridge:folds=0", "folds: Input should be greater than or equal to 1"),
        ("ridge:depth=3", "depth: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_reward_model_is_told(text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        parse_reward_model(text)


def test_replay_is_what_a_live_run_would_have_earned(tmp_path: Path) -> None:
    """Li et al. 2011, theorem 1: on uniform logs, matched rows are as a live run of the same length."""
    rng = np.random.default_rng(8)
    replayed, lived = [], []
    for seed in range(12):
        lines = _uniform(1500, seed)
        found = one(load(tmp_path, lines), "epsilon_greedy:epsilon=0.3", "replay")
        replayed.append(found.estimates[0].value)
        lived.append(_live(500, rng))
    difference = stats.ttest_ind(replayed, lived)
    assert difference.pvalue > 1e-3, (replayed, lived)


def _uniform(rounds: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for n in range(rounds):
        offer = int(rng.integers(3))
        shown = [{"rank": 1, "offerId": f"o{offer}", "propensity": 1 / 3}]
        lines.append(decision(n, n, candidates=["o0", "o1", "o2"], decisions=shown))
        lines.append(outcome(n, n, float(rng.random() < RATES[offer]), offerId=f"o{offer}"))
    return lines


def _live(rounds: int, rng: np.random.Generator) -> float:
    """Return the mean reward of a model that decides and learns in chunks, as it does live."""
    (spec,) = parse_policies(["epsilon_greedy:epsilon=0.3"])
    assert spec.model is not None
    kind, config = spec.model.model_type, spec.model.config
    names = ["o0", "o1", "o2"]
    training = Training(lambda: make_model(kind, config))
    rewards: list[float] = []
    waiting: list[tuple[int, float]] = []
    learned = 0
    shares = Policy(training.model, 0, 0).propensities({}, names, [None] * 3, 1)[:, 0]
    for _ in range(rounds):
        offer = int(rng.choice(3, p=shares))
        rewards.append(float(rng.random() < RATES[offer]))
        waiting.append((offer, 1.0 if rewards[-1] else -1.0))
        if len(waiting) == chunk_size(learned):
            training.learn(_batch(waiting))
            learned, waiting = learned + len(waiting), []
            shares = Policy(training.model, 0, learned).propensities({}, names, [None] * 3, 1)[:, 0]
    return float(np.mean(rewards))


def _batch(pairs: list[tuple[int, float]]) -> Rewards:
    n = len(pairs)
    return Rewards(
        [f"o{offer}" for offer, _ in pairs],
        [None] * n,
        np.array([weight for _, weight in pairs]),
        np.full(n, np.nan),
        np.zeros(n, np.int64),
        [{}] * n,
    )
