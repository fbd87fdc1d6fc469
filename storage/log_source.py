"""A log on disk as entries: a file of the public format, a folder of them, or an archive."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage.archive import Archive
from storage.decision_features import DecisionFeatures
from storage.entry import Decision, Entry, ModelChange, Scalar, unpack_entry
from storage.line_entries import entry_of, line_of
from storage.lines import DecisionLine, Line, OutcomeLine
from storage.public_log import BadLine, LogError, Row, encode_line, read_rows

BATCH: Final = 1_000
SUFFIXES: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".ndjson.zst", ".jsonl.zst", ".parquet")
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

    `tails` are entries that come behind the files, packed, by tenant: what an archive does not hold yet.
    """

    path: Path
    skip_bad: bool = False
    tails: dict[str, list[bytes]] = field(default_factory=dict)

    def scan(self, on_bad: Callable[[BadLine], None] | None, advance: Callable[[int], None]) -> dict[str, Found]:
        """Return what the log tells, by tenant, reading it once.

        Args:
            on_bad: is given each bad line, which is left out; without it the first ends the reading.
            advance: is told now and then how many entries have been read.

        Raises:
            LogError: the log cannot be read.
        """
        found: dict[str, Found] = {}
        for count, (entry, _, unjoined) in enumerate(self._all(None, on_bad), start=1):
            one = found.setdefault(entry.body.tenant, Found())
            one.add(entry)
            one.unjoined += unjoined
            if count % BATCH == 0:
                advance(count)
        return found

    def batches(self, tenant: str, until: int = END) -> Iterator[list[Entry]]:
        """Yield a tenant's entries up to position `until`, in order.

        Raises:
            LogError: the log cannot be read.
        """
        batch: list[Entry] = []
        for entry, is_decision, _ in self._all(tenant, _left_out if self.skip_bad else None):
            if entry.position > until:
                break
            if not is_decision:
                batch.append(entry)
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch

    def _all(
        self, tenant: str | None, on_bad: Callable[[BadLine], None] | None
    ) -> Iterator[tuple[Entry, bool, bool]]:
        """Yield entries, whether each is a decision, and whether it misses its decision."""
        if is_archive(self.path):
            for entry in self.archived(tenant):
                yield entry, isinstance(entry.body, Decision), False
            return
        with closing(_Lines(tenant)) as lines:
            for file in _files(self.path):
                for row in read_rows(file):
                    try:
                        made = lines.entry(row)
                    except BadLine as bad:
                        if on_bad is None:
                            raise
                        on_bad(bad)
                        continue
                    if made is not None:
                        yield made

    def archived(self, tenant: str | None) -> Iterator[Entry]:
        """Yield an archive's entries, partition by partition, then those of the tails."""
        archive = Archive(str(self.path))
        for partition, owner in sorted({(file.partition, file.tenant) for file in archive.files(tenant=tenant)}):
            for segment in archive.read(partition, 0, END, owner):
                yield from segment.entries
        for owner, raw in self.tails.items():
            if tenant in (None, owner):
                yield from map(unpack_entry, raw)


class _Lines:
    """Lines on their way to entries: each tenant's positions rise, and outcomes find their decisions."""

    def __init__(self, tenant: str | None) -> None:
        self._tenant = tenant
        self._last: dict[str, int] = {}
        self._decisions: dict[str, DecisionFeatures] = {}

    def entry(self, row: Row) -> tuple[Entry, bool, bool] | None:
        line = row.line()
        tenant = line.tenant or ""
        if self._tenant not in (None, tenant):
            return None
        last = self._last.get(tenant, 0)
        position = last + 1 if line.position is None else line.position
        if position <= last:
            raise row.bad(f"position {position} comes after {last}")
        self._last[tenant] = position
        if isinstance(line, DecisionLine):
            return self._decision(line, position, tenant), True, False
        features, unjoined = self._features(line, tenant)
        return entry_of(line, position, features), False, unjoined

    def close(self) -> None:
        for decisions in self._decisions.values():
            decisions.close()

    def _decision(self, line: DecisionLine, position: int, tenant: str) -> Entry:
        self._decisions.setdefault(tenant, DecisionFeatures()).put(line.recommendation_id, line.features)
        body = Decision(tenant, line.recommendation_id, line.customer_id, line.features, line.candidates, [], "", 0)
        return Entry(position, line.recorded_ms, body)

    def _features(self, line: Line, tenant: str) -> tuple[dict[str, Scalar] | None, bool]:
        if not isinstance(line, OutcomeLine) or line.recommendation_id is None or line.decided_at is not None:
            return None, False
        known = self._decisions.get(tenant)
        features = None if known is None else known.get(line.recommendation_id)
        return features, features is None


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


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))
    if not files:
        raise LogError(f"{path}: holds no log; names end in {', '.join(SUFFIXES)}")
    return files


def _left_out(_: BadLine) -> None:
    """A bad line was told when the log was scanned."""
