"""Vowpal Wabbit's Decision-Service JSON as a public log: contextual bandits, CCB and slates.

The format is what the project's wiki and its parser say of it (VowpalWabbit/vowpal_wabbit, wiki page DSJSON and
`parse_example_json.cc`, release 9.11): an event a line, with the actions in `_multi`, the action taken, how likely
it was, and its cost, which is the reward with the sign changed. Events name no customer, so each is a customer of
its own.

Warning:
    What the actions are like is left behind: in a public log an offer is an id, and the catalogue describes it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from storage.clock import iso, parse_iso
from storage.entry import Scalar
from storage.importers.vw_event import Choice, Event
from storage.importers.vw_features import flatten
from storage.line_files import check_length, read_texts
from storage.public_log import BadLine, DecisionLine, OutcomeLine, Shown

REWARD: Final = "reward"
NO_REWARD: Final = "no_reward"

_CHECKPOINT: Final = b"[CHECKPOINT"
"""So begins the line in which the Decision Service notes how far it was; it is no event."""

_decoder: Final = msgspec.json.Decoder(Event)


@dataclass(slots=True)
class _Reader:
    """What the lines so far say about the next one."""

    path: Path
    time: str = iso(0)
    dropped: float | None = None
    seen: dict[str, int] = field(default_factory=dict)
    """The number of the line of each event."""
    unshown: int = 0
    relabelled: int = 0

    def lines(self, number: int, text: bytes) -> list[DecisionLine | OutcomeLine]:
        """Return what an event becomes: a decision for each slot, each with its outcome if there was one.

        Raises:
            ValueError: The line is not an event for a log; msgspec.DecodeError is one, too.
            RecursionError: It is nested more deeply than JSON can be read.
        """
        event = _decoder.decode(text)
        event_id = event.event_id or f"{self.path.name.partition('.')[0]}-{number}"
        choices = event.choices()
        time = self.time if event.timestamp is None else iso(parse_iso(event.timestamp))
        features = flatten(event.context or {})
        lines = [line for choice in choices for line in _lines(event, event_id, time, features, choice)]
        self._check_dropped(event.dropped or 0.0)
        if event_id in self.seen:
            raise ValueError(f"EventId {event_id!r:.80} was on line {self.seen[event_id]} already")
        self.seen[event_id] = number
        self.time = time
        self.relabelled += event.was_relabelled
        if event.was_shown:
            return lines
        self.unshown += 1
        return []

    def _check_dropped(self, dropped: float) -> None:
        if not 0 <= dropped < 1:
            raise ValueError(f"pdrop is {dropped:g}, not at least 0 and below 1")
        if self.dropped is None:
            self.dropped = dropped
        elif dropped != self.dropped:
            raise ValueError(
                f"pdrop is {dropped:g} after {self.dropped:g}: decisions have no weight in a public log, "
                "so all must have been kept with the same probability"
            )

    def notes(self) -> Iterator[str]:
        """Yield what the log does not say about itself."""
        if self.dropped:
            yield (
                f"pdrop is {self.dropped:g}: {1 - self.dropped:.3g} of the events were kept, at random; "
                "means are right, counts and sums are too small by that factor"
            )
        if self.unshown:
            yield f"events left out, since nothing activated them (_skipLearn, _deferred): {self.unshown:,}"
        if self.relabelled:
            yield f"events with another _original_label_cost than _label_cost, which was taken: {self.relabelled:,}"


def _lines(
    event: Event, event_id: str, time: str, shared: dict[str, Scalar], choice: Choice
) -> Iterator[DecisionLine | OutcomeLine]:
    recommendation_id = event_id if event.outcomes is None else f"{event_id}/{choice.rank}"
    slot = {f"slot.{name}": value for name, value in flatten(choice.slot).items()}
    decision = DecisionLine(
        time=time,
        customer_id=event_id,
        features=shared | slot,
        recommendation_id=recommendation_id,
        model_key=event.model,
        candidates=choice.candidates,
        decisions=[Shown(choice.rank, choice.offer_id, None, choice.propensity)],
    )
    yield decision
    if choice.observed:
        won = choice.reward > 0
        yield OutcomeLine(
            time=time,
            customer_id=event_id,
            # Once more, so that an outcome teaches as much where it is sent without its decision.
            features=decision.features,
            interaction_id=f"int-{recommendation_id}",
            recommendation_id=recommendation_id,
            rank=choice.rank,
            offer_id=choice.offer_id,
            outcome=REWARD if won else NO_REWARD,
            classification="positive" if won else "negative",
            weight=choice.reward if won else -1.0,
            value=choice.reward,
        )


def read_dsjson(
    path: Path,
    on_bad: Callable[[BadLine], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[DecisionLine | OutcomeLine]:
    """Yield a decision line for each choice of each event, and an outcome line where a reward was observed.

    Ids are those of the events; an event without one is named by the file and its line, so that importing twice
    makes the same log. All ids are kept in memory, to find the events that are there twice.

    Args:
        path: The file, plain or with `.gz` or `.zst` at the end of its name.
        on_bad: Is given each line that cannot be used, which is then left out. Without it the first ends the
            reading.
        on_note: Is told at the end what one has to know about the log and cannot see in it.

    Raises:
        BadLine: A line cannot be used and there is no `on_bad`.
        DamagedFile: The file cannot be read on from here.
    """
    reader = _Reader(path)
    for number, text in read_texts(path):
        if text.startswith(_CHECKPOINT):
            continue
        try:
            check_length(text)
            yield from reader.lines(number, text)
        except (ValueError, RecursionError) as error:
            bad = BadLine(path, number, str(error))
            if on_bad is None:
                raise bad from error
            on_bad(bad)
    if on_note is not None:
        for note in reader.notes():
            on_note(f"{path}: {note}")
