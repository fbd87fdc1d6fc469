"""An archive's entries on their way to a fold: files that hold decisions and outcomes alone are read by columns."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from storage.archive import Archive, ArchiveFile, unpacked
from storage.entry import Entry
from storage.outcomes import LESSON, TEACHING, Outcomes
from storage.plain_rows import kind_mask, mask_of

READ: Final = ["kind", "position", *LESSON]


def read_runs(archive: Archive, partition: int, tenant: str) -> Iterator[list[Entry] | Outcomes]:
    """Yield a tenant's entries, file by file, in order and each once.

    Raises:
        ArchiveError: the archive does not answer, or a file is damaged.
    """
    end = 0
    for file in archive.files(partition, tenant):
        table = archive.table(file, READ)
        fresh = table.filter(pc.greater(table["position"], end))
        if len(fresh):
            yield _outcomes(tenant, fresh.combine_chunks().to_batches()[0]) or _entries(archive, file, end)
        end = file.last


def _entries(archive: Archive, file: ArchiveFile, after: int) -> list[Entry]:
    return [unpacked(file, raw) for position, raw in sorted(archive.raw_entries(file).items()) if position > after]


def _outcomes(tenant: str, rows: pa.RecordBatch) -> Outcomes | None:
    """Return what the rows teach, None where they cannot say it: models change, or a failure weighs nothing."""
    decisions, outcomes = kind_mask(rows, "decision"), kind_mask(rows, "outcome")
    positions = rows["position"].to_numpy()
    void = mask_of(pc.and_(pc.equal(rows["weight"], 0.0), pc.equal(rows["classification"], "negative")))
    if not (decisions | outcomes).all() or (void & outcomes).any() or (positions[1:] <= positions[:-1]).any():
        return None
    teaches = outcomes & mask_of(pc.is_in(rows["classification"], TEACHING))
    return Outcomes(
        tenant=tenant,
        entries=len(rows),
        decisions=int(decisions.sum()),
        unjoined=0,
        last=int(positions[-1]),
        positions=positions[teaches],
        rows=rows.select(LESSON).filter(pa.array(teaches)),
        decided=[None] * int(teaches.sum()),  # the archive's features are the joined ones
    )
