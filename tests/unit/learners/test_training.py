"""Training: chunks, what readers see, warm starts."""

import msgspec
import pytest

from learners.bandits import BanditFold, WarmStart
from learners.errors import HistoryNeeded
from learners.models import make_model
from learners.shard import Shard, fold_log
from learners.training import Training, chunk_size
from tests.contract.test_models import stream, taught
from tests.learning import model_entry, outcome_entry


def test_chunks_grow_with_what_was_learned() -> None:
    sizes, learned = [], 0
    while learned < 20_000:
        sizes.append(chunk_size(learned))
        learned += sizes[-1]
    assert (sizes[0], sizes[-1]) == (16, 1024)
    assert sizes == sorted(sizes)
    assert all(size & (size - 1) == 0 for size in sizes)


def test_readers_see_what_waits_for_its_chunk() -> None:
    batch = stream(20)
    training = Training(lambda: make_model("thompson_bandit", {}))
    training.learn(batch.part(0, 5))
    assert training.model.arms() == taught("thompson_bandit", {}, batch.part(0, 5)).arms()
    assert training.metrics.report()["samples"] == 0
    training.learn(batch.part(5, 20))
    assert training.model.arms() == taught("thompson_bandit", {}, batch).arms()
    assert training.metrics.report()["samples"] == 16


def test_reading_in_between_leaves_no_trace() -> None:
    batch = stream(200)
    read, unread = (Training(lambda: make_model("logistic_ts", {})) for _ in range(2))
    for i in range(200):
        read.learn(batch.only(i))
        read.model.score({}, ["o1"], [None])
    unread.learn(batch)
    assert msgspec.msgpack.encode(read.state()) == msgspec.msgpack.encode(unread.state())


def test_a_warm_model_knows_all_before_it_and_learns_all_after_it() -> None:
    log = [model_entry(1, "old")]
    log += [outcome_entry(i, "o1", "positive") for i in range(2, 30)]
    log += [model_entry(30, "new", warm=True)]
    log += [outcome_entry(i, "o2", "negative") for i in range(31, 40)]
    shard = fold_log(7, [log[:10], log[10:]])
    old, new = shard.bandits.models("t")
    assert (old.training_samples, new.training_samples) == (37, 37)
    assert shard.bandits.arms("t", "old") == shard.bandits.arms("t", "new")


def test_a_warm_model_whose_history_nobody_read_is_refused_and_nothing_applied() -> None:
    shard = Shard(7)
    entries = [outcome_entry(1, "o1", "positive"), model_entry(2, warm=True)]
    before = shard.state()
    with pytest.raises(HistoryNeeded, match="position 2"):
        shard.apply(entries)
    assert shard.state() == before
    with pytest.raises(TypeError):
        WarmStart(entries[0])
    start = WarmStart(entries[1])
    start.apply(entries)
    shard.bandits.warm(entries[1], start)
    shard.apply(entries)
    assert [view.training_samples for view in shard.bandits.models("t")] == [1]


def test_a_model_that_this_code_cannot_run_is_told_and_stops_nobody() -> None:
    fold = BanditFold()
    fold.apply([model_entry(1, "m", "of_the_future"), outcome_entry(2, "o1", "positive")])
    [view] = fold.models("t")
    assert view.error is not None
    assert fold.snapshot("t") is None
    assert fold.moved_at("t") is None


@pytest.mark.parametrize(("name", "kept"), [("thompson_bandit", False), ("lin_ts", True)])
def test_what_waits_keeps_features_only_where_they_matter(name: str, kept: bool) -> None:
    training = Training(lambda: make_model(name, {}))
    training.learn(stream(3))
    assert (b"income" in msgspec.msgpack.encode(training.state())) is kept


def test_a_models_state_does_not_hang_on_who_learns_beside_it() -> None:
    outcomes = [outcome_entry(i, "o1", "positive", features={"age": 38}) for i in range(3, 9)]
    beside = fold_log(7, [[model_entry(1), model_entry(2, "other", "lin_ts", "shadow"), *outcomes]])
    alone = fold_log(7, [[model_entry(1), model_entry(2, "other", "ucb", "shadow"), *outcomes]])
    assert beside.bandits.digest("t", "m") == alone.bandits.digest("t", "m")
