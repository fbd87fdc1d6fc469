"""Bytes that are no log: readers say so by the errors that they tell of, whatever the bytes are."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.archive import Archive
from storage.entry import (
    Decision,
    DecisionPoint,
    Entry,
    ModelChange,
    OfferRemoved,
    Outcome,
    Resolution,
    ShownOffer,
    Touch,
    pack_entry,
    unpack_entry,
)
from storage.errors import ArchiveError, DamagedEntry
from storage.importers.dsjson import read_dsjson
from storage.importers.obd import read_obd
from storage.line_files import count_lines
from storage.lines import Line
from storage.log_source import LogSource
from storage.public_log import LogError, LogWriter, read_log, read_rows
from tests.fuzzing import damaged, fuzzed

TIME: Final = "2026-03-16T14:35:00.000Z"
WHERE: Final = Resolution("o", "c", "ch", None, None, "O", "C", "CH", None)
OUTCOME: Final = Outcome("t", "i", "c", "click", "positive", "inbound", True, 1, "r", None, 5.5, {"a": 1, "b": "é"})
ENTRIES: Final = (
    Entry(5, 10**12, OUTCOME, WHERE, DecisionPoint(10**12, {"x": 1.0}, 0.5, "m"), [Touch("o", "c", "ch", 1)]),
    Entry(1, 1, ModelChange("t", "m", "k", "lin_ts", "champion", "{}", {"click": 1.0})),
    Entry(2, 2, OfferRemoved("t", "o")),
    Entry(3, 3, Decision("t", "r", "c", {"a": 1}, ["o"], [ShownOffer(1, WHERE, 0.5, 0.2, "i", True)], "m", 7)),
)
PACKED: Final = tuple(map(pack_entry, ENTRIES))
ROWS: Final = (
    {"kind": "decision", "customerId": "c", "recommendationId": "r", "features": {"x": 1}, "candidates": ["o"]}
    | {"decisions": [{"rank": 1, "offerId": "o", "propensity": 0.5}]},
    {
        "kind": "outcome",
        "customerId": "c",
        "recommendationId": "r",
        "rank": 1,
        "offerId": "o",
        "features": {"y": "é"},
    }
    | {"outcome": "click", "classification": "positive", "weight": 1.0, "value": 2.5},
    {"kind": "model", "modelId": "m", "modelKey": "k", "modelType": "ucb", "status": "draft", "config": {"a": [1]}},
    {"kind": "offer_removed", "offerId": "o"},
)
EVENTS: Final = (
    {"_label_cost": -1, "_label_probability": 0.5, "_label_Action": 1, "_labelIndex": 0, "Timestamp": TIME}
    | {"EventId": "e1", "Version": "1", "a": [1, 2], "p": [0.5, 0.5], "o": [{"v": 1.0}]}
    | {"c": {"user": {"age": 3}, "_multi": [{"_tag": "a", "x": 1}, {"_tag": "b"}]}, "VWState": {"m": "N/A"}},
    {"_outcomes": [{"_label_cost": -1.0, "_a": [0, 1], "_p": [0.5, 0.5]}, {"_label_cost": 0, "_a": 1, "_p": 1.0}]}
    | {"EventId": "e2", "c": {"_multi": [{"_tag": "a"}, {"_tag": "b"}], "_slots": [{"s": 1}, {"_inc": [1]}]}},
)
NDJSON: Final = b"".join(msgspec.json.encode({"time": TIME, **row}) + b"\n" for row in ROWS)
DSJSON: Final = b"".join(msgspec.json.encode(event) + b"\n" for event in EVENTS)
OBD: Final = b""",timestamp,item_id,position,click,propensity_score,user_feature_0,\
user-item_affinity_0,user-item_affinity_1
0,2019-11-24 00:00:00.004101+00:00,0,1,0,0.5,abc,0.0,0.0
1,2019-11-24 00:00:01+00:00,1,2,1,0.5,"d,e",0.0,0.0
"""
DEEP: Final = b"[" * 3_000


def written(folder: Path, name: str) -> bytes:
    """Return a log as a file of that name."""
    with LogWriter(folder / name) as log:
        for line in NDJSON.splitlines():
            log.write(msgspec.json.decode(line, type=Line))
    return (folder / name).read_bytes()


def read_in_every_way(path: Path) -> None:
    """Read a log as commands do; what is told of it must be a `LogError`."""
    for read in (
        lambda: [*read_log(path)],
        lambda: [*read_log(path, lambda _: None)],
        lambda: [row.kind() for row in read_rows(path)],
        lambda: LogSource(path).scan(lambda _: None, lambda _: None),
        lambda: [*LogSource(path, skip_bad=True).batches("")],
        lambda: count_lines(path),
    ):
        refusal(read)


def refusal(read: Callable[[], object]) -> LogError | None:
    """Return how a log is refused."""
    try:
        read()
    except LogError as error:
        return error
    return None


@fuzzed(500)
@given(raw=st.binary(max_size=200) | damaged(*PACKED))
@example(raw=PACKED[0].replace(b"click", b"cl\xffck"))
@example(raw=PACKED[1].replace(b"champion", b"champio\xff"))
@example(raw=PACKED[0] + DEEP)
@example(raw=b"\x97" + PACKED[2][1:] + b"\xc0\xc0\x90" + b"\x91" * 3_000)
def test_bytes_that_are_no_entry(raw: bytes) -> None:
    try:
        entry = unpack_entry(raw)
    except DamagedEntry:
        return
    again = pack_entry(entry)
    assert pack_entry(unpack_entry(again)) == again


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_are_whole(entry: Entry) -> None:
    assert unpack_entry(pack_entry(entry)) == entry


@fuzzed(150)
@given(raw=damaged(NDJSON))
@example(raw=NDJSON.replace(b"[1]", DEEP + b"]" * 3_000))
@example(raw=NDJSON.replace(b'{"x":1}', b'{"x":99999999999999999999}'))
@example(raw=NDJSON.replace(b'{"x":1}', b'{"x":-9223372036854775809}'))
def test_lines_that_are_none(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.ndjson"
    path.write_bytes(raw)
    read_in_every_way(path)


@fuzzed(60)
@given(share=st.floats(0, 1), bits=st.integers(1, 255), more=st.integers(0, 3))
@pytest.mark.parametrize("name", ["log.parquet", "log.ndjson.gz", "log.ndjson.zst"])
def test_files_with_some_bytes_replaced(
    tmp_path_factory: pytest.TempPathFactory, name: str, share: float, bits: int, more: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(written(folder, name))
    start = round(share * (len(data) - 1))
    for place in range(start, min(start + 1 + more, len(data))):
        data[place] ^= bits
    (folder / name).write_bytes(data)
    read_in_every_way(folder / name)


def test_texts_that_are_no_utf_8_in_parquet(tmp_path: Path) -> None:
    data = written(tmp_path, "log.parquet")
    for text in (b"positive", b"decision", b"customerId", b"outcome"):
        for place in (data.find(text), data.rfind(text)):
            spoilt = data[: place + 3] + b"\xff" + data[place + 4 :]
            (tmp_path / "log.parquet").write_bytes(spoilt)
            read_in_every_way(tmp_path / "log.parquet")


def test_integers_of_more_than_64_bits_are_refused_in_parquet_as_in_lines(tmp_path: Path) -> None:
    source = msgspec.json.decode(NDJSON.splitlines()[0], type=Line)
    for number, fits in ((2**64 - 1, True), (2**64, False), (-(2**63), True), (-(2**63) - 1, False)):
        path = tmp_path / f"{number}.parquet"
        text = f'{{"x": {number}}}'
        with LogWriter(path) as log:
            log.write(source)
        table = pq.read_table(path)
        column = pa.array([text])
        pq.write_table(table.set_column(table.schema.get_field_index("features"), "features", column), path)
        told = refusal(lambda path=path: LogSource(path).scan(None, lambda _: None))  # type: ignore[misc]
        assert (told is None) == fits, number
        assert fits or "more than 64 bits" in str(told)


@fuzzed(150)
@given(raw=damaged(DSJSON))
def test_events_that_are_none(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(raw)
    refusal(lambda: [*read_dsjson(path)])
    refusal(lambda: [*read_dsjson(path, lambda _: None)])


@fuzzed(150)
@given(raw=damaged(OBD))
@example(raw=OBD.replace(b"affinity_1", b"affinity_x"))
def test_rows_that_are_none(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(raw)
    refusal(lambda: [*read_obd(path)])
    refusal(lambda: [*read_obd(path, lambda _: None)])


@pytest.mark.parametrize("text", [b"positive", b"click"])
def test_an_archive_with_damaged_entries_says_so(tmp_path: Path, text: bytes) -> None:
    Archive(str(tmp_path)).write(1, [ENTRIES[0]])
    [file] = tmp_path.rglob("*.parquet")
    table = pq.read_table(file, partitioning=None)
    raw = PACKED[0].replace(text, text[:-1] + b"\xff")
    pq.write_table(table.set_column(table.schema.get_field_index("entry"), "entry", pa.array([raw])), file)
    with pytest.raises(ArchiveError, match=file.name):
        [*Archive(str(tmp_path)).read(1, 0, 9)]
