"""Decides from histories and the log whether the promises held; in the style of Jepsen's set and register checks.

Pure: histories and entries in, violations out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from tests.faults.torture.history import REFUSED, Attempt, Away, History, Logged, Violation

RECORDS = frozenset({"respond", "bulk", "recommend"})
"""Kinds of requests that make entries of the log."""
TOUCHES_SURE = 400
"""A customer's latest 500 events are kept: with fewer before it, a conversion must have met them all."""


def check(history: History) -> list[Violation]:
    """Return every violation, none where all promises held."""
    return [one for part in CHECKS for one in part(history)]


def _operations(history: History) -> dict[int, list[Attempt]]:
    """Return the attempts that record something by operation, in the order they were sent."""
    found: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in sorted(history.attempts, key=lambda one: one.sent_at):
        if attempt.kind in RECORDS:
            found[attempt.number].append(attempt)
    return found


def _entries(history: History) -> dict[int, list[Logged]]:
    found: defaultdict[int, list[Logged]] = defaultdict(list)
    for entry in history.log:
        if entry.number:
            found[entry.number].append(entry)
    return found


def each_once(history: History) -> Iterator[Violation]:
    """Acknowledged: once in the log. Refused: never. Everything else: at most once. And nothing nobody sent."""
    operations, entries = _operations(history), _entries(history)
    for number, attempts in operations.items():
        found, key = entries.get(number, []), attempts[0].key
        positions = [entry.position for entry in found]
        if len(found) > 1:
            yield Violation("doubled", key, f"in the log at {positions}")
        if not found and any(one.acknowledged for one in attempts):
            yield Violation("lost", key, "acknowledged, and not in the log")
        if found and all(one.status in REFUSED for one in attempts):
            yield Violation("refused", key, f"every answer refused it, and the log has it at {positions}")
    for number, found in entries.items():
        if number not in operations:
            yield Violation("phantom", str(number), f"nobody sent what the log has at {found[0].position}")


def same_answers(history: History) -> Iterator[Violation]:
    """All answers to one key tell of one outcome, and one of them at most says that it was recorded just now."""
    entries = _entries(history)
    for number, attempts in _operations(history).items():
        answered = [one for one in attempts if one.acknowledged]
        ids = {one.interaction_id for one in answered}
        if len(ids) > 1:
            yield Violation("answers differ", attempts[0].key, f"interactions {sorted(ids)}")
        if sum(one.status == 201 for one in answered) > 1:
            yield Violation("recorded twice", attempts[0].key, "two answers with status 201")
        for entry in entries.get(number, []):
            if ids and entry.interaction_id not in ids:
                yield Violation(
                    "answers differ", attempts[0].key, f"the log has {entry.interaction_id}, {ids} told"
                )
        for one in answered:
            if one.position and one.position not in [entry.position for entry in entries.get(number, [])]:
                yield Violation("moved", one.key, f"acknowledged at position {one.position}")


def as_sent(history: History) -> Iterator[Violation]:
    """An entry says what its request said; but a customer that was erased has a pseudonym."""
    erased = {one.customer for one in history.attempts if one.kind == "erase"}
    operations = _operations(history)
    for number, found in _entries(history).items():
        for entry in found:
            for sent in operations.get(number, [])[:1]:
                hidden = sent.customer in erased and entry.customer.startswith("erased_")
                told = (sent.customer, sent.creative, sent.outcome)
                if told != (sent.customer if hidden else entry.customer, entry.creative, entry.outcome):
                    yield Violation("altered", sent.key, f"sent {told}, logged {entry}")


def dense(history: History) -> Iterator[Violation]:
    """Positions are 1, 2, 3 …"""
    positions = [0, *(entry.position for entry in history.log)]
    for before, after in pairwise(positions):
        if after != before + 1:
            yield Violation("gap", "", f"position {after} follows {before}")


def in_order(history: History) -> Iterator[Violation]:
    """What was acknowledged before something else was sent has the smaller position."""
    where = {number: found[0].position for number, found in _entries(history).items()}
    sent = sorted(
        ((attempts[0].sent_at, number) for number, attempts in _operations(history).items() if number in where)
    )
    answered = sorted(
        (one.answered_at, where[one.number], one.key)
        for one in history.attempts
        if one.acknowledged and one.kind in RECORDS and one.number in where
    )
    highest, key, next_ = 0, "", 0
    operations = _operations(history)
    for sent_at, number in sent:
        while next_ < len(answered) and answered[next_][0] < sent_at:
            _, position, of = answered[next_]
            highest, key = (position, of) if position > highest else (highest, key)
            next_ += 1
        if where[number] < highest:
            text = f"position {where[number]}, but {key} was acknowledged at {highest} before it was sent"
            yield Violation("reordered", operations[number][0].key, text)


def registers(history: History, read: Mapping[str, int]) -> Iterator[Violation]:
    """A register, `read` after everything, holds the last acknowledged write or one whose answer never came.

    Each register has one writer, and holds 0 before the first write.
    """
    writes: defaultdict[str, list[Attempt]] = defaultdict(list)
    for one in sorted(history.attempts, key=lambda one: one.sent_at):
        if one.kind == "write":
            writes[one.key].append(one)
    for key, value in read.items():
        acknowledged = [one.value for one in writes[key] if one.acknowledged][-1:] or [0]
        possible = {*acknowledged, *(one.value for one in writes[key] if one.status is None)}
        if value not in possible:
            yield Violation("register", key, f"reads {value}, could be {sorted(possible)}")


def erased_are_gone(history: History) -> Iterator[Violation]:
    """What was acknowledged before an erasure was asked for names the customer no more once that is done."""
    asked: dict[str, float] = {}
    for one in history.attempts:
        if one.kind == "erase" and one.acknowledged:
            asked[one.customer] = max(asked.get(one.customer, 0.0), one.sent_at)
    entries = _entries(history)
    for number, attempts in _operations(history).items():
        customer = attempts[0].customer
        done = min((one.answered_at for one in attempts if one.acknowledged), default=float("inf"))
        if done < asked.get(customer, 0.0) and any(one.customer == customer for one in entries.get(number, [])):
            yield Violation("not erased", attempts[0].key, f"the log names {customer}")


def attributed(history: History) -> Iterator[Violation]:
    """A conversion has met what the log says of its customer before it, once each.

    Before it are those of smaller positions and, where the clock was set back, of times that are not later.
    """
    erased = {one.customer for one in history.attempts if one.kind == "erase"}
    before: defaultdict[str, list[int]] = defaultdict(list)
    events: defaultdict[str, int] = defaultdict(int)
    for entry in history.log:
        if entry.kind != "outcome" or entry.customer in erased or entry.customer.startswith("erased_"):
            continue
        customer = entry.customer
        met = sum(time_ms <= entry.time_ms for time_ms in before[customer])
        if entry.touches is not None and events[customer] < TOUCHES_SURE and entry.touches != met:
            yield Violation("attribution", str(entry.number), f"{entry.touches} touches, the log has {met}")
        events[customer] += 1
        if entry.delivery or entry.classification == "positive":
            before[customer].append(entry.time_ms)


def honest(probes: Iterable[Attempt], away: Sequence[Away]) -> Iterator[Violation]:
    """Nobody is told that the service is ready while a part of it does not work."""
    for probe in probes:
        for one in away:
            if probe.status == 200 and one.began_at <= probe.sent_at and probe.answered_at <= one.ended_at:
                yield Violation(
                    "not ready", "", f"{one.part} was away, and readyz said otherwise at {probe.sent_at}"
                )


CHECKS: Sequence[Callable[[History], Iterable[Violation]]] = (
    each_once,
    same_answers,
    as_sent,
    dense,
    in_order,
    erased_are_gone,
    attributed,
)
