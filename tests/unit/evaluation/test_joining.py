"""Decisions and what came of them: delays, repetitions, slates, and lines that contradict each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learners.errors import EvaluationError
from learners.evaluation.logged import Logged
from learners.evaluation.reading import read_logged
from learners.evaluation.rules import RewardRule
from storage.public_log import BadLine
from tests.unit.evaluation.logs import decision, outcome, write

HOUR = 3_600_000


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def reading(lines: list[dict[str, Any]], **how: Any) -> Logged:
        return read_logged(write(tmp_path / "log.ndjson", lines), **how)

    return reading


@pytest.mark.parametrize(
    ("rule", "reward"), [("earliest", 0.5), ("latest", 0.2), ("sum", 2.7), ("max", 2.0), ("mean", 0.9)]
)
def test_several_outcomes_make_one_reward(read: Any, rule: RewardRule, reward: float) -> None:
    # In the log's order they are late, early, between.
    lines = [
        decision(),
        outcome(seconds=30, weight=0.2),
        outcome(seconds=10, weight=0.5),
        outcome(seconds=20, weight=2),
    ]
    assert read(lines, reward=rule).rewards == pytest.approx([reward])


def test_of_outcomes_at_one_time_the_last_in_the_log_is_the_latest(read: Any) -> None:
    lines = [decision(), outcome(weight=0.2), outcome(weight=0.5)]
    assert read(lines, reward="latest").rewards == [0.5]
    assert read(lines, reward="earliest").rewards == [0.2]


def test_failures_earn_nothing_whatever_they_weigh(read: Any) -> None:
    lines = [decision(), outcome(weight=-2.0)]
    assert read(lines).rewards == [0.0]


def test_a_decision_without_outcome_earns_nothing(read: Any) -> None:
    logged = read([decision(0), decision(1), outcome(0)])
    assert logged.rewards.tolist() == [1.0, 0.0]


def test_an_outcome_behind_the_window_does_not_count(read: Any) -> None:
    lines = [decision(0), decision(1), outcome(0, HOUR // 1000), outcome(1, HOUR // 1000 + 1)]
    logged = read(lines, window_ms=HOUR)
    assert logged.rewards.tolist() == [1.0, 0.0]
    assert (logged.facts.joined, logged.facts.too_late) == (1, 1)


def test_decisions_younger_than_the_window_are_left_out_whether_answered_or_not(read: Any) -> None:
    young = [decision(1, 10), outcome(1, 11), decision(2, 12)]
    logged = read([decision(0, 0), *young, decision(3, 3000), decision(4, 3605)], window_ms=HOUR)
    assert logged.rewards.tolist() == [0.0]
    assert logged.facts.too_young == 4


def test_a_window_longer_than_the_log_is_an_error(read: Any) -> None:
    with pytest.raises(EvaluationError, match=r"no decision's window had passed when the log ended"):
        read([decision(), outcome()], window_ms=HOUR)


def test_each_rank_of_a_slate_is_a_row(read: Any) -> None:
    shown = [{"rank": 1, "offerId": "o2", "propensity": 0.5}, {"rank": 2, "offerId": "o1", "propensity": 0.25}]
    lines = [decision(decisions=shown), outcome(rank=2, weight=3.0), outcome(offerId="o2", weight=0.0)]
    logged = read(lines)
    assert logged.ranks.tolist() == [1, 2]
    assert logged.rewards.tolist() == [0.0, 3.0]
    assert logged.propensities.tolist() == [0.5, 0.25]
    assert logged.decisions.tolist() == [0, 0]
    assert [logged.offers[code] for code in logged.shown] == ["o2", "o1"]
    assert logged.outcome_rows.tolist() == [1, 0]


def test_neutral_outcomes_are_no_answers(read: Any) -> None:
    logged = read([decision(), outcome(classification="neutral", weight=0.0)])
    assert logged.rewards.tolist() == [0.0]
    assert (logged.facts.outcomes, logged.facts.joined) == (0, 0)


def test_what_joins_no_decision_is_counted(read: Any) -> None:
    lines = [
        decision(0, 10),
        outcome(0, 5),
        outcome(1),
        outcome(7),
        {**outcome(), "recommendationId": None},
        outcome(0, 20, rank=9),
        decision(1),
    ]
    facts = read(lines).facts
    assert facts.joined == 0
    assert facts.before_decision == 2, "by time, and by its place in the log"
    assert facts.of_unknown_decisions == 2
    assert facts.without_decision == 1


def test_an_unknown_propensity_stays_unknown(read: Any) -> None:
    logged = read([decision(decisions=[{"rank": 1, "offerId": "o1"}]), decision(1, candidates=[])])
    assert np.isnan(logged.propensities).tolist() == [True, False]
    assert logged.known.tolist() == [True, False]
    assert logged.usable.tolist() == [False, False]
    assert (logged.facts.without_propensity, logged.facts.without_candidates) == (1, 1)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (decision(), "recommendationId r0 is used twice"),
        (decision(1, candidates=["o1", "o1"]), "candidates names an offer twice"),
        (decision(1, candidates=["o2"]), "offerId o1 of rank 1 is none of the candidates"),
        (decision(1, decisions=[{"rank": 1, "offerId": "o1"}] * 2), "decisions names a rank twice"),
        (decision(1, decisions=[{"rank": 1, "offerId": "o1", "propensity": 0}]), "Expected `float` > 0"),
        (decision(1, decisions=[{"rank": 1, "offerId": "o1", "propensity": 1.1}]), "Expected `float` <= 1"),
        (decision(1, position=1), "position 1 comes after 1"),
        (outcome(offerId="o2"), "offerId is o2, but the decision shows o1 there"),
    ],
)
def test_a_line_that_contradicts_is_refused_and_leaves_no_trace(
    read: Any, second: dict[str, Any], said: str
) -> None:
    lines = [decision(position=1), second, outcome()]
    with pytest.raises(BadLine, match=said) as refused:
        read(lines)
    assert refused.value.number == 2
    told: list[BadLine] = []
    logged = read(lines, on_bad=told.append)
    assert [bad.number for bad in told] == [2]
    assert (logged.facts.skipped_lines, logged.facts.lines) == (1, 3)
    assert logged.rewards.tolist() == [1.0]


def test_columns_hold_a_distribution_over_the_candidates(read: Any) -> None:
    logged = read([decision(p=[0.25, 0.75]), decision(1, p=[1, 0])], columns=["p"])
    assert logged.columns["p"].tolist() == [0.25, 0.75, 1.0, 0.0]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({}, "column p is missing"),
        ({"p": [1.0]}, "column p has 1 probabilities for 2 candidates"),
        ({"p": [0.5, 0.6]}, "column p must sum to 1, not to 1.1"),
        ({"p": [1.5, -0.5]}, "column p must hold probabilities of 0 to 1"),
        ({"p": ["a", 1]}, "column: Expected `float`"),
        ({"p": [1.0], "candidates": []}, "column p needs the candidates it is about"),
    ],
)
def test_a_column_that_is_none_is_refused(read: Any, column: dict[str, Any], said: str) -> None:
    with pytest.raises(BadLine, match=said):
        read([decision(**column)], columns=["p"])


def test_logs_of_several_tenants_want_a_choice(read: Any) -> None:
    lines = [decision(position=5, tenant="a"), decision(position=1, tenant="b")]
    with pytest.raises(EvaluationError, match="several tenants"):
        read(lines)
    assert len(read(lines, tenant="b")) == 1
    with pytest.raises(EvaluationError, match="has no decisions of tenant c"):
        read(lines, tenant="c")


def test_models_learn_all_outcomes_with_the_features_of_their_decision(read: Any) -> None:
    lines = [
        decision(features={"tier": "gold"}),
        outcome(features={"tier": "none", "device": "mobile"}, weight=0.0),
        {**outcome(weight=2.0, value=5.0), "recommendationId": None},
    ]
    outcomes = read(lines).outcomes
    assert outcomes.features == [{"tier": "gold", "device": "mobile"}, {}]
    assert outcomes.weights.tolist() == [-1.0, 2.0], "a failure of weight 0 teaches as any other"
    assert outcomes.values.tolist() == [pytest.approx(np.nan, nan_ok=True), 5.0]
