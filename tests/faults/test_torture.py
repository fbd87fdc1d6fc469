"""Torture in small, and the checker's own tests: it finds in made-up histories what it is there to find."""

import os
from pathlib import Path

import pytest

from storage.entry import Entry, Outcome
from tests.faults.torture.history import Attempt, check
from tests.faults.torture.run import torture
from tests.service import running

SECONDS = 60 * float(os.environ.get("TORTURE_MINUTES", "1"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))


@pytest.mark.anyio
async def test_whatever_breaks_nothing_is_lost_doubled_or_reordered(tmp_path: Path) -> None:
    with running(tmp_path / "data", REWARDLOOP_ARCHIVE_SEGMENT="2000", REWARDLOOP_LEARNERS="2") as service:
        report = await torture(service, SEED, SECONDS)
    print(report)  # noqa: T201 - what `make torture` is run for
    assert not report.violations, str(report)
    assert report.acknowledged == report.outcomes, "every caller went on until each of its outcomes was answered"


def attempt(key: str, sent_s: float, status: int | None = 201, interaction_id: str | None = None) -> Attempt:
    return Attempt(0, key, "c", sent_s, sent_s + 0.5, status, interaction_id or f"int_{key}")


def logged(position: int, key: str, interaction_id: str | None = None) -> Entry:
    body = Outcome(
        "t",
        interaction_id or f"int_{key}",
        "c",
        "click",
        "positive",
        "inbound",
        delivery=False,
        legacy_interaction_id=key,
    )
    return Entry(position, position, body)


def promises(attempts: list[Attempt], entries: list[Entry]) -> set[str]:
    return {found.promise for found in check(attempts, entries, [entry.position for entry in entries])}


def test_a_clean_history_is_clean() -> None:
    tries = [attempt("a", 0, None), attempt("a", 1, 503), attempt("a", 2, 200), attempt("b", 3)]
    assert promises(tries, [logged(1, "a"), logged(2, "b")]) == set()


@pytest.mark.parametrize(
    ("tries", "entries", "promise"),
    [
        ([attempt("a", 0)], [], "what is acknowledged is in the log"),
        ([attempt("a", 0)], [logged(1, "a"), logged(2, "a", "int_2")], "an outcome is in the log once"),
        (
            [attempt("a", 0), attempt("a", 1, 200, "int_2")],
            [logged(1, "a")],
            "a repetition is answered with the first values",
        ),
        ([attempt("a", 0)], [logged(1, "a", "int_2")], "the answer tells of the log's entry"),
        (
            [attempt("a", 0), attempt("b", 1)],
            [logged(1, "b"), logged(2, "a")],
            "positions follow the order of answers",
        ),
        ([attempt("a", 0)], [logged(2, "a")], "positions are dense"),
        ([], [logged(1, "a")], "only what was sent is in the log"),
    ],
)
def test_each_violation_is_found(tries: list[Attempt], entries: list[Entry], promise: str) -> None:
    assert promise in promises(tries, entries)


def test_what_nobody_answered_may_be_there_or_not() -> None:
    assert promises([attempt("a", 0, None)], []) == promises([attempt("a", 0, None)], [logged(1, "a")]) == set()


def test_requests_at_one_time_may_be_in_any_order() -> None:
    assert promises([attempt("a", 0), attempt("b", 0.2)], [logged(1, "b"), logged(2, "a")]) == set()
