"""A log on disk as entries: a file of the public format, a folder of them, or an archive."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from storage.archive import Archive
from storage.archived_runs import read_runs
from storage.entry import Decision, Entry, ModelChange, unpack_entry
from storage.line_entries import line_of
from storage.line_files import is_parquet
from storage.outcomes import Outcomes
from storage.plain_rows import PlainRows, read_plain
from storage.public_log import BadLine, LogError, Row, encode_line, read_rows
from storage.walk import Walk

BATCH: Final = 1_000
SUFFIXES: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".ndjson.zst", ".jsonl.zst", ".parquet")
CHANGES: Final = frozenset({"model", "offer_removed"})
Stamp: TypeAlias = tuple[int, int]
"""Size of a file and when it was changed, in ns."""
END: Final = 2**63 - 1
"""Behind every position."""


@dataclass(slots=True)
class Found:
    """What a log tells of one tenant."""

    entries: int = 0
    decisions: int = 0
    unjoined: int = 0
    """Outcomes that name a decision which does not stand before them; they teach with their own features."""
    last: int = 0
    """The last position."""
    models: dict[str, int] = field(default_factory=dict)
    """The models that the log itself makes: id and position."""

    def add_outcomes(self, run: Outcomes) -> None:
        """Count a run of entries more."""
        self.entries += run.entries
        self.decisions += run.decisions
        self.unjoined += run.unjoined
        self.last = run.last

    def add(self, entry: Entry) -> None:
        """Count one entry more."""
        self.entries += 1
        self.last = entry.position
        match entry.body:
            case Decision():
                self.decisions += 1
            case ModelChange(model_id=model_id):
                self.models.setdefault(model_id, entry.position)


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log to read, as often as one likes.

    `tails` are entries that come behind the files, packed, by tenant: what an archive does not hold yet. `plain`
    are the Parquet files in which a scan found no fault, as they were then: they are not checked again.
    """

    path: Path
    skip_bad: bool = False
    tails: dict[str, list[bytes]] = field(default_factory=dict)
    plain: dict[Path, Stamp] = field(default_factory=dict)

    def scan(self, on_bad: Callable[[BadLine], None] | None, advance: Callable[[int], None]) -> dict[str, Found]:
        """Return what the log tells, by tenant, reading it once.

        Args:
            on_bad: is given each bad line, which is left out; without it the first ends the reading.
            advance: is told now and then how many entries have been read.

        Raises:
            LogError: the log cannot be read.
        """
        found: dict[str, Found] = {}
        count = told = 0
        for made in self._all(None, on_bad):
            if isinstance(made, Outcomes):
                found.setdefault(made.tenant, Found()).add_outcomes(made)
                count += made.entries
            else:
                entry, unjoined = made
                one = found.setdefault(entry.body.tenant, Found())
                one.add(entry)
                one.unjoined += unjoined
                count += 1
            if count - told >= BATCH:
                advance(count)
                told = count
        return found

    def batches(
        self, tenant: str, until: int = END, advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[list[Entry] | Outcomes]:
        """Yield a tenant's entries up to position `until`, in order, outcomes as columns where the log has columns.

        Decisions are left out, for they teach nothing; `advance` is told how many entries more have been read, with
        them.

        Raises:
            LogError: the log cannot be read.
        """
        batch: list[Entry] = []
        read = 0
        for made in self._all(tenant, _left_out if self.skip_bad else None):
            if isinstance(made, Outcomes):
                if batch:
                    yield batch
                batch = []
                yield made.until(until)
                advance(made.entries)
                if made.last >= until:
                    break
                continue
            entry, _ = made
            if entry.position > until:
                break
            read += 1
            if not isinstance(entry.body, Decision):
                batch.append(entry)
            if read == BATCH:
                yield batch
                advance(read)
                batch, read = [], 0
        yield batch
        advance(read)

    def _all(
        self, tenant: str | None, on_bad: Callable[[BadLine], None] | None
    ) -> Iterator[tuple[Entry, bool] | Outcomes]:
        """Yield entries, each with whether it misses its decision, and runs of them that are columns already."""
        if is_archive(self.path):
            for run in self._archived_runs(tenant):
                if isinstance(run, Outcomes):
                    yield run
                else:
                    yield from ((entry, False) for entry in run)
            return
        with closing(Walk(tenant)) as walk:
            for file in _files(self.path):
                yield from self._in_file(file, walk, on_bad)

    def _in_file(
        self, file: Path, walk: Walk, on_bad: Callable[[BadLine], None] | None
    ) -> Iterator[tuple[Entry, bool] | Outcomes]:
        stamp = _stamp(file)
        if not is_parquet(file):
            yield from _entries(read_rows(file), walk, on_bad)
            return
        plain = True
        for piece in read_plain(file, known=self.plain.get(file) == stamp):
            if isinstance(piece, PlainRows) and (outcomes := walk.outcomes(piece.rows)) is not None:
                yield from outcomes
                continue
            rows = [piece] if isinstance(piece, Row) else piece.lines()
            plain = plain and isinstance(piece, Row) and piece.kind() in CHANGES
            yield from _entries(rows, walk, on_bad)
        if plain and walk.tenant is None:
            self.plain[file] = stamp

    def archived(self, tenant: str | None) -> Iterator[Entry]:
        """Yield an archive's entries, partition by partition, then those of the tails."""
        archive = Archive(str(self.path))
        for partition, owner in _shares(archive, tenant):
            for segment in archive.read(partition, 0, END, owner):
                yield from segment.entries
        for run in self._tails(tenant):
            yield from run

    def _archived_runs(self, tenant: str | None) -> Iterator[list[Entry] | Outcomes]:
        archive = Archive(str(self.path))
        for partition, owner in _shares(archive, tenant):
            yield from read_runs(archive, partition, owner)
        yield from self._tails(tenant)

    def _tails(self, tenant: str | None) -> Iterator[list[Entry]]:
        return (list(map(unpack_entry, raw)) for owner, raw in self.tails.items() if tenant in (None, owner))


def _shares(archive: Archive, tenant: str | None) -> list[tuple[int, str]]:
    return sorted({(file.partition, file.tenant) for file in archive.files(tenant=tenant)})


def is_archive(path: Path) -> bool:
    """Return whether the folder is an archive, and not a file or a folder of public logs."""
    return path.is_dir() and any(path.glob("tenant=*/date=*"))


def rows_of(path: Path, tenant: str | None = None) -> Iterator[Row]:
    """Yield the lines of a log in order: of a file, of a folder of them, or of an archive.

    Args:
        path: the log.
        tenant: whose part of an archive to read; others' lines in files are not left out.

    Raises:
        LogError: the log cannot be read.
    """
    if is_archive(path):
        for entry in LogSource(path).archived(tenant):
            yield Row(path, entry.position, encode_line(line_of(entry)))
        return
    for file in _files(path):
        yield from read_rows(file)


def _entries(
    rows: Iterable[Row], walk: Walk, on_bad: Callable[[BadLine], None] | None
) -> Iterator[tuple[Entry, bool]]:
    for row in rows:
        try:
            made = walk.entry(row)
        except BadLine as bad:
            if on_bad is None:
                raise
            on_bad(bad)
            continue
        if made is not None:
            yield made


def _stamp(file: Path) -> Stamp:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))
    if not files:
        raise LogError(f"{path}: holds no log; names end in {', '.join(SUFFIXES)}")
    return files


def _left_out(_: BadLine) -> None:
    """A bad line was told when the log was scanned."""
