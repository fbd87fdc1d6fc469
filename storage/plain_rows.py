"""Rows of a Parquet log that break no rule, found without looking at them one by one.

The rules of `storage.lines` hold here for whole columns. Rows that seem to break one are no plain rows, and are
read as lines, which know what to say about each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.entry import LARGEST_WEIGHT, WEIGHTS
from storage.line_files import read_tables, rows_of_table
from storage.lines import LARGEST_POSITION, LARGEST_VALUE, SCHEMA, check_integers
from storage.outcomes import decode_texts
from storage.public_log import Row

Mask = NDArray[np.bool_]

FOLDED: Final = [
    name
    for name in SCHEMA.names
    if name not in {"customerId", "candidates", "decisions", "interactionId", "creativeId", "channelId", "variant"}
]
"""The columns that changes of models are made of, and what outcomes teach."""
NUMBERED: Final = pa.list_(pa.dictionary(pa.int32(), pa.string()))
"""How texts are read that repeat."""
FIRST_MS: Final = -62_135_596_800_000
LAST_MS: Final = 253_402_300_799_999
"""The years 1 to 9999, beyond which a time has no ISO 8601 text."""
REQUIRED: Final = ("time", "customerId")
OF_DECISIONS: Final = ("recommendationId", "decisions")
OF_OUTCOMES: Final = ("offerId", "outcome", "classification", "weight")


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Decisions and outcomes that break no rule. `number` is the first one's line."""

    path: Path
    number: int
    rows: pa.RecordBatch

    def lines(self) -> Iterator[Row]:
        """Yield them one by one."""
        for number, values in enumerate(rows_of_table(self.rows), start=self.number):
            if values:
                yield Row(self.path, number, values)


def read_plain(path: Path, *, known: bool = False) -> Iterator[PlainRows | Row]:
    """Yield a Parquet file in its order: plain rows many at a time, others one by one.

    Args:
        path: The file.
        known: Whether all of its decisions and outcomes are known to be plain: then only `FOLDED` is read.

    Raises:
        DamagedFile: The file cannot be read on from here.
    """
    for number, table in read_tables(path, FOLDED if known else None):
        if not known and not _has_log_columns(table.schema):
            yield from PlainRows(path, number, table).lines()
            continue
        for start, rows, changes in _runs(table):
            piece = PlainRows(path, number + start, rows)
            if not changes and (known or _are_plain(rows)):
                yield piece
            else:
                yield from piece.lines()


def _runs(table: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch, bool]]:
    """Yield decisions and outcomes, and what stands between, each with its offset and whether it is no such row."""
    changes = ~(kind_mask(table, "decision") | kind_mask(table, "outcome"))
    starts = np.flatnonzero(np.diff(changes, prepend=~changes[:1])).tolist()
    for start, end in pairwise([*starts, len(table)]):
        yield start, table.slice(start, end - start), bool(changes[start])


def kind_mask(rows: pa.RecordBatch, kind: str) -> Mask:
    """Return which rows are of a kind."""
    return mask_of(pc.equal(rows["kind"], kind))


def mask_of(flags: pa.BooleanArray) -> Mask:
    """Return which flags are set; null is not."""
    mask: Mask = flags.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _has_log_columns(schema: pa.Schema) -> bool:
    """Whether a table has the columns of a log, each of the type that we write."""
    types = dict(zip(schema.names, schema.types, strict=True))
    if types.get("candidates") == NUMBERED:
        types["candidates"] = SCHEMA.field("candidates").type
    return len(types) == len(schema) and all(types.get(field.name) == field.type for field in SCHEMA)


def _are_plain(rows: pa.RecordBatch) -> bool:
    """Return whether decisions and outcomes break no rule; only their order is not looked at."""
    decisions = kind_mask(rows, "decision")
    return (
        not any(rows[name].null_count for name in REQUIRED)
        and _given(rows, OF_DECISIONS, decisions)
        and _given(rows, OF_OUTCOMES, ~decisions)
        and _numbers_fit(rows)
        and _slates_fit(rows)
        and _features_fit(rows["features"])
    )


def _given(rows: pa.RecordBatch, names: Sequence[str], needed: Mask) -> bool:
    return not any((mask_of(rows[name].is_null()) & needed).any() for name in names if rows[name].null_count)


def _numbers_fit(rows: pa.RecordBatch) -> bool:
    return (
        _within(rows["time"].view("int64"), FIRST_MS, LAST_MS)
        and _within(rows["recordedAt"].view("int64"), FIRST_MS, LAST_MS)
        and _within(rows["position"], 0, LARGEST_POSITION)
        and _within(rows["rank"], 1)
        and _within(rows["weight"], -LARGEST_WEIGHT, LARGEST_WEIGHT)
        and _within(rows["value"], -LARGEST_VALUE, LARGEST_VALUE)
        and _all(pc.is_in(rows["classification"].drop_null(), pa.array(WEIGHTS)))
    )


def _slates_fit(rows: pa.RecordBatch) -> bool:
    shown = rows["decisions"].flatten()
    if shown.null_count or rows["candidates"].flatten().null_count:
        return False
    ranks, offers, _, propensities = shown.flatten()
    chances = _all(pc.greater(propensities, 0.0)) and _within(propensities, 0.0, 1.0)
    return not ranks.null_count and not offers.null_count and _within(ranks, 1) and chances


def _features_fit(texts: pa.StringArray) -> bool:
    given = texts.drop_null()
    long = given.filter(pc.match_substring_regex(given, r"[0-9]{19}"))
    try:
        decode_texts(given.to_pylist())
        for features in decode_texts(long.to_pylist()):
            check_integers(features)
    except (ValueError, RecursionError):
        return False
    return True


def _within(column: pa.Array, low: float, high: float | None = None) -> bool:
    """Whether all numbers but the nulls are in a range; NaN is in none."""
    inside = pc.greater_equal(column, low)
    return _all(inside if high is None else pc.and_(inside, pc.less_equal(column, high)))


def _all(flags: Any) -> bool:
    return bool(pc.all(flags, min_count=0).as_py())
