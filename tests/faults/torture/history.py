"""What callers saw, held against the log, in the manner of Jepsen's set and register workloads. All of it is pure.

A request names itself twice: by its idempotency key, and by `interactionId`, which the log keeps as the caller gave
it. So every entry of the log can be traced to the requests that asked for it, answered or not.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from storage.entry import Entry, Outcome


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request, times in s; `status` is None where no answer came: nobody knows what became of it."""

    client: int
    key: str
    customer_id: str
    sent_s: float
    ended_s: float
    status: int | None
    interaction_id: str | None = None

    @property
    def acknowledged(self) -> bool:
        return self.status in (200, 201)


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, with the attempts that show it."""

    promise: str
    about: str
    history: tuple[Attempt, ...]

    def __str__(self) -> str:
        lines = [f"{self.promise}: {self.about}"]
        lines += [
            f"  {one.client}: {one.sent_s:.3f} to {one.ended_s:.3f} s, {one.key}: {one.status} {one.interaction_id}"
            for one in self.history
        ]
        return "\n".join(lines)


def check(attempts: Sequence[Attempt], entries: Sequence[Entry], positions: Sequence[int]) -> list[Violation]:
    """Return what contradicts the promises.

    Args:
        attempts: all tries of all callers, whose every request was repeated until it was acknowledged.
        entries: the tenant's outcomes in the log.
        positions: of all entries of the tenant's partition.
    """
    by_key: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_key[attempt.key].append(attempt)
    logged: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.body, Outcome):
            logged[entry.body.legacy_interaction_id or ""].append(entry)
    return [
        *_dense(positions),
        *_phantoms(by_key, logged),
        *(found for key, tries in by_key.items() for found in _once(key, tries, logged[key])),
        *_ordered(attempts, logged),
    ]


def compare(fresh: bytes, live: bytes) -> list[Violation]:
    """Return what tells a fresh fold of the log from the state that lives."""
    return [] if fresh == live else [Violation("a fresh fold of the log is what lives", "the states differ", ())]


def _dense(positions: Sequence[int]) -> Iterable[Violation]:
    for before, position in zip([0, *positions], positions, strict=False):
        if position != before + 1:
            yield Violation("positions are dense", f"{position} follows {before}", ())


def _phantoms(by_key: dict[str, list[Attempt]], logged: dict[str, list[Entry]]) -> Iterable[Violation]:
    for key in logged.keys() - by_key.keys():
        yield Violation("only what was sent is in the log", f"{key!r} was never sent", ())


def _once(key: str, tries: list[Attempt], entries: list[Entry]) -> Iterable[Violation]:
    """Nothing acknowledged is lost, nothing counts twice, a repetition is answered with the first values."""
    history = tuple(tries)
    told = {one.interaction_id for one in tries if one.acknowledged}
    ids = [entry.body.interaction_id for entry in entries if isinstance(entry.body, Outcome)]
    if told and not ids:
        yield Violation("what is acknowledged is in the log", f"{key!r} is not", history)
    if len(ids) > 1:
        yield Violation("an outcome is in the log once", f"{key!r} is there {len(ids)} times", history)
    if len(told) > 1:
        yield Violation("a repetition is answered with the first values", f"{key!r} has {len(told)} ids", history)
    if told and ids and told != set(ids):
        yield Violation("the answer tells of the log's entry", f"{key!r}: {ids[0]} is in the log", history)


def _ordered(attempts: Sequence[Attempt], logged: dict[str, list[Entry]]) -> Iterable[Violation]:
    """Whoever was answered before another request was first sent comes before it in the log."""
    first_sent: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda one: one.sent_s):
        first_sent.setdefault(attempt.key, attempt)
    ended = sorted((one for one in attempts if one.acknowledged), key=lambda one: one.ended_s)
    done, newest, holder = 0, 0, None
    for key, first in first_sent.items():
        while done < len(ended) and ended[done].ended_s < first.sent_s:
            position = max((entry.position for entry in logged[ended[done].key]), default=0)
            if position > newest:
                newest, holder = position, ended[done]
            done += 1
        own = min((entry.position for entry in logged[key]), default=None)
        if own is not None and holder is not None and own < newest and holder.key != key:
            yield Violation(
                "positions follow the order of answers",
                f"{key!r} at {own}, {holder.key!r} at {newest}",
                (holder, first),
            )
