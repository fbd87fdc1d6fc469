"""Decisions joined with what came of them: delayed, repeated, missing and mistaken outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from learners.bandits import rewards_of
from learners.errors import EvaluationError
from learners.evaluation.columns import Columns
from learners.evaluation.logged import Flags, Indices, LogFacts, Logged
from learners.evaluation.rules import RewardRule, Timed, reward_of
from learners.features import bounded
from learners.model import Features, Floats
from storage.clock import iso
from storage.entry import Entry
from storage.line_entries import entry_of
from storage.lines import DecisionLine, OfferRemovedLine, OutcomeLine
from storage.public_log import Row


@dataclass(slots=True)
class _Shown:
    """A row as it grows; `seen` are its outcomes, in the log's order."""

    offer: int
    rank: int
    propensity: float
    seen: list[Timed] = field(default_factory=list)


@dataclass(slots=True)
class _Decided:
    """A decision; `candidates` are offers, empty where unknown, and `columns` parallel to them."""

    event: int
    time_ms: int
    features: Features
    candidates: tuple[int, ...]
    columns: tuple[tuple[float, ...], ...]
    rows: list[_Shown]


@dataclass(slots=True)
class _Learned:
    """An outcome that models learn from; `row` is its decision's number and the place of the row there."""

    event: int
    entry: Entry
    row: tuple[int, int] | None


@dataclass(slots=True)
class Counts:
    """Lines read, and what became of the outcomes that count; fields as of `LogFacts`."""

    lines: int = 0
    skipped: int = 0
    joined: int = 0
    without_decision: int = 0
    of_unknown_decisions: int = 0
    before_decision: int = 0
    too_late: int = 0


class Join:
    """The log so far. Lines come in order; one that breaks a rule leaves no trace."""

    def __init__(self, columns: Sequence[str], tenant: str | None, window_ms: int | None) -> None:
        self.counts = Counts()
        self._columns = Columns(columns)
        self._tenant = tenant
        self._owner: str | None = None
        self._window_ms = window_ms
        self._event = 0
        self._last: dict[str, int] = {}
        self._first_ms: int | None = None
        self._last_ms = 0
        self._codes: dict[str, int] = {}
        self._categories: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._early: list[str] = []
        """Decisions that outcomes named before they stood in the log."""
        self._decided: list[_Decided] = []
        self._learned: list[_Learned] = []
        self._removals: list[tuple[int, str]] = []

    def take(self, row: Row) -> None:
        """Take a line.

        Raises:
            BadLine: it breaks the format, or contradicts a line before it.
            EvaluationError: it is another tenant's than those before it.
        """
        line = row.line()
        tenant = line.tenant or ""
        if self._tenant not in (None, tenant):
            return
        self._check_tenant(row, tenant)
        if line.position is not None and line.position <= (last := self._last.get(tenant, -1)):
            raise row.bad(f"position {line.position} comes after {last}")
        match line:
            case DecisionLine():
                self._decide(row, line)
            case OutcomeLine():
                self._respond(row, line)
            case OfferRemovedLine():
                self._removals.append((self._event, line.offer_id))
        if line.position is not None:
            self._last[tenant] = line.position
        self._event += 1
        self._first_ms = line.time_ms if self._first_ms is None else min(self._first_ms, line.time_ms)
        self._last_ms = max(self._last_ms, line.time_ms)

    def _check_tenant(self, row: Row, tenant: str) -> None:
        """Check that the log is one tenant's.

        Raises:
            EvaluationError: it is not, and nobody said whose lines to take.
        """
        self._owner = tenant if self._owner is None else self._owner
        if self._owner != tenant:
            names = f"{self._owner!r}, {tenant!r}"
            raise EvaluationError(
                f"{row.path}: holds the logs of several tenants ({names}); choose one with --tenant"
            )

    def _decide(self, row: Row, line: DecisionLine) -> None:
        if line.recommendation_id in self._numbers:
            raise row.bad(f"recommendationId {line.recommendation_id} is used twice")
        if len(set(line.candidates)) < len(line.candidates):
            raise row.bad("candidates names an offer twice")
        if len({shown.rank for shown in line.decisions}) < len(line.decisions):
            raise row.bad("decisions names a rank twice")
        for shown in line.decisions:
            if line.candidates and shown.offer_id not in line.candidates:
                raise row.bad(f"offerId {shown.offer_id} of rank {shown.rank} is none of the candidates")
        columns = self._columns.read(row, line.candidates)
        rows = [
            _Shown(self._code(one.offer_id), one.rank, np.nan if one.propensity is None else one.propensity)
            for one in line.decisions
        ]
        self._numbers[line.recommendation_id] = len(self._decided)
        candidates = tuple(map(self._code, line.candidates))
        self._decided.append(_Decided(self._event, line.time_ms, bounded(line.features), candidates, columns, rows))

    def _respond(self, row: Row, line: OutcomeLine) -> None:
        number, place = self._find(row, line)
        if line.category_id is not None:
            self._categories[line.offer_id] = line.category_id
        if line.classification == "neutral":
            return
        decided = None if number is None else self._decided[number]
        if decided is not None and place is not None:
            self._reward(line, decided, decided.rows[place])
        features = None if decided is None or line.decided_at is not None else decided.features
        self._code(line.offer_id)
        about = None if number is None or place is None else (number, place)
        self._learned.append(_Learned(self._event, entry_of(line, self._event, features), about))

    def _find(self, row: Row, line: OutcomeLine) -> tuple[int | None, int | None]:
        """Return the number of an outcome's decision and the place of its row, None where nobody knows."""
        counted = line.classification != "neutral"
        if line.recommendation_id is None:
            self.counts.without_decision += counted
            return None, None
        number = self._numbers.get(line.recommendation_id)
        if number is None:
            if counted:
                self._early.append(line.recommendation_id)
            return None, None
        place = self._place(row, line, self._decided[number].rows)
        if place is None:
            self.counts.of_unknown_decisions += counted
        return number, place

    def _place(self, row: Row, line: OutcomeLine, rows: Sequence[_Shown]) -> int | None:
        """Return the row that an outcome is about: that of its rank, else the only one, else that of its offer."""
        offer = self._codes.get(line.offer_id)
        if line.rank is not None:
            fits = [place for place, shown in enumerate(rows) if shown.rank == line.rank]
        elif len(rows) == 1:
            fits = [0]
        else:
            fits = [place for place, shown in enumerate(rows) if shown.offer == offer]
        if len(fits) != 1:
            return None
        shown = rows[fits[0]].offer
        if shown != offer:
            name = next(name for name, code in self._codes.items() if code == shown)
            raise row.bad(f"offerId is {line.offer_id}, but the decision shows {name} there")
        return fits[0]

    def _reward(self, line: OutcomeLine, decided: _Decided, shown: _Shown) -> None:
        delay_ms = line.time_ms - decided.time_ms
        if delay_ms < 0:
            self.counts.before_decision += 1
        elif self._window_ms is not None and delay_ms > self._window_ms:
            self.counts.too_late += 1
        else:
            self.counts.joined += 1
            reward = max(line.weight, 0.0) if line.classification == "positive" else 0.0
            shown.seen.append((line.time_ms, reward))

    def _code(self, offer: str) -> int:
        return self._codes.setdefault(offer, len(self._codes))

    def _ripe(self, decided: _Decided) -> bool:
        """Whether all that counts for a decision must be in the log.

        A younger one is left out even if it has an outcome: with those alone that have, the mean would be too high.
        """
        return self._window_ms is None or self._last_ms - decided.time_ms >= self._window_ms

    def logged(self, rule: RewardRule, source: str) -> Logged:
        """Return the log, with the rows in it whose reward is known."""
        kept = [
            (number, place, decided, shown)
            for number, decided in enumerate(self._decided)
            if self._ripe(decided)
            for place, shown in enumerate(decided.rows)
        ]
        places = {(number, place): i for i, (number, place, *_) in enumerate(kept)}
        lists = [decided.candidates or (shown.offer,) for *_, decided, shown in kept]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
        standing = [one.index(shown.offer) for one, (*_, shown) in zip(lists, kept, strict=True)]
        rewards = np.array([reward_of(rule, shown.seen) for *_, shown in kept], np.float64)
        propensities = np.array([shown.propensity for *_, shown in kept], np.float64)
        decisions = np.array([number for number, *_ in kept], np.int64)
        known = np.array([bool(decided.candidates) for *_, decided, _ in kept], np.bool_)
        return Logged(
            offers=list(self._codes),
            categories=[self._categories.get(offer) for offer in self._codes],
            offsets=offsets,
            candidates=np.fromiter(chain.from_iterable(lists), np.int64, int(offsets[-1])),
            chosen=offsets[:-1] + np.array(standing, np.int64),
            ranks=np.array([shown.rank for *_, shown in kept], np.int64),
            propensities=propensities,
            known=known,
            rewards=rewards,
            decisions=decisions,
            features=[decided.features for *_, decided, _ in kept],
            events=np.array([decided.event for *_, decided, _ in kept], np.int64),
            outcomes=rewards_of([one.entry for one in self._learned], {}),
            outcome_events=np.array([one.event for one in self._learned], np.int64),
            outcome_rows=np.array(
                [-1 if one.row is None else places.get(one.row, -1) for one in self._learned], np.int64
            ),
            removals=self._removals,
            columns={
                name: np.array([p for *_, decided, _ in kept for p in decided.columns[i]])
                for i, name in enumerate(self._columns.names)
            },
            facts=self._facts(source, decisions, rewards, propensities, known),
        )

    def _facts(
        self, source: str, decisions: Indices, rewards: Floats, propensities: Floats, known: Flags
    ) -> LogFacts:
        counts, rows = self.counts, len(rewards)
        early = sum(name in self._numbers for name in self._early)
        return LogFacts(
            source=source,
            lines=counts.lines,
            skipped_lines=counts.skipped,
            decisions=len(np.unique(decisions)),
            rows=rows,
            offers=len(self._codes),
            outcomes=len(self._learned),
            joined=counts.joined,
            without_decision=counts.without_decision,
            of_unknown_decisions=counts.of_unknown_decisions + len(self._early) - early,
            before_decision=counts.before_decision + early,
            too_late=counts.too_late,
            too_young=sum(len(decided.rows) for decided in self._decided) - rows,
            without_propensity=int(np.isnan(propensities).sum()),
            without_candidates=int((~known).sum()),
            mean_reward=float(rewards.mean()) if rows else 0.0,
            first=iso(self._first_ms or 0),
            last=iso(self._last_ms),
        )
