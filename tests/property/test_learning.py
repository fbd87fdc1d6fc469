"""State is a function of the log: any batching, any restart, any re-delivery gives the same bytes."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from learners.shard import Shard, fold_log
from storage.entry import Entry, Outcome, pack_entry, unpack_entry
from tests.learning import model_entry, outcome_entry

CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {"pooling": 2.5},
    {"halfLife": {"events": 3}},
    {"halfLife": {"seconds": 5}},
    {"epsilon": 0.5},
)


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    entries = []
    for position in range(1, draw(st.integers(1, 60)) + 1):
        tenant = draw(st.sampled_from(["t", "u"]))
        if draw(st.integers(0, 5)) == 0:
            entries.append(
                model_entry(
                    position,
                    draw(st.sampled_from(["m", "n"])),
                    draw(st.sampled_from(["thompson_bandit", "epsilon_greedy", "unknown"])),
                    draw(st.sampled_from(["shadow", "champion", "archived"])),
                    draw(st.sampled_from(CONFIGS)),
                    draw(st.sampled_from([{}, {"click": 0.3, "dismiss": -1.7}])),
                    tenant,
                )
            )
        else:
            outcome, classification = draw(
                st.sampled_from([("click", "positive"), ("dismiss", "negative"), ("view", "neutral")])
            )
            offer = draw(st.sampled_from(["o1", "o2", "o3"]))
            entries.append(outcome_entry(position, offer, classification, outcome, tenant))  # type: ignore[arg-type]
    return entries


@settings(max_examples=200, deadline=None)
@given(entries=logs(), data=st.data())
def test_batching_restarts_and_repetitions_leave_no_trace(entries: list[Entry], data: st.DataObject) -> None:
    expected = fold_log(7, [[one] for one in entries]).state()
    assert fold_log(7, [entries]).state() == expected
    shard = Shard(7)
    while shard.position < len(entries):
        start = data.draw(st.integers(0, shard.position))  # an earlier start repeats what was applied
        end = data.draw(st.integers(shard.position + 1, len(entries)))
        shard.apply(entries[start:end])
        if data.draw(st.booleans()):
            restarted = Shard(7)
            restarted.restore(shard.state())
            shard = restarted
    assert shard.state() == expected


@settings(max_examples=100, deadline=None)
@given(entries=logs())
def test_counts_are_those_of_a_plain_loop(entries: list[Entry]) -> None:
    log = [model_entry(1, "counted"), *(unpack_entry(pack_entry(one)) for one in entries)]
    renumbered = [Entry(i, e.time_ms, e.body, e.resolution, e.decision) for i, e in enumerate(log, 1)]
    shard = fold_log(7, [renumbered])
    fold = shard.folds["bandits"]
    counted: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if isinstance(entry.body, Outcome) and entry.body.tenant == "t" and entry.resolution is not None:
            counted[entry.resolution.offer_id, entry.body.classification] += 1
    for arm in fold.arms("t", "counted"):  # type: ignore[attr-defined]
        assert arm.positives == counted[arm.offer_id, "positive"]
        assert arm.negatives == counted[arm.offer_id, "negative"]
