"""Files of lines, NDJSON or Parquet: read line by line, written whole or not at all."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, TypeVar, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import StorageError

Values: TypeAlias = bytes | dict[str, Any]
"""The text of an NDJSON line, or the cells of a Parquet row that are not null, by column."""

Line = TypeVar("Line", bytes, dict[str, Any])

ROW_GROUP: Final = 8192
"""Rows a Parquet file gets at once: some MiB of decisions with a hundred candidates each."""

REPEATED: Final = {"candidates.list.element", "candidates.list.item"}
"""Columns with few different texts in many cells: they are read as numbers of these texts."""

MAX_LINE_BYTES: Final = 1_000_000
"""Longer than any honest line: thousands of candidates fit. What is longer is cut here, and refused by readers."""

DAMAGE: Final = (OSError, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException)
"""How files that cannot be read on are told: by gzip, by Zstandard, by Parquet, whose columns have names."""


class LogError(StorageError):
    """A file of log lines cannot be read or written."""


class DamagedFile(LogError):
    """A file cannot be read on: it was cut short, or is not what its name says."""

    def __init__(self, path: Path, number: int, reason: object) -> None:
        super().__init__(f"{path}: cannot be read after line {number}: {reason}")


class UnknownSuffix(LogError):
    """The name of a file does not say how it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: the name must end in .ndjson, .ndjson.gz, .ndjson.zst or .parquet")


def is_parquet(path: Path) -> bool:
    """Return whether the file's name says Parquet, and not NDJSON.

    Raises:
        UnknownSuffix: It says neither.
    """
    suffixes = path.suffixes
    if suffixes[-1:] == [".parquet"]:
        return True
    if suffixes[-1:] in ([".gz"], [".zst"]):
        del suffixes[-1]
    if suffixes[-1:] not in ([".ndjson"], [".jsonl"]):
        raise UnknownSuffix(path)
    return False


def read_values(path: Path) -> Iterator[tuple[int, Values]]:
    """Yield each line with its number, from 1; blank lines are counted and left out.

    Raises:
        UnknownSuffix: The file's name says neither NDJSON nor Parquet.
        DamagedFile: The file cannot be read on from here.
    """
    return _numbered(path, _rows(path)) if is_parquet(path) else read_texts(path)


def read_texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line of a file of text with its number, whatever its name; `.gz` and `.zst` are unpacked.

    Raises:
        DamagedFile: The file cannot be read on from here.
    """
    return _numbered(path, _texts(path))


def check_length(text: bytes) -> None:
    """Check that a line is one that a reader takes.

    Raises:
        ValueError: it is not; it was cut while it was read.
    """
    if len(text) > MAX_LINE_BYTES:
        raise ValueError(f"is longer than {MAX_LINE_BYTES:,} bytes")


def _numbered(path: Path, lines: Iterator[Line]) -> Iterator[tuple[int, Line]]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if line:
                yield number, line
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise DamagedFile(path, number, error) from error


def count_lines(path: Path) -> int:
    """Return the number of the last line that is not blank, without looking into the lines.

    Raises:
        DamagedFile: The file cannot be read to its end.
    """
    if is_parquet(path):
        try:
            return int(pq.read_metadata(path).num_rows)
        except FileNotFoundError:
            raise
        except DAMAGE as error:
            raise DamagedFile(path, 0, error) from error
    return max((number for number, _ in read_values(path)), default=0)


def _texts(path: Path) -> Iterator[bytes]:
    with ExitStack() as opened:
        stream: IO[bytes]
        if path.suffix == ".zst":
            source = opened.enter_context(pa.input_stream(path, compression="zstd"))
            stream = io.BufferedReader(source)
        elif path.suffix == ".gz":
            stream = cast("IO[bytes]", opened.enter_context(gzip.open(path)))
        else:
            stream = opened.enter_context(path.open("rb"))
        while text := stream.readline(MAX_LINE_BYTES + 1):
            yield text.strip()
            while len(text) > MAX_LINE_BYTES and not text.endswith(b"\n"):
                text = stream.readline(MAX_LINE_BYTES + 1)


def read_tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of a Parquet file, some at a time, with the number of the first of them.

    Args:
        path: The file.
        columns: The columns to read, all without.

    Raises:
        DamagedFile: The file cannot be read on from here.
    """
    number = 1
    try:
        for table in _tables(path, columns):
            yield number, table
            number += len(table)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise DamagedFile(path, number - 1, error) from error


def rows_of_table(table: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield rows as their cells that are not null, by column."""
    columns = [_cells(column) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield {name: cell for name, cell in zip(table.schema.names, row, strict=True) if cell is not None}


def _tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    metadata = pq.read_metadata(path)
    paths = {metadata.schema.column(i).path for i in range(metadata.num_columns)}
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=sorted(paths & REPEATED)) as file:
        for table in file.iter_batches(batch_size=ROW_GROUP, columns=columns, use_threads=False):
            table.validate(full=True)  # texts that are no UTF-8, numbers that stand for no text
            yield table


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for table in _tables(path):
        yield from rows_of_table(table)


def _cells(column: pa.Array) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        return cast("list[Any]", column.to_pylist())
    # A timestamp without a zone is UTC, and what is finer than a millisecond is cut off.
    instants = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.timestamp("ms"))
    texts = instants.cast(pa.string()).to_pylist()
    return [None if text is None else text.replace(" ", "T") + "Z" for text in texts]


def as_object(value: object) -> dict[str, Any]:
    """Return a Parquet cell that holds an object (JSON text, struct or map) as a dict without its nulls.

    A float NaN counts as null, as pandas writes it.

    Raises:
        TypeError: The cell holds something else.
        ValueError: The text in it is not JSON.
    """
    if isinstance(value, str):
        value = msgspec.json.decode(value)
    if isinstance(value, list):
        value = dict(value)
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {value!r:.60}")
    # NaN is what differs from itself.
    return {name: cell for name, cell in value.items() if cell is not None and cell == cell}  # noqa: PLR0124


class _Sink:
    """A file beside the one to be written, which takes its place at the end."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._opened = ExitStack()

    def commit(self) -> None:
        """Put the file in its place, whole and on disk."""
        self._opened.close()
        with self._beside.open("r+b") as written:
            os.fsync(written.fileno())
        self._beside.replace(self._path)

    def discard(self) -> None:
        """Leave what was there before."""
        self._opened.close()
        self._beside.unlink(missing_ok=True)


class TextSink(_Sink):
    """Takes lines of text."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.suffix == ".zst":
            self._stream = self._opened.enter_context(pa.CompressedOutputStream(self._beside, "zstd"))
            return
        self._stream = self._opened.enter_context(self._beside.open("wb"))
        if path.suffix == ".gz":
            # Neither time nor name inside: the same lines make the same file.
            self._stream = self._opened.enter_context(
                gzip.GzipFile(filename="", mode="wb", fileobj=self._stream, mtime=0)
            )

    def write(self, text: bytes) -> None:
        """Append a line, which brings its own line feed."""
        self._stream.write(text)


class TableSink(_Sink):
    """Takes rows of a table, by column name; a column left out is null."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path)
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._table = self._opened.enter_context(pq.ParquetWriter(self._beside, schema, compression="zstd"))

    def write(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self._rows.append(row)
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def commit(self) -> None:
        """Put the file in its place, whole and on disk."""
        self._flush()
        super().commit()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()
