"""A plain count of the log, to hold what the service counted against."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.faults.torture.history import Logged, Violation

Row = tuple[int, int, int, int, float]
"""Positive, negative, neutral, impressions, total value."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted: summaries by customer and creative, caps, roll-up and models by offer."""

    summaries: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    caps: Mapping[str, int] = field(default_factory=dict)
    rollup: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)
    """Total, positive, negative, neutral."""
    models: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Positives and negatives."""


def counted(log: Iterable[Logged], today: str) -> Counts:
    """Return the plain count of a log: of caps in this month, of the roll-up until today, of all else without end.

    Who has a pseudonym has no summary.
    """
    outcomes = [entry for entry in log if entry.kind == "outcome"]
    summaries: dict[tuple[str, str], Row] = {}
    for one in outcomes:
        if not one.customer.startswith("erased_"):
            row = summaries.get((one.customer, one.creative), (0, 0, 0, 0, 0.0))
            summaries[one.customer, one.creative] = _added(row, one)
    kinds = Counter((one.offer, one.classification) for one in outcomes)
    offers = sorted({one.offer for one in outcomes})
    until_today = Counter((one.offer, one.classification) for one in outcomes if one.date <= today)
    return Counts(
        summaries=summaries,
        caps=Counter(one.offer for one in outcomes if one.delivery and one.date[:7] == today[:7]),
        rollup={offer: (sum(three), *three) for offer in offers if any(three := _split(until_today, offer))},
        models={offer: _split(kinds, offer)[:2] for offer in offers},
    )


def _split(kinds: Mapping[tuple[str, str], int], offer: str) -> tuple[int, int, int]:
    return kinds[offer, "positive"], kinds[offer, "negative"], kinds[offer, "neutral"]


def _added(row: Row, one: Logged) -> Row:
    positive, negative, neutral, impressions, value = row
    return (
        positive + (one.classification == "positive"),
        negative + (one.classification == "negative"),
        neutral + (one.classification == "neutral"),
        impressions + one.delivery,
        value + one.value,
    )


def compare(live: Counts, plain: Counts) -> Iterator[Violation]:
    """Yield where what the service counted is not what the log says."""
    for name in ("summaries", "caps", "rollup", "models"):
        seen, expected = getattr(live, name), getattr(plain, name)
        for key in sorted({*seen, *expected}, key=str):
            who = key[0] if isinstance(key, tuple) else key
            if seen.get(key) != expected.get(key):
                text = f"{key}: {seen.get(key)}, a plain count of the log says {expected.get(key)}"
                yield Violation(name, who, text)
