"""The public log format: decisions and their outcomes, one a line; anyone may produce it.

The suffix of a file says how it is written: `.ndjson` or `.jsonl`, either with `.gz` or `.zst` behind it, or
`.parquet`. docs/data.md describes every field.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from storage.clock import parse_iso
from storage.entry import LARGEST_WEIGHT
from storage.line_files import (
    DamagedFile,
    LogError,
    TableSink,
    TextSink,
    Values,
    as_object,
    check_length,
    is_parquet,
    read_values,
)
from storage.lines import (
    OBJECTS,
    SCHEMA,
    TIMES,
    DecisionLine,
    Line,
    ModelLine,
    OfferRemovedLine,
    OutcomeLine,
    Shown,
)

__all__ = [
    "SCHEMA",
    "BadLine",
    "DamagedFile",
    "DecisionLine",
    "Line",
    "LogError",
    "LogWriter",
    "ModelLine",
    "OfferRemovedLine",
    "OutcomeLine",
    "Row",
    "Shown",
    "encode_line",
    "read_log",
    "read_rows",
]


class BadLine(LogError):
    """A line is not what its format asks for."""

    def __init__(self, path: Path, number: int, reason: str) -> None:
        super().__init__(f"{path}: line {number}: {reason}")
        self.path = path
        self.number = number
        """Counts from 1, blank lines included; in Parquet the row."""
        self.reason = reason


_encoder = msgspec.json.Encoder()
_line_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class _Kind(msgspec.Struct):
    kind: str | None = None


_kind_decoder = msgspec.json.Decoder(_Kind)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file, not yet understood."""

    path: Path
    number: int
    values: Values
    """The text of an NDJSON line, or the cells of a Parquet row that are not null."""

    def bad(self, reason: object) -> BadLine:
        """Return the error that says what is wrong with this line."""
        return BadLine(self.path, self.number, str(reason))

    def kind(self) -> str | None:
        """Return what the line says it is; null for a line without `kind`.

        Raises:
            BadLine: The line is no JSON object.
        """
        if isinstance(self.values, dict):
            return self.values.get("kind")
        try:
            check_length(self.values)
            return _kind_decoder.decode(self.values).kind
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.bad(error) from error

    def line(self) -> Line:
        """Return the decision or outcome that the line holds.

        Raises:
            BadLine: It holds neither, or a field breaks its rule.
        """
        try:
            if not isinstance(self.values, dict):
                check_length(self.values)
                return _line_decoder.decode(self.values)
            objects = {name: as_object(self.values[name]) for name in OBJECTS if name in self.values}
            line: Line = msgspec.convert(self.values | objects, Line)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise self.bad(error) from error
        return line


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the lines of an NDJSON or Parquet file with their numbers, blank ones left out.

    Raises:
        DamagedFile: The file cannot be read on from here.
    """
    return (Row(path, number, values) for number, values in read_values(path))


def read_log(path: Path, on_bad: Callable[[BadLine], None] | None = None) -> Iterator[Line]:
    """Yield the decisions and outcomes of a public log in the file's order.

    Args:
        path: The file; its suffix says how it is written.
        on_bad: Is given each line that breaks the format, which is then left out. Without it the first ends
            the reading.

    Raises:
        BadLine: A line breaks the format and there is no `on_bad`.
        DamagedFile: The file cannot be read on from here.
    """
    for row in read_rows(path):
        try:
            yield row.line()
        except BadLine as bad:
            if on_bad is None:
                raise
            on_bad(bad)


def _check_finite(line: Line) -> None:
    # JSON has no NaN: it would be read back as null, which means something else.
    named: dict[str, object] = {}
    match line:
        case OutcomeLine():
            named = {**line.features, "weight": line.weight, "value": line.value}
        case DecisionLine():
            ranks = {f"propensity of rank {shown.rank}": shown.propensity for shown in line.decisions}
            named = {**line.features, **ranks}
        case ModelLine():
            named = {**line.outcome_weights}
    for name, number in named.items():
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{name} is {number}, the log holds finite numbers only")
    if isinstance(line, OutcomeLine) and abs(line.weight) > LARGEST_WEIGHT:
        raise ValueError(f"weight is {line.weight:g}, the log takes at most {LARGEST_WEIGHT:,.0f} in size")


def encode_line(line: Line) -> bytes:
    """Return a line as the format's NDJSON, with its line feed.

    Raises:
        ValueError: A number is not finite.
    """
    _check_finite(line)
    return _encoder.encode(line) + b"\n"


def cells_of(line: Line) -> dict[str, Any]:
    """Return a line as a row of `SCHEMA`, without the columns that are null."""
    cells: dict[str, Any] = msgspec.to_builtins(line)
    cells |= {name: parse_iso(cells[name]) for name in TIMES if name in cells}
    if isinstance(line, OutcomeLine | DecisionLine):
        cells["features"] = line.features
    cells |= {name: _encoder.encode(cells[name]).decode() for name in OBJECTS if name in cells}
    return cells


class LogWriter:
    """Writes a public log; the file appears whole when the `with` block ends well, and not at all otherwise.

    Parquet holds the same columns: `time` as a UTC timestamp in milliseconds, and `features` as JSON text,
    since a column has one type and features do not.
    """

    def __init__(self, path: Path) -> None:
        self._sink = TableSink(path, SCHEMA) if is_parquet(path) else TextSink(path)

    def write(self, line: Line) -> None:
        """Append one line.

        Raises:
            ValueError: A number is not finite.
        """
        if isinstance(self._sink, TextSink):
            self._sink.write(encode_line(line))
        else:
            _check_finite(line)
            self._sink.write(cells_of(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._sink.commit()
        else:
            self._sink.discard()
