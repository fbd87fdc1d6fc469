"""Replays in one process: the digests of a fold, the log's own models and those to try."""

from pathlib import Path

import pytest

from learners.bandits import BanditFold
from learners.replay import Unit, replay
from learners.shard import fold_log
from learners.spec import parse_spec
from storage.entry import Entry, ModelChange, OfferRemoved, Outcome, Resolution, Scalar
from storage.line_entries import line_of
from storage.log_source import LogSource
from storage.public_log import LogWriter


def entries() -> list[Entry]:
    made: list[Entry] = []

    def add(body: Outcome | ModelChange | OfferRemoved) -> None:
        resolution = Resolution(f"o{len(made) % 3}", "cr", "ch", None, "cat", "", "", "", None)
        made.append(Entry(len(made) + 1, 1000 * len(made), body, resolution if isinstance(body, Outcome) else None))

    def clicks(count: int) -> None:
        for _ in range(count):
            n = len(made)
            features: dict[str, Scalar] = {"x": n / 7, "even": n % 2}
            if n % 5 > 1:
                add(Outcome("t", f"i{n}", "c", "dismiss", "negative", "inbound", delivery=False, features=features))
            else:
                add(Outcome("t", f"i{n}", "c", "click", "positive", "inbound", delivery=False, features=features))

    add(ModelChange("t", "m1", "first", "lin_ts", "champion", '{"halfLife":{"events":50}}'))
    clicks(130)
    add(ModelChange("t", "m2", "second", "thompson_bandit", "shadow", "{}", {"click": 2.0}, warm=True))
    clicks(90)
    add(OfferRemoved("t", "o1"))
    clicks(40)
    return made


@pytest.fixture
def source(tmp_path: Path) -> LogSource:
    with LogWriter(tmp_path / "log.ndjson") as writer:
        for entry in entries():
            writer.write(line_of(entry))
    return LogSource(tmp_path / "log.ndjson")


def folded(upto: int) -> BanditFold:
    """Fold the entries themselves, as a learner does."""
    return fold_log(0, [entries()[:upto]]).bandits


@pytest.mark.parametrize("until", [100, 200, 263])
def test_each_model_is_the_one_that_a_learner_has(source: LogSource, until: int) -> None:
    live = folded(until)
    read: list[int] = []
    for view in live.models("t"):
        result = replay(source, Unit("t", view.id, until=until), read.append)
        assert result.digest == live.digest("t", view.id)
        assert result.view == view
    assert sum(read) == until * len(live.models("t"))


def test_a_spec_learns_from_all_the_outcomes_and_ignores_the_logs_models(source: LogSource) -> None:
    (spec,) = parse_spec("thompson_bandit")
    result = replay(source, Unit("t", spec.text, spec), lambda _: None)
    assert (result.view.training_samples, result.view.config) == (260, {})
    (other,) = parse_spec("thompson_bandit:seed=3")
    assert replay(source, Unit("t", other.text, other), lambda _: None).digest != result.digest


def test_a_model_that_the_log_does_not_make_is_told(source: LogSource) -> None:
    with pytest.raises(LookupError, match="makes no model m2 up to position 50"):
        replay(source, Unit("t", "m2", until=50), lambda _: None)
