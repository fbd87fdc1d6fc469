import gzip
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.clock import iso
from storage.line_files import MAX_LINE_BYTES, TextSink, UnknownSuffix, count_lines
from storage.public_log import (
    BadLine,
    DamagedFile,
    DecisionLine,
    Line,
    LogWriter,
    ModelLine,
    OfferRemovedLine,
    OutcomeLine,
    Shown,
    encode_line,
    read_log,
    read_rows,
)

SUFFIXES = ("ndjson", "ndjson.gz", "ndjson.zst", "parquet")
TIME = "2026-03-16T14:35:00.000Z"

texts = st.text(st.characters(codec="utf-8"), max_size=12)
ids = st.none() | texts
finite = st.floats(allow_nan=False, allow_infinity=False)
weights = st.floats(-1e6, 1e6)
scalars = st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | texts
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - the zone comes next
    lambda time: iso(round(time.replace(tzinfo=UTC).timestamp() * 1000))
)
every = {
    "position": st.none() | st.integers(0, 2**53),
    "time": times,
    "recorded_at": st.none() | times,
    "tenant": ids,
}
common = {**every, "customer_id": texts, "features": st.dictionaries(texts, scalars, max_size=5)}
ranks = st.integers(1, 2**31 - 1)
shown = st.builds(
    Shown,
    rank=ranks,
    offer_id=texts,
    creative_id=ids,
    propensity=st.none() | st.floats(0, 1, exclude_min=True, allow_subnormal=False),
)
decisions = st.builds(
    DecisionLine,
    recommendation_id=texts,
    model_key=ids,
    variant=ids,
    candidates=st.lists(texts, max_size=4),
    decisions=st.lists(shown, max_size=3),
    **common,
)
outcomes = st.builds(
    OutcomeLine,
    interaction_id=ids,
    recommendation_id=ids,
    rank=st.none() | ranks,
    decided_at=st.none() | times,
    offer_id=texts,
    category_id=ids,
    creative_id=ids,
    channel_id=ids,
    outcome=texts,
    classification=st.sampled_from(("positive", "negative", "neutral")),
    weight=weights,
    value=st.none() | finite,
    **common,
)
models = st.builds(
    ModelLine,
    model_id=texts,
    model_key=texts,
    model_type=texts,
    status=st.sampled_from(("draft", "shadow", "challenger", "champion", "archived")),
    config=st.dictionaries(texts, scalars | st.dictionaries(texts, finite, max_size=2), max_size=3),
    outcome_weights=st.dictionaries(texts, weights, max_size=2),
    reset=st.booleans(),
    warm=st.booleans(),
    **every,
)
removals = st.builds(OfferRemovedLine, offer_id=texts, **every)


def outcome(**fields: object) -> OutcomeLine:
    given_fields: dict[str, object] = {
        "time": TIME,
        "customer_id": "c1",
        "offer_id": "o1",
        "outcome": "click",
        "classification": "positive",
        "weight": 1.0,
    }
    return OutcomeLine(**given_fields | fields)  # type: ignore[arg-type]


def write(path: Path, lines: list[Line]) -> Path:
    with LogWriter(path) as log:
        for line in lines:
            log.write(line)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(lines=st.lists(decisions | outcomes | models | removals, max_size=6))
def test_what_is_written_is_read_back(suffix: str, lines: list[Line]) -> None:
    with TemporaryDirectory() as directory:
        path = write(Path(directory, f"log.{suffix}"), lines)

        again = list(read_log(path))

        assert again == lines
        # Python holds 1, 1.0 and True equal; the JSON texts differ.
        assert [encode_line(line) for line in again] == [encode_line(line) for line in lines]
        assert count_lines(path) == len(lines)


def test_a_parquet_log_longer_than_a_row_group_keeps_all_lines(tmp_path: Path) -> None:
    lines: list[Line] = [outcome(position=position) for position in range(1, 8192 + 3)]

    assert list(read_log(write(tmp_path / "log.parquet", lines))) == lines


def test_field_order_and_unknown_fields_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    path.write_text(
        '{"weight":1,"unknown":{"a":[1]},"offerId":"o1","outcome":"click","classification":"positive",'
        f'"customerId":"c1","rank":null,"time":"{TIME}","kind":"outcome"}}\n'
    )

    assert list(read_log(path)) == [outcome()]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", '"1"'),
        ("weight", "1000001"),
        ("weight", "-1e300"),
        ("time", '"yesterday"'),
        ("classification", '"good"'),
        ("rank", "0"),
        ("features", '{"a":[1]}'),
        ("kind", '"click"'),
        ("offerId", "null"),
    ],
)
def test_a_bad_line_names_its_number_and_the_rest_can_be_had(tmp_path: Path, field: str, value: str) -> None:
    good = encode_line(outcome()).decode()
    kept = good.replace(f'"{field}":', '"was":')
    path = tmp_path / "log.ndjson"
    path.write_text(f"{good}\n{kept.replace('{', f'{{{chr(34)}{field}{chr(34)}:{value},', 1)}{good}")
    told: list[BadLine] = []

    with pytest.raises(BadLine, match=r"log\.ndjson: line 3: ") as raised:
        list(read_log(path))

    assert raised.value.number == 3
    assert list(read_log(path, told.append)) == [outcome(), outcome()]
    assert [bad.number for bad in told] == [3]


@pytest.mark.parametrize("text", ["not json", "[]", "3", '{"kind":"outcome"', '"\xff"'])
def test_a_line_that_is_no_object_is_bad(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.ndjson"
    path.write_bytes(text.encode("latin-1"))
    (row,) = read_rows(path)

    with pytest.raises(BadLine, match="line 1"):
        row.kind()


@pytest.mark.parametrize("propensity", [0.0, 1.5, -0.1])
def test_a_propensity_is_a_probability_above_zero(tmp_path: Path, propensity: float) -> None:
    line = DecisionLine(
        time=TIME, customer_id="c", recommendation_id="r", decisions=[Shown(1, "o", None, propensity)]
    )
    path = write(tmp_path / "log.ndjson", [line])

    with pytest.raises(BadLine, match="propensity"):
        list(read_log(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "fields", [{"weight": float("nan")}, {"value": float("inf")}, {"features": {"a": float("nan")}}]
)
def test_numbers_that_json_lacks_are_refused_and_the_old_file_stays(
    tmp_path: Path, suffix: str, fields: dict[str, object]
) -> None:
    path = write(tmp_path / f"log.{suffix}", [outcome()])

    with pytest.raises(ValueError, match="finite"):
        write(path, [outcome(), outcome(**fields)])

    assert list(read_log(path)) == [outcome()]
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_lines_make_the_same_compressed_file(tmp_path: Path) -> None:
    first = write(tmp_path / "first.ndjson.gz", [outcome()])
    second = write(tmp_path / "second.ndjson.gz", [outcome()])

    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", ["ndjson.gz", "ndjson.zst", "parquet"])
def test_a_file_cut_short_is_told_even_when_bad_lines_are_skipped(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"log.{suffix}", [outcome(position=position) for position in range(1, 2000)])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DamagedFile, match="cannot be read after line"):
        list(read_log(path, lambda _: None))


def test_a_name_must_say_how_the_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownSuffix, match=r"log\.csv"):
        LogWriter(tmp_path / "log.csv")


def test_parquet_of_other_makers(tmp_path: Path) -> None:
    """Features as a map, times in nanoseconds of a zone, a column we do not know, numbers missing as NaN."""
    path = tmp_path / "log.parquet"
    moment = pa.array([1773671700123456789], pa.timestamp("ns", "Europe/Berlin"))
    features = pa.array([[("age", 38.0), ("gone", float("nan"))]], pa.map_(pa.string(), pa.float64()))
    columns = {"offerId": "o1", "customerId": "c1", "outcome": "click", "classification": "positive"}
    table = {name: pa.array([value]) for name, value in columns.items()}
    kind, weight = pa.array(["outcome"]), pa.array([1.0])
    table |= {"kind": kind, "weight": weight, "time": moment, "features": features, "other": weight}
    pq.write_table(pa.table(table), path)

    assert list(read_log(path)) == [outcome(time="2026-03-16T14:35:00.123Z", features={"age": 38.0})]


def test_a_parquet_row_that_breaks_the_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"kind": ["outcome", "decision"], "features": ["{}", "{"]}), path)
    told: list[BadLine] = []

    assert list(read_log(path, told.append)) == []
    assert [bad.number for bad in told] == [1, 2]


def test_gzip_files_of_several_members_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(encode_line(outcome())) * 2)

    assert list(read_log(path)) == [outcome(), outcome()]


@pytest.mark.parametrize("suffix", ["ndjson", "ndjson.gz", "ndjson.zst"])
def test_an_endless_line_is_one_bad_line_and_never_held_whole(tmp_path: Path, suffix: str) -> None:
    good = encode_line(outcome())
    longest = good.replace(b'"o1"', b'"' + b"o" * (MAX_LINE_BYTES - len(good) + 3) + b'"')
    text = good + longest + longest.replace(b"ooo", b"oooo", 1) + b"x" * 3 * MAX_LINE_BYTES + b"\n" + good
    path = tmp_path / f"log.{suffix}"
    sink = TextSink(path)
    sink.write(text)
    sink.commit()
    bad: list[BadLine] = []

    read = list(read_log(path, bad.append))

    assert [len(line.offer_id) for line in read if isinstance(line, OutcomeLine)] == [
        2,
        len(longest) - len(good) + 2,
        2,
    ]
    assert [str(one) for one in bad] == [f"{path}: line {n}: is longer than 1,000,000 bytes" for n in (3, 4)]
