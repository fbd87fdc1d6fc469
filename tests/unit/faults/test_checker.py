"""The checker of the torture finds each kind of violation in a history made up for it, and none in a good one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.torture.checker import check, honest, registers
from tests.faults.torture.counts import Counts, compare, counted
from tests.faults.torture.history import Attempt, Away, History, Logged

A = Attempt(0, "respond", "key-1", 1, "c1", 1.0, 1.5, 201, "cr1", "impression", "int_1", 1)
B = Attempt(1, "respond", "key-2", 2, "c1", 2.0, 2.5, None, "cr1", "purchase")
B_AGAIN = replace(B, sent_at=3.0, answered_at=3.5, status=200, interaction_id="int_2")
C = Attempt(0, "recommend", "rec-3", 3, "c2", 4.0, 4.5, 200, interaction_id="rec_3")
D = Attempt(0, "respond", "key-4", 4, "c2", 5.0, 5.5, None, "cr1", "click")
REFUSED = Attempt(0, "respond", "key-5", 5, "c2", 6.0, 6.5, 404, "cr1", "click")
WRITTEN = Attempt(0, "write", "register-0", 6, "", 7.0, 7.5, 200, value=1)
UNKNOWN = Attempt(0, "write", "register-0", 7, "", 8.0, 8.5, None, value=2)
LAST = Attempt(0, "write", "register-0", 8, "", 9.0, 9.5, 200, value=3)
ERASED = Attempt(0, "erase", "c9", 9, "c9", 9.0, 9.5, 200)
OF_ERASED = Attempt(0, "respond", "key-10", 10, "c9", 8.0, 8.5, 201, "cr1", "click", "int_10")

ONE = Logged(1, 1, "outcome", "c1", "cr1", "o1", "impression", "neutral", delivery=True, interaction_id="int_1")
TWO = Logged(2, 2, "outcome", "c1", "cr1", "o1", "purchase", "positive", interaction_id="int_2", touches=1)
THREE = Logged(3, 3, "decision", "c2", interaction_id="rec_3")
FOUR = Logged(4)
HIDDEN = Logged(5, 10, "outcome", "erased_1", "cr1", "o1", "click", "positive", interaction_id="int_10")

ATTEMPTS = (A, B, B_AGAIN, C, D, REFUSED, WRITTEN, UNKNOWN, LAST, OF_ERASED, ERASED)
LOG = (ONE, TWO, THREE, FOUR, HIDDEN)
GOOD = History(ATTEMPTS, LOG)


def without(entry: Logged) -> History:
    """Return the good history with another entry where `entry` was, so that positions stay dense."""
    return History(ATTEMPTS, tuple(Logged(one.position) if one is entry else one for one in LOG))


def changed(entry: Logged, **what: Any) -> History:
    return History(ATTEMPTS, tuple(replace(one, **what) if one is entry else one for one in LOG))


def also(*more: Logged | Attempt) -> History:
    attempts = tuple(one for one in more if isinstance(one, Attempt))
    return History(ATTEMPTS + attempts, LOG + tuple(one for one in more if isinstance(one, Logged)))


def kinds(history: History) -> set[str]:
    return {one.kind for one in check(history)}


def test_a_good_history_has_no_violation() -> None:
    assert check(GOOD) == []
    assert check(also(replace(ONE, position=6, number=4, outcome="click", customer="c2", delivery=False))) == [], (
        "what was never answered may be in the log"
    )


@pytest.mark.parametrize(
    ("kind", "history"),
    [
        ("lost", without(ONE)),
        ("lost", without(THREE)),
        ("lost", without(TWO)),
        ("doubled", also(replace(TWO, position=6, touches=None))),
        ("doubled", also(replace(THREE, position=6))),
        ("refused", also(replace(ONE, position=6, number=5, outcome="click", customer="c2"))),
        ("phantom", also(replace(ONE, position=6, number=77))),
        ("answers differ", also(replace(A, sent_at=9, answered_at=10, status=200, interaction_id="int_x"))),
        ("answers differ", changed(TWO, interaction_id="int_y")),
        ("recorded twice", also(replace(A, sent_at=9, answered_at=10))),
        ("moved", also(replace(A, position=2))),
        ("altered", changed(ONE, customer="c5")),
        ("altered", changed(ONE, creative="cr2")),
        ("altered", changed(ONE, outcome="click")),
        ("altered", changed(ONE, customer="erased_2")),
        ("gap", History(ATTEMPTS, LOG[:3] + LOG[4:])),
        ("gap", History(ATTEMPTS, (*LOG[:3], THREE, *LOG[3:]))),
        ("gap", History(ATTEMPTS, (ONE, THREE, TWO, FOUR, HIDDEN))),
        ("not erased", changed(HIDDEN, customer="c9")),
        ("attribution", changed(TWO, touches=0)),
        ("attribution", changed(TWO, touches=2)),
    ],
)
def test_each_kind_of_violation_is_found(kind: str, history: History) -> None:
    assert kind in kinds(history)


def test_what_was_acknowledged_before_another_was_sent_has_the_smaller_position() -> None:
    early, late = replace(ONE, position=2), replace(TWO, position=1, touches=0)
    history = History(tuple(replace(one, position=0) for one in ATTEMPTS), (late, early, THREE, FOUR, HIDDEN))
    assert kinds(history) == {"reordered"}
    at_once = tuple(
        replace(one, position=0, sent_at=0.0) if one is B else replace(one, position=0) for one in ATTEMPTS
    )
    assert check(replace(history, attempts=at_once)) == [], "sent before the other was acknowledged"


def test_what_came_before_a_conversion_by_a_clock_that_was_set_back_later_is_no_touch_of_it() -> None:
    assert kinds(changed(ONE, time_ms=2)) == {"attribution"}
    early = History(ATTEMPTS, (replace(ONE, time_ms=2), replace(TWO, touches=0), *LOG[2:]))
    assert check(early) == []


@pytest.mark.parametrize(
    ("sent_at", "answered_at", "status", "lied"),
    [(1.5, 1.9, 200, True), (1.5, 1.9, 503, False), (0.5, 1.9, 200, False), (1.5, 2.1, 200, False)],
)
def test_readiness_is_not_told_while_a_part_is_away(
    sent_at: float, answered_at: float, status: int, lied: bool
) -> None:
    probe = Attempt(0, "ready", "", 0, "", sent_at, answered_at, status)
    assert bool(list(honest([probe], [Away("redis", 1.0, 2.0)]))) == lied


@pytest.mark.parametrize(("value", "held"), [(3, True), (2, True), (1, False), (0, False), (9, False)])
def test_a_register_holds_the_last_acknowledged_write_or_one_of_unknown_fate(value: int, held: bool) -> None:
    found = list(registers(GOOD, {"register-0": value}))
    assert (not found) == held


TOMORROW = replace(ONE, offer="o2", customer="c3", date="2026-01-03")
PLAIN = counted([replace(ONE, date="2026-01-02"), replace(TWO, value=5.0), HIDDEN, TOMORROW], "2026-01-02")


def test_a_plain_count_of_the_log() -> None:
    assert (
        Counts(
            summaries={("c1", "cr1"): (1, 0, 1, 1, 5.0), ("c3", "cr1"): (0, 0, 1, 1, 0.0)},
            caps={"o1": 1, "o2": 1},
            rollup={"o1": (3, 2, 0, 1)},
            models={"o1": (2, 0), "o2": (0, 0)},
        )
        == PLAIN
    )
    assert list(compare(PLAIN, PLAIN)) == []


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("summaries", lambda: replace(PLAIN, summaries={**PLAIN.summaries, ("c1", "cr1"): (2, 0, 1, 1, 5.0)})),
        ("summaries", lambda: replace(PLAIN, summaries={**PLAIN.summaries, ("c9", "cr1"): (1, 0, 0, 0, 0.0)})),
        ("caps", lambda: replace(PLAIN, caps={"o1": 2, "o2": 1})),
        ("caps", lambda: replace(PLAIN, caps={"o2": 1})),
        ("rollup", lambda: replace(PLAIN, rollup={"o1": (4, 3, 0, 1)})),
        ("models", lambda: replace(PLAIN, models={"o1": (1, 0), "o2": (0, 0)})),
    ],
)
def test_a_count_that_is_not_the_logs_is_found(kind: str, spoil: Callable[[], Counts]) -> None:
    assert [one.kind for one in compare(spoil(), PLAIN)] == [kind]
