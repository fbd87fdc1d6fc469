"""Logs on disk as entries: joined with their decisions, in order, bad lines told."""

from pathlib import Path

import pytest
from msgspec import structs

from storage import decision_features
from storage.archive import Archive
from storage.decision_features import DecisionFeatures
from storage.entry import (
    Classification,
    DecisionPoint,
    Entry,
    ModelChange,
    OfferRemoved,
    Outcome,
    Resolution,
    pack_entry,
)
from storage.line_entries import entry_of, line_of
from storage.lines import DecisionLine, Line, ModelLine, OfferRemovedLine, OutcomeLine, Shown
from storage.log_source import LogSource
from storage.outcomes import Outcomes
from storage.public_log import BadLine, LogError, LogWriter

TIME = "2026-03-16T14:35:00.000Z"


def decision(name: str, **more: object) -> DecisionLine:
    fields: dict[str, object] = {
        "time": TIME,
        "customer_id": "c",
        "recommendation_id": name,
        "features": {"tier": name, "age": 1},
        "decisions": [Shown(1, "o1")],
    }
    return DecisionLine(**fields | more)  # type: ignore[arg-type]


def outcome(name: str | None = None, **more: object) -> OutcomeLine:
    fields: dict[str, object] = {
        "time": TIME,
        "customer_id": "c",
        "recommendation_id": name,
        "offer_id": "o1",
        "outcome": "click",
        "classification": "positive",
        "weight": 1.0,
        "features": {"age": 2, "device": "mobile"},
    }
    return OutcomeLine(**fields | more)  # type: ignore[arg-type]


def log_of(path: Path, *lines: Line) -> LogSource:
    with LogWriter(path) as writer:
        for line in lines:
            writer.write(line)
    return LogSource(path)


def learned(source: LogSource, tenant: str = "") -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for batch in source.batches(tenant):
        if isinstance(batch, Outcomes):
            found += map(dict, batch.features)
        else:
            found += [dict(entry.learning_features) for entry in batch]
    return found


def test_an_entry_teaches_the_same_after_a_journey_through_a_line() -> None:
    body = Outcome(
        "t", "i", "c", "click", "positive", "inbound", delivery=True, time_ms=5, value=9.0, features={"b": 1}
    )
    point = DecisionPoint(3, {"a": 2.5, "b": True})
    entry = Entry(7, 11, body, Resolution("o", "cr", "ch", None, "cat", "", "", "", None), point)
    line = line_of(entry)
    assert isinstance(line, OutcomeLine)

    again = entry_of(line, 7)

    assert (again.position, again.time_ms, again.event_time_ms) == (7, 11, 5)
    assert list(again.learning_features.items()) == [("b", True), ("a", 2.5)], "in the order they were learned in"
    assert isinstance(again.body, Outcome)
    assert (again.body.worth, again.body.value, again.body.outcome) == (1.0, 9.0, "click")
    assert again.resolution is not None
    assert (again.resolution.offer_id, again.resolution.category_id) == ("o", "cat")
    for change in (
        ModelChange("t", "m", "k", "ucb", "draft", '{"explore":0.3}', {"click": 2.0}),
        OfferRemoved("t", "o"),
    ):
        told = line_of(Entry(8, 12, change))
        assert isinstance(told, ModelLine | OfferRemovedLine)
        assert entry_of(told, 8) == Entry(8, 12, change)


@pytest.mark.parametrize(
    ("classification", "weight", "worth"),
    [("positive", 2.5, 2.5), ("positive", 0.0, 0.0), ("negative", 0.0, -1.0), ("negative", -3.0, -3.0)],
)
def test_a_line_is_worth_its_weight(classification: str, weight: float, worth: float) -> None:
    entry = entry_of(outcome(classification=classification, weight=weight), 1)
    assert isinstance(entry.body, Outcome)
    assert entry.body.worth == worth


@pytest.mark.parametrize("suffix", ["ndjson", "parquet"])
def test_outcomes_learn_with_the_features_of_the_decision_before_them(tmp_path: Path, suffix: str) -> None:
    source = log_of(
        tmp_path / f"log.{suffix}",
        outcome("r1"),
        decision("r1"),
        decision("r2", tenant="other"),
        outcome("r1"),
        outcome("r2"),
        outcome(None),
        outcome("r1", decided_at=TIME),
    )

    own = {"age": 2, "device": "mobile"}
    assert learned(source) == [own, {"age": 1, "device": "mobile", "tier": "r1"}, own, own, own]
    found = source.scan(None, lambda _: None)
    assert (found[""].entries, found[""].decisions, found[""].unjoined, found[""].last) == (6, 1, 2, 6)
    assert found["other"].entries == 1


def test_decisions_beyond_those_in_memory_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_features, "HELD", 10)
    monkeypatch.setattr(decision_features, "SPILLED", 4)
    kept = DecisionFeatures()
    for number in range(100):
        kept.put(f"r{number}", {"n": number})
    kept.put("r3", {"n": -3})
    kept.put("r99", {"n": -99})

    assert [kept.get(f"r{number}") for number in (0, 3, 50, 99, 100)] == [
        {"n": 0},
        {"n": -3},
        {"n": 50},
        {"n": -99},
        None,
    ]
    kept.close()


def test_positions_rise_or_the_line_is_told(tmp_path: Path) -> None:
    source = log_of(tmp_path / "log.ndjson", *(outcome(position=position) for position in (4, 9, 9, 5, 10)))

    with pytest.raises(BadLine, match="line 3: position 9 comes after 9"):
        source.scan(None, lambda _: None)
    told: list[BadLine] = []
    assert LogSource(source.path, skip_bad=True).scan(told.append, lambda _: None)[""].last == 10
    assert [bad.number for bad in told] == [3, 4]
    [batch] = LogSource(source.path, skip_bad=True).batches("", until=9)
    assert isinstance(batch, list)
    assert [entry.position for entry in batch] == [4, 9]


def test_an_archive_is_a_log_with_its_tail_behind(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    entries = [entry_of(outcome(tenant=tenant), number) for number, tenant in enumerate("aba", start=1)]
    archive.write(3, entries[:2])

    source = LogSource(tmp_path, tails={"a": [pack_entry(entries[2])]})

    assert taught(source, "a") == [1, [entries[2]]]
    assert taught(source, "b") == [2]
    assert {tenant: one.entries for tenant, one in source.scan(None, lambda _: None).items()} == {"a": 2, "b": 1}
    assert learned(source, "a") == [{"age": 2, "device": "mobile"}] * 2


def taught(source: LogSource, tenant: str) -> list[object]:
    """The positions of outcomes that come as columns, and batches of entries."""
    found: list[object] = []
    for batch in source.batches(tenant):
        if isinstance(batch, Outcomes):
            found += batch.positions.tolist()
        elif batch:
            found.append(batch)
    return found


def test_an_archive_tells_what_its_entries_tell(tmp_path: Path) -> None:
    """Files whose columns cannot say it are read entry by entry; what two files hold comes once."""
    points = [None, DecisionPoint(3, {"age": 1.5, "tier": "gold"})]
    marks: list[tuple[Classification, float | None]] = [("positive", None), ("negative", None), ("neutral", None)]
    plain = [
        Entry(
            n,
            1000 * n,
            Outcome("a", f"i{n}", "c", "click", kind, "inbound", False, features={"age": n}, weight=weight),
            Resolution("o", "cr", "ch", None, "cat", "", "", "", None),
            points[n % 2],
        )
        for n, (kind, weight) in enumerate(marks * 3, start=1)
    ]
    void = structs.replace(plain[1], position=10, body=structs.replace(plain[1].body, weight=0.0))
    removed = Entry(11, 11_000, OfferRemoved("a", "o"))
    archive = Archive(str(tmp_path))
    archive.write(3, plain[:6])
    archive.write(3, plain[:9])
    archive.write(3, [void])
    archive.write(3, [removed])

    source = LogSource(tmp_path)

    assert taught(source, "a") == [1, 2, 4, 5, 7, 8, [void, removed]]
    assert learned(source, "a")[:2] == [{"age": 1.5, "tier": "gold"}, {"age": 2}]
    assert source.scan(None, lambda _: None)["a"].entries == 11


def test_a_folder_without_logs_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds no log"):
        LogSource(tmp_path).scan(None, lambda _: None)
