"""A log as an evaluation needs it: what was shown out of what, how likely that was, and what it earned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from learners.model import Features, Floats, Rewards
from learners.training import chunk_size

Indices: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


class LogFacts(msgspec.Struct, frozen=True, rename="camel"):
    """What a log holds. A row is one offer that a decision put at one rank.

    Attributes:
        source: The file's name.
        lines: Lines read, those left out included.
        skipped_lines: Lines that break the format and were left out.
        decisions: Decisions of the rows.
        rows: Rows that have a reward.
        outcomes: Positive and negative outcomes.
        joined: Outcomes that count in the reward of a row.
        without_decision: Outcomes that name no decision.
        of_unknown_decisions: Outcomes that name a decision, or a rank of it, which the log does not have.
        before_decision: Outcomes that stand before their decision or are older than it.
        too_late: Outcomes that came after the window.
        too_young: Rows whose window had not passed when the log ended; they are left out.
        without_propensity: Rows whose propensity nobody knows.
        without_candidates: Rows of which nobody knows what they were chosen from.
        mean_reward: Mean reward of the rows.
        first: Time of the first line, ISO 8601.
        last: Time of the last line.
    """

    source: str
    lines: int
    skipped_lines: int
    decisions: int
    rows: int
    offers: int
    outcomes: int
    joined: int
    without_decision: int
    of_unknown_decisions: int
    before_decision: int
    too_late: int
    too_young: int
    without_propensity: int
    without_candidates: int
    mean_reward: float
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Logged:
    """n rows in the order of the log, with m candidates in all, those of row i at `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        offers: Names of the offers; elsewhere they are places in here.
        categories: The category of each, None where none is known.
        offsets: (n + 1,) int64.
        candidates: (m,) int64, offers.
        chosen: (n,) int64, where among the m candidates the offer stands that was shown.
        ranks: (n,) int64, from 1.
        propensities: (n,) float64 in (0, 1], NaN where unknown.
        known: (n,) bool, whether the candidates are known; else the offer shown stands for them.
        rewards: (n,) float64, ≥ 0.
        decisions: (n,) int64, the number of the row's decision; rows of one decision are neighbours.
        features: What was known of customer and situation, n times.
        events: (n,) int64, when in the log the decision was; comparable with `outcome_events`.
        outcomes: What models learn from, o rewards.
        outcome_events: (o,) int64.
        outcome_rows: (o,) int64, the row that each is about; -1 where there is none.
        removals: Events at which an offer was deleted, with its name.
        columns: Probabilities that the decision lines bring along for other policies, (m,) each, by name.
        facts: What the log holds.
    """

    offers: Sequence[str]
    categories: Sequence[str | None]
    offsets: Indices
    candidates: Indices
    chosen: Indices
    ranks: Indices
    propensities: Floats
    known: Flags
    rewards: Floats
    decisions: Indices
    features: Sequence[Features]
    events: Indices
    outcomes: Rewards
    outcome_events: Indices
    outcome_rows: Indices
    removals: Sequence[tuple[int, str]]
    columns: Mapping[str, Floats]
    facts: LogFacts

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def sizes(self) -> Indices:
        """The number of candidates of each row, (n,)."""
        return np.diff(self.offsets)

    def sizes_at(self, row: int) -> int:
        """Return the number of candidates of a row."""
        return int(self.offsets[row + 1] - self.offsets[row])

    @property
    def shown(self) -> Indices:
        """The offer of each row, (n,)."""
        return self.candidates[self.chosen]

    @property
    def usable(self) -> Flags:
        """Whether candidates and propensity of a row are known, (n,)."""
        return self.known & ~np.isnan(self.propensities)

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each row's candidates of (m,) values, (n,)."""
        return np.add.reduceat(values, self.offsets[:-1]) if len(values) else np.zeros(0)

    def names(self, row: int) -> tuple[list[str], list[str | None]]:
        """Return the candidates of a row and their categories."""
        codes = self.candidates[self.offsets[row] : self.offsets[row + 1]].tolist()
        return [self.offers[code] for code in codes], [self.categories[code] for code in codes]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a log in which a model stands still: it decides `rows`, then learns outcomes `start` to `end` - 1.

    After that `removed` is forgotten, if given.
    """

    rows: range
    start: int
    end: int
    removed: str | None


def segments(log: Logged) -> Iterator[Segment]:
    """Yield the parts of a log between the chunks in which a model learns (see `learners.training`)."""
    row = start = 0
    removals = [*log.removals, (np.iinfo(np.int64).max, None)]
    for event, removed in removals:
        stop = int(np.searchsorted(log.outcome_events, event))
        while stop - start >= (size := chunk_size(start)):
            after = int(np.searchsorted(log.events, log.outcome_events[start + size - 1]))
            yield Segment(range(row, after), start, start + size, None)
            row, start = after, start + size
        after = int(np.searchsorted(log.events, event))
        yield Segment(range(row, after), start, stop, removed)
        row, start = after, stop
