"""Rows of a Parquet log that break no rule, found without looking at them one by one.

The rules of `storage.lines` hold here for whole columns. Rows that seem to break one are no plain rows, and are
read as lines, which know what to say about each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.entry import LARGEST_WEIGHT, WEIGHTS
from storage.line_files import read_tables, rows_of_table
from storage.lines import LARGEST_POSITION, LARGEST_VALUE, SCHEMA
from storage.outcomes import decode_texts
from storage.public_log import Row

Mask = NDArray[np.bool_]

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


def read_plain(path: Path) -> Iterator[PlainRows | Row]:
    """Yield a Parquet file in its order: plain rows many at a time, others one by one.

    Raises:
        DamagedFile: The file cannot be read on from here.
    """
    for number, table in read_tables(path):
        for start, rows in _runs(table):
            piece = PlainRows(path, number + start, rows)
            if _are_plain(rows):
                yield piece
            else:
                yield from piece.lines()


def _runs(table: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows between those that are neither decision nor outcome, and these alone, each with its offset."""
    start = 0
    if not _has_log_columns(table.schema):
        yield start, table
        return
    for one in np.flatnonzero(~(kind_mask(table, "decision") | kind_mask(table, "outcome"))).tolist():
        if one > start:
            yield start, table.slice(start, one - start)
        yield one, table.slice(one, 1)
        start = one + 1
    if start < len(table):
        yield start, table.slice(start)


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
    return all(types.get(field.name) == field.type for field in SCHEMA)


def _are_plain(rows: pa.RecordBatch) -> bool:
    """Return whether all rows are decisions or outcomes that break no rule; only the order is not looked at."""
    if not _has_log_columns(rows.schema):
        return False
    decisions, outcomes = kind_mask(rows, "decision"), kind_mask(rows, "outcome")
    return (
        bool((decisions | outcomes).all())
        and not any(rows[name].null_count for name in REQUIRED)
        and _given(rows, OF_DECISIONS, decisions)
        and _given(rows, OF_OUTCOMES, outcomes)
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
    try:
        decode_texts(texts.drop_null().to_pylist())
    except ValueError:
        return False
    return True


def _within(column: pa.Array, low: float, high: float | None = None) -> bool:
    """Whether all numbers but the nulls are in a range; NaN is in none."""
    inside = pc.greater_equal(column, low)
    return _all(inside if high is None else pc.and_(inside, pc.less_equal(column, high)))


def _all(flags: Any) -> bool:
    return bool(pc.all(flags, min_count=0).as_py())
