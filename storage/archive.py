"""The archive: closed segments of the log as Parquet files, for ever or as long as a tenant wants them.

A segment is a run of positions of one partition, written once: `tenant=T/date=D/pNN-FIRST-LAST.parquet`, a file for
each tenant in it. Columns are those of the public log, and `entry`, the entry as the log holds it. Where a segment
ends depends on the log alone, so a writer that was killed, or one that does not know yet that another has taken
over, writes the same files again and nothing else.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from storage.archive_table import table_of
from storage.clock import iso
from storage.entry import Entry, unpack_entry
from storage.errors import ArchiveError, DamagedEntry

ROW_GROUP: Final = 4096
"""Rows a reader needs to look at for one entry."""

_NAME: Final = re.compile(r"tenant=([^/]+)/date=([\d-]+)/p(\d+)-(\d+)-(\d+)\.parquet$")


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One tenant's share of a segment: its entries among the positions `first` to `last`."""

    partition: int
    first: int
    last: int
    tenant: str
    date: str
    path: str
    written_ns: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """The entries of a run of positions, in order. Fewer than the run is long: a tenant's are kept no longer."""

    first: int
    last: int
    entries: Sequence[Entry]

    @property
    def missing(self) -> int:
        """How many entries are not there any more."""
        return self.last - self.first + 1 - len(self.entries)


def day_of(time_ms: int) -> str:
    """Return the UTC date of a time, as the archive's folders are named.

    >>> day_of(0)
    '1970-01-01'
    """
    return iso(time_ms)[:10]


def closed(entries: Sequence[Entry], size: int, today: str) -> Sequence[Entry]:
    """Return the entries of the next segment, the first of `entries`; nothing while it is open.

    A segment ends with the UTC day of its entries, and holds at most `size`.
    """
    if not entries:
        return []
    day = day_of(entries[0].time_ms)
    for count, entry in enumerate(entries[:size]):
        if day_of(entry.time_ms) != day:
            return entries[:count]
    return entries[:size] if len(entries) >= size or day < today else []


class Archive:
    """The segments under one folder of a file system.

    Args:
        location: a folder, or the URI of one that pyarrow knows (`s3://bucket/folder`, `gs://…`, `hdfs://…`).

    Raises:
        ArchiveError: there is no such file system.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        try:
            if "://" in location:
                self._files, self._root = fs.FileSystem.from_uri(location)
            else:
                self._files, self._root = fs.LocalFileSystem(), str(Path(location).resolve())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ArchiveError(f"archive {location}: {error}") from error

    def write(self, partition: int, entries: Sequence[Entry]) -> None:
        """Write a closed segment; each file appears whole and on disk.

        Raises:
            ArchiveError: it could not be written; what was is written again with the segment.
        """
        first, last, day = entries[0].position, entries[-1].position, day_of(entries[0].time_ms)
        by_tenant: dict[str, list[Entry]] = {}
        for entry in entries:
            by_tenant.setdefault(entry.body.tenant, []).append(entry)
        for tenant, own in by_tenant.items():
            folder = f"{self._root}/tenant={tenant}/date={day}"
            name = f"p{partition:02d}-{first:012d}-{last:012d}.parquet"
            try:
                self._put(folder, name, table_of(own))
            except (OSError, pa.ArrowException) as error:
                raise ArchiveError(f"archive {folder}: {error}") from error

    def files(self, partition: int | None = None, tenant: str | None = None) -> list[ArchiveFile]:
        """Return the files by partition and position.

        Raises:
            ArchiveError: the archive does not answer.
        """
        folder = self._root if tenant is None else f"{self._root}/tenant={tenant}"
        found = (_parsed(info) for info in self._listed(folder))
        return sorted(file for file in found if file is not None and partition in (None, file.partition))

    def read(self, partition: int, after: int, until: int, tenant: str | None = None) -> Iterator[Segment]:
        """Yield the segments with positions behind `after`, up to `until`; with `tenant` that one's entries alone.

        Where all tenants of a run of positions keep it no longer, the segment is empty.

        Raises:
            ArchiveError: the archive does not answer, or a file is damaged.
        """
        by_run: dict[tuple[int, int], list[ArchiveFile]] = {}
        for file in self.files(partition, tenant):
            if file.last > after and file.last <= until:
                by_run.setdefault((file.first, file.last), []).append(file)
        end = after
        for (first, last), files in by_run.items():
            if first > end + 1:
                yield Segment(end + 1, first - 1, [])
            entries = [entry for file in files for entry in self._entries(file) if entry.position > end]
            entries.sort(key=lambda entry: entry.position)
            yield Segment(max(first, end + 1), last, entries)
            end = last

    def find(self, partition: int, tenant: str, position: int) -> "ArchiveFile | None":
        """Return the file that holds an entry of a tenant.

        Raises:
            ArchiveError: the archive does not answer.
        """
        files = self.files(partition, tenant)
        return next((file for file in files if file.first <= position <= file.last), None)

    def raw_entries(self, file: ArchiveFile) -> dict[int, bytes]:
        """Return a file's entries as the log held them, by position.

        Raises:
            ArchiveError: the file cannot be read.
        """
        table = self._read(file, ["position", "entry"])
        return dict(zip(table["position"].to_pylist(), table["entry"].to_pylist(), strict=True))

    def table(self, file: ArchiveFile, columns: list[str]) -> pa.Table:
        """Return some columns of a file.

        Raises:
            ArchiveError: the file cannot be read.
        """
        return self._read(file, columns)

    def rewrite(
        self, partition: int, tenant: str, customer_id: str, change: Callable[[bytes], bytes | None]
    ) -> int:
        """Replace the files that hold a customer; return how many entries `change` made others (None: it stays).

        Raises:
            ArchiveError: the archive does not answer; what was replaced is whole.
        """
        changed = 0
        for file in self.files(partition, tenant):
            if customer_id not in self._read(file, ["customerId"])["customerId"].to_pylist():
                continue
            rows = [(raw, change(raw)) for raw in self._read(file, ["entry"])["entry"].to_pylist()]
            changed += sum(new is not None for _, new in rows)
            entries = [unpacked(file, raw if new is None else new) for raw, new in rows]
            folder, _, name = file.path.rpartition("/")
            try:
                self._put(folder, name, table_of(entries))
            except (OSError, pa.ArrowException) as error:
                raise ArchiveError(f"archive {folder}: {error}") from error
        return changed

    def is_current(self, file: ArchiveFile) -> bool:
        """Whether a file is still the one that was listed: erasures replace files.

        Raises:
            ArchiveError: the archive does not answer.
        """
        try:
            return _written(self._files.get_file_info(file.path)) == file.written_ns
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"archive {file.path}: {error}") from error

    def expire(self, tenant: str, before: str) -> int:
        """Delete a tenant's files of the days before `before` (an ISO date); return how many there were.

        Raises:
            ArchiveError: the archive does not answer.
        """
        old = [file for file in self.files(tenant=tenant) if file.date < before]
        for file in old:
            self._delete(file.path)
        return len(old)

    def discard_unfinished(self, partition: int, first: int, last: int) -> None:
        """Delete what a killed writer left of the segment that begins at `first`, unless it ended at `last`, too.

        Nothing else may be deleted here: a learner that was cut off for long may believe that files are left-overs
        which its successor has finished since.

        Raises:
            ArchiveError: the archive does not answer.
        """
        own = f"p{partition:02d}-{first:012d}-"
        for info in self._listed(self._root):
            unfinished = info.base_name.startswith(f".{own}")
            if unfinished or (info.base_name.startswith(own) and info.base_name != f"{own}{last:012d}.parquet"):
                self._delete(info.path)

    def _put(self, folder: str, name: str, table: pa.Table) -> None:
        beside = f"{folder}/.{name}.{os.getpid()}"
        self._files.create_dir(folder, recursive=True)
        with self._files.open_output_stream(beside) as stream:
            pq.write_table(table, stream, compression="zstd", row_group_size=ROW_GROUP)
        self._sync(beside)
        self._files.move(beside, f"{folder}/{name}")
        self._sync(folder)

    def _sync(self, path: str) -> None:
        """Have a local file or folder on disk; what other systems acknowledge is."""
        if isinstance(self._files, fs.LocalFileSystem):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _listed(self, folder: str) -> list[Any]:
        try:
            infos = self._files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"archive {folder}: {error}") from error
        return [info for info in infos if info.type == fs.FileType.File]

    def _entries(self, file: ArchiveFile) -> list[Entry]:
        return [unpacked(file, raw) for raw in self._read(file, ["entry"])["entry"].to_pylist()]

    def _read(self, file: ArchiveFile, columns: list[str]) -> pa.Table:
        try:
            table = pq.read_table(file.path, columns=columns, filesystem=self._files, partitioning=None)
            table.validate(full=True)  # texts that are no UTF-8, and the like
        except (OSError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
            raise ArchiveError(f"{file.path}: {' '.join(str(error).split())}") from error
        return table

    def _delete(self, path: str) -> None:
        try:
            self._files.delete_file(path)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveError(f"archive {path}: {error}") from error


def unpacked(file: ArchiveFile, raw: bytes) -> Entry:
    """Return an entry of a file.

    Raises:
        ArchiveError: it is none.
    """
    try:
        return unpack_entry(raw)
    except DamagedEntry as error:
        raise ArchiveError(f"{file.path}: {error}") from error


def _written(info: Any) -> int:
    return info.mtime_ns or 0


def _parsed(info: Any) -> ArchiveFile | None:
    found = _NAME.search(info.path)
    if found is None:
        return None
    tenant, date, partition, first, last = found.groups()
    return ArchiveFile(int(partition), int(first), int(last), tenant, date, info.path, _written(info))
