"""State is a function of the log: any batching, any restart, any re-delivery gives the same bytes."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from learners.bandits import WarmStart
from learners.models import MODELS
from learners.shard import Shard, fold_log
from storage.entry import Entry, OfferRemoved, Outcome, pack_entry, unpack_entry
from tests.learning import model_entry, outcome_entry

CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {"pooling": 2.5},
    {"halfLife": {"events": 3}},
    {"halfLife": {"seconds": 5}},
    {"epsilon": 0.5},
    {"explore": 0.5},
    {"dim": 16},
    {"dim": 16, "shared": False},
)
TYPES = [*MODELS, "thompson_bandit", "lin_ts", "unknown"]


@st.composite
def entries_of(draw: st.DrawFn, position: int) -> Entry:
    tenant = draw(st.sampled_from(["t", "u"]))
    kind = draw(st.integers(0, 24))
    if kind <= 1:
        return model_entry(
            position,
            draw(st.sampled_from(["m", "n"])),
            draw(st.sampled_from(TYPES)),
            draw(st.sampled_from(["shadow", "champion", "archived"])),
            draw(st.sampled_from(CONFIGS)),
            draw(st.sampled_from([{}, {"click": 0.3, "dismiss": -1.7}])),
            tenant,
            reset=draw(st.booleans()),
            warm=draw(st.booleans()),
        )
    if kind == 2:
        return Entry(position, 1000 * position, OfferRemoved(tenant, draw(st.sampled_from(["o1", "o2"]))))
    outcome, classification = draw(
        st.sampled_from([("click", "positive"), ("dismiss", "negative"), ("view", "neutral")])
    )
    features = draw(st.sampled_from([{}, {"age": 30.5}, {"age": -1, "tier": "gold"}, {"income": 1e6, "new": True}]))
    offer = draw(st.sampled_from(["o1", "o2", "o3"]))
    return outcome_entry(position, offer, classification, outcome, tenant, features)  # type: ignore[arg-type]


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    first = draw(st.sampled_from(TYPES))
    made = model_entry(1, "m", first, "champion", draw(st.sampled_from(CONFIGS)))
    return [made, *(draw(entries_of(position)) for position in range(2, draw(st.integers(2, 90)) + 1))]


@settings(max_examples=120, deadline=None)
@given(entries=logs(), data=st.data())
def test_batching_restarts_and_repetitions_leave_no_trace(entries: list[Entry], data: st.DataObject) -> None:
    expected = fold_log(7, [[one] for one in entries]).state()
    assert fold_log(7, [entries]).state() == expected
    shard = Shard(7)
    while shard.position < len(entries):
        start = data.draw(st.integers(0, shard.position))  # an earlier start repeats what was applied
        end = data.draw(st.integers(shard.position + 1, len(entries)))
        for entry in shard.bandits.warm_starts(entries[shard.position : end]):
            warm = WarmStart(entry)
            warm.apply(entries)
            shard.bandits.warm(entry, warm)
        shard.apply(entries[start:end])
        if data.draw(st.booleans()):
            restarted = Shard(7)
            restarted.restore(shard.state())
            shard = restarted
    assert shard.state() == expected


@settings(max_examples=50, deadline=None)
@given(entries=logs())
def test_counts_are_those_of_a_plain_loop(entries: list[Entry]) -> None:
    log = [model_entry(1, "counted"), *(unpack_entry(pack_entry(one)) for one in entries)]
    renumbered = [Entry(i, e.time_ms, e.body, e.resolution, e.decision) for i, e in enumerate(log, 1)]
    shard = fold_log(7, [renumbered])
    counted: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        match entry.body:
            case Outcome(tenant="t", classification=classification) if entry.resolution is not None:
                counted[entry.resolution.offer_id, classification] += 1
            case OfferRemoved(tenant="t", offer_id=offer):
                for classification in ("positive", "negative"):
                    counted[offer, classification] = 0
    for arm in shard.bandits.arms("t", "counted"):
        assert arm.positives == counted[arm.offer_id, "positive"]
        assert arm.negatives == counted[arm.offer_id, "negative"]
