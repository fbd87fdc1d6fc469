"""Logs by columns teach what they teach line by line, and rows that break a rule are told as lines are."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.bandits import REWARDING, rewards_of
from learners.model import Rewards
from learners.outcome_columns import rewards_in
from storage import decision_features, line_files
from storage.entry import Entry, ModelChange, OfferRemoved, Outcome
from storage.lines import SCHEMA, DecisionLine, Line, ModelLine, OfferRemovedLine, OutcomeLine, Shown
from storage.log_source import Found, LogSource
from storage.outcomes import Outcomes, decode_texts
from storage.plain_rows import PlainRows, read_plain
from storage.public_log import BadLine, LogWriter, encode_line

TIMES = ("2026-03-16T14:35:00.000Z", "1969-12-31T23:59:59.999Z", "2026-03-16T14:35:00.001Z")
WEIGHTS = {"click": 2.5}

scalars = st.sampled_from([True, 1, 1.0, -0.0, 2**64 - 1, -(2**63), 1e300, "", "gold", "é\n\u2028", "x" * 250])
features = st.dictionaries(st.sampled_from(["a", "b", "n" * 210]), scalars, max_size=3)
names = st.sampled_from(["r1", "r2", "r3", ""])
tenants = st.sampled_from([None, "t"])
common: dict[str, Any] = {
    "time": st.sampled_from(TIMES),
    "recorded_at": st.none() | st.sampled_from(TIMES),
    "tenant": tenants,
    "customer_id": st.just("c"),
    "features": features,
}
decisions = st.builds(
    DecisionLine,
    recommendation_id=names,
    candidates=st.lists(st.sampled_from(["o1", "o2"]), max_size=2),
    decisions=st.lists(st.builds(Shown, rank=st.just(1), offer_id=st.just("o1")), max_size=1),
    **common,
)
outcomes = st.builds(
    OutcomeLine,
    recommendation_id=st.none() | names,
    decided_at=st.none() | st.just(TIMES[0]),
    offer_id=st.sampled_from(["o1", "o2"]),
    category_id=st.none() | st.just("cat"),
    outcome=st.sampled_from(["click", "view"]),
    classification=st.sampled_from(("positive", "negative", "neutral")),
    weight=st.sampled_from([0.0, 1.0, -1.0, 3.5, -0.0]),
    value=st.none() | st.just(9.5),
    **common,
)
changes = st.builds(OfferRemovedLine, time=st.just(TIMES[0]), tenant=tenants, offer_id=st.just("o1")) | st.builds(
    ModelLine,
    time=st.just(TIMES[0]),
    tenant=tenants,
    model_id=st.just("m"),
    model_key=st.just("k"),
    model_type=st.just("ucb"),
    status=st.just("champion"),
)


def lessons(batches: Iterator[list[Entry] | Outcomes]) -> list[object]:
    """What a fold learns, reward by reward, and the changes between."""
    found: list[object] = []
    for batch in batches:
        if isinstance(batch, Outcomes):
            found += flat(rewards_in(batch, WEIGHTS), batch.positions.tolist())
            continue
        for entry in batch:
            if isinstance(entry.body, Outcome) and entry.body.classification in REWARDING:
                found += flat(rewards_of([entry], WEIGHTS), [entry.position])
            elif isinstance(entry.body, ModelChange | OfferRemoved):
                found.append(entry)
    return found


def flat(rewards: Rewards, positions: list[int]) -> list[object]:
    numbers = (rewards.weights, rewards.values, rewards.times_ms)
    assert [one.dtype for one in numbers] == [np.float64, np.float64, np.int64]
    columns = (rewards.offers, rewards.categories, *(map(repr, one.tolist()) for one in numbers))
    given_features = [repr(dict(one)) for one in rewards.features]
    return list(zip(positions, *columns, given_features, strict=True))


def columns_and_lines(lines: list[Line], folder: Path) -> tuple[LogSource, LogSource]:
    for suffix in ("parquet", "ndjson"):
        with LogWriter(folder / f"log.{suffix}") as writer:
            for line in lines:
                writer.write(line)
    return LogSource(folder / "log.parquet"), LogSource(folder / "log.ndjson")


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(decisions | outcomes | decisions | outcomes | changes, min_size=1, max_size=30), data=st.data()
)
def test_columns_teach_what_lines_teach(lines: list[Line], data: st.DataObject) -> None:
    until = data.draw(st.integers(0, len(lines) + 1))
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(decision_features, "HELD", 2)
        patch.setattr(decision_features, "SPILLED", 1)
        patch.setattr(line_files, "ROW_GROUP", 7)
        by_columns, by_lines = columns_and_lines(lines, Path(name))
        found: dict[str, Found] = by_lines.scan(None, lambda _: None)

        for _ in range(2):  # the second time the file is known to be plain
            for tenant in found:
                wanted = lessons(by_lines.batches(tenant, until))
                assert lessons(by_columns.batches(tenant, until)) == wanted
            assert by_columns.scan(None, lambda _: None) == found
        assert by_columns.plain


def test_rows_without_fault_are_columns(tmp_path: Path) -> None:
    line = OutcomeLine(
        time=TIMES[0], customer_id="c", offer_id="o", outcome="click", classification="positive", weight=1.0
    )
    removed = OfferRemovedLine(time=TIMES[0], offer_id="o")
    source, _ = columns_and_lines([line, line, removed, line], tmp_path)

    pieces = list(read_plain(source.path))

    assert [len(piece.rows) if isinstance(piece, PlainRows) else piece.kind() for piece in pieces] == [
        2,
        "offer_removed",
        1,
    ]


ROW: dict[str, Any] = {
    "kind": "outcome",
    "position": 5,
    "time": 0,
    "customerId": "c",
    "offerId": "o",
    "outcome": "click",
    "classification": "positive",
    "weight": 1.0,
}
SLATE: dict[str, Any] = {
    "kind": "decision",
    "position": 5,
    "time": 0,
    "customerId": "c",
    "recommendationId": "r",
    "decisions": [{"rank": 1, "offerId": "o"}],
}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW | {"position": 4}, "position 4 comes after 4"),
        (ROW | {"position": -1}, r"Expected `int` >= 0 - at `\$.position`"),
        (ROW | {"position": 2**53 + 1}, r"at `\$.position`"),
        (ROW | {"time": None}, "missing required field `time`"),
        (ROW | {"time": 253_402_300_800_000}, "Invalid isoformat string"),
        (ROW | {"recordedAt": -62_135_596_800_001}, "Invalid isoformat string|year"),
        (ROW | {"customerId": None}, "missing required field `customerId`"),
        (ROW | {"offerId": None}, "missing required field `offerId`"),
        (ROW | {"outcome": None}, "missing required field `outcome`"),
        (ROW | {"classification": "good"}, "Invalid enum value 'good'"),
        (ROW | {"weight": None}, "missing required field `weight`"),
        (ROW | {"weight": float("nan")}, r"at `\$.weight`"),
        (ROW | {"weight": 1e7}, r"at `\$.weight`"),
        (ROW | {"value": float("-inf")}, r"at `\$.value`"),
        (ROW | {"rank": 0}, r"Expected `int` >= 1 - at `\$.rank`"),
        (ROW | {"features": "{"}, "truncated"),
        (ROW | {"features": ""}, "truncated|empty"),
        (ROW | {"features": '{"a":[1]}'}, "at `"),
        (ROW | {"features": '{"a":1}\n{"b":2}'}, "trailing"),
        (ROW | {"kind": "click"}, "Invalid value 'click'"),
        (ROW | {"kind": None}, "missing required field `kind`"),
        (SLATE | {"recommendationId": None}, "missing required field `recommendationId`"),
        (SLATE | {"decisions": None}, "missing required field `decisions`"),
        (SLATE | {"decisions": [None]}, r"at `\$.decisions\[0\]`"),
        (SLATE | {"decisions": [{"rank": 0, "offerId": "o"}]}, r"at `\$.decisions\[0\].rank`"),
        (SLATE | {"decisions": [{"rank": None, "offerId": "o"}]}, r"rank"),
        (SLATE | {"decisions": [{"rank": 1, "offerId": None}]}, r"offerId"),
        (SLATE | {"decisions": [{"rank": 1, "offerId": "o", "propensity": 0.0}]}, "propensity"),
        (SLATE | {"decisions": [{"rank": 1, "offerId": "o", "propensity": float("nan")}]}, "propensity"),
        (SLATE | {"candidates": ["o", None]}, r"at `\$.candidates\[1\]`"),
    ],
)
def test_a_row_that_breaks_a_rule_is_told_as_a_line_is(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    rows = [ROW | {"position": 3}, SLATE | {"position": 4}, row, ROW | {"position": 6}]
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    told: list[BadLine] = []

    with pytest.raises(BadLine, match=rf"line 3: .*(?:{said})"):
        LogSource(path).scan(None, lambda _: None)

    source = LogSource(path, skip_bad=True)
    assert source.scan(told.append, lambda _: None)[""].entries == 3
    assert [bad.number for bad in told] == [3]
    assert not source.plain
    read: list[int] = []
    assert [*source.batches("", advance=read.append)]
    assert sum(read) == 3


@pytest.mark.parametrize("text", ['{"a":null,"b":1}', ' {"a" :\n1}\n', '{"a":1e999}', '{"a":18446744073709551616}'])
def test_texts_that_others_write_mean_what_they_mean_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist([ROW | {"features": text}], schema=SCHEMA), path)
    other = tmp_path / "log.feather.parquet"
    wider = SCHEMA.set(SCHEMA.get_field_index("rank"), pa.field("rank", pa.int64()))
    pq.write_table(pa.Table.from_pylist([ROW | {"features": text}], schema=wider), other)

    def read(file: Path) -> object:
        try:
            return lessons(LogSource(file).batches(""))
        except BadLine as bad:
            return bad.reason

    assert read(path) == read(other)


def test_a_column_that_is_there_twice_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = pa.Table.from_pylist([ROW], schema=SCHEMA)
    pq.write_table(table.append_column("rank", pa.array([7], pa.int32())), path)

    [batch] = LogSource(path).batches("")

    assert isinstance(batch, list)
    assert isinstance(batch[0].body, Outcome)
    assert batch[0].body.rank == 7


def test_a_file_that_changed_after_the_scan_is_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.Table.from_pylist([ROW], schema=SCHEMA), path)
    source = LogSource(path)
    source.scan(None, lambda _: None)
    assert list(source.plain) == [path]

    pq.write_table(pa.Table.from_pylist([ROW, ROW | {"weight": 1e9}], schema=SCHEMA), path)

    with pytest.raises(BadLine, match="weight"):
        list(source.batches(""))


def test_texts_are_as_many_objects() -> None:
    assert decode_texts([]) == []
    assert decode_texts(['{"a":1}', "{}"]) == [{"a": 1}, {}]
    assert decode_texts(['\n{"a":"],[" }', "{}"]) == [{"a": "],["}, {}]


@pytest.mark.parametrize(
    "texts",
    [
        ['{"a":1', ',"b":2}'],
        ["{}", ""],
        ["{}{}", ""],
        ["{},{}", ""],
        ["{},{}"],
        ["null"],
        ["{},null,{}", '{"a":1', '"b":2}'],
        ["{},{},{}"],
        ["{}", "{},\nnull,\n{}"],
        ["{} {}"],
        ["{}],[{}"],
        ["{}],[{}", '{"a":"', '"}'],
        ["{}],[{}", '{"a":1', '"b":2}'],
        ["{}],\n[{}", '{"a":"\n', '\n"}'],
    ],
)
def test_texts_that_are_whole_only_together_are_told(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_texts(texts)


def test_lines_of_a_table_are_those_of_the_log(tmp_path: Path) -> None:
    line = DecisionLine(time=TIMES[0], customer_id="c", recommendation_id="r", candidates=["o"], decisions=[])
    source, _ = columns_and_lines([line] * 3, tmp_path)
    [piece] = read_plain(source.path)
    assert isinstance(piece, PlainRows)
    assert [encode_line(row.line()) for row in piece.lines()] == [encode_line(line)] * 3
    assert [row.number for row in piece.lines()] == [1, 2, 3]
