"""Shards and the fold of all models: order, gaps, changes of models."""

import msgspec
import pytest

from learners.bandits import BanditFold
from learners.errors import CheckpointError, PositionGap
from learners.shard import Shard
from tests.learning import model_entry, outcome_entry


def test_an_entry_counts_once_however_often_it_comes() -> None:
    shard = Shard(3)
    entries = [model_entry(1), outcome_entry(2, "o", "positive"), outcome_entry(3, "o", "negative")]
    assert shard.apply(entries[:2]) == 2
    assert shard.apply(entries) == 1
    assert shard.apply(entries) == 0
    assert shard.position == 3


def test_a_gap_is_told_after_what_came_before_it() -> None:
    shard = Shard(3)
    with pytest.raises(PositionGap, match="position 2 is missing"):
        shard.apply([model_entry(1), outcome_entry(3, "o", "positive")])
    assert shard.position == 1
    with pytest.raises(PositionGap):
        shard.apply([outcome_entry(5, "o", "positive")])


@pytest.mark.parametrize(
    "state",
    [b"", b"\xc1", msgspec.msgpack.encode([1, 4, 0, {}]), msgspec.msgpack.encode([99, 3, 0, {}]), b"\x01"],
)
def test_a_strange_checkpoint_is_refused(state: bytes) -> None:
    with pytest.raises(CheckpointError):
        Shard(3).restore(state)


def fold(*entries: object) -> BanditFold:
    made = BanditFold()
    made.apply(entries)  # type: ignore[arg-type]
    return made


def pulls(made: BanditFold, tenant: str = "t", model: str = "m") -> int:
    return sum(arm.pulls for arm in made.arms(tenant, model))


def test_models_learn_from_their_creation_on_and_of_their_tenant_alone() -> None:
    made = fold(
        outcome_entry(1, "o", "positive"),
        model_entry(2),
        outcome_entry(3, "o", "positive"),
        outcome_entry(4, "o", "positive", tenant="u"),
        model_entry(5, tenant="u"),
        outcome_entry(6, "o", "neutral"),
    )
    assert pulls(made) == 1
    assert pulls(made, "u") == 0
    view = made.model("t", "m")
    assert view is not None
    assert (view.training_samples, view.last_trained_at, view.position) == (1, 3000, 3)
    assert made.models("nobody") == []
    assert made.model("t", "none") is None


def test_draft_and_archived_models_do_not_learn_and_keep_what_they_know() -> None:
    made = fold(model_entry(1), outcome_entry(2, "o", "positive"), model_entry(3, status="archived"))
    made.apply([outcome_entry(4, "o", "positive")])
    assert pulls(made) == 1
    made.apply([model_entry(5, status="shadow"), outcome_entry(6, "o", "positive")])
    assert pulls(made) == 2


def test_a_changed_configuration_starts_the_model_anew() -> None:
    made = fold(model_entry(1), outcome_entry(2, "o", "positive"), model_entry(3, config={"priorAlpha": 5}))
    assert pulls(made) == 0
    made.apply([outcome_entry(4, "o", "positive")])
    assert made.arms("t", "m")[0].parameters == {"alpha": 6.0, "beta": 1.0}


def test_weights_of_outcomes_are_the_models_own_and_neutral_never_counts() -> None:
    made = fold(
        model_entry(1, weights={"purchase": 5.0, "view": 9.0}),
        outcome_entry(2, "o", "positive", "purchase"),
        outcome_entry(3, "o", "positive"),
        outcome_entry(4, "o", "neutral", "view"),
    )
    assert made.arms("t", "m")[0].parameters == {"alpha": 7.0, "beta": 1.0}


@pytest.mark.parametrize(("model_type", "config"), [("oracle", {}), ("thompson_bandit", {"priorAlpha": -1})])
def test_a_model_this_code_cannot_run_harms_nobody(model_type: str, config: dict[str, object]) -> None:
    made = fold(model_entry(1, "bad", model_type, config=config), model_entry(2), outcome_entry(3, "o", "positive"))
    view = made.model("t", "bad")
    assert view is not None
    assert view.error
    assert made.arms("t", "bad") == []
    assert pulls(made) == 1
    again = BanditFold()
    again.restore(made.state())
    assert again.state() == made.state()
