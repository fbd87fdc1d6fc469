"""What is true of every archive, whatever happened while it was written."""

import time
from pathlib import Path

import psutil

from storage.archive import Archive
from storage.entry import Entry


def end_of(archive: Archive, partition: int) -> int:
    """Return the last archived position, 0 if there is none."""
    return max((file.last for file in archive.files(partition)), default=0)


def dense_entries(archive: Archive, partition: int) -> list[Entry]:
    """Return an archive's entries, after checking that each position up to its end is there once."""
    files = archive.files(partition)
    assert [file.first for file in files] == [1, *(file.last + 1 for file in files[:-1])]
    entries = [
        entry for segment in archive.read(partition, 0, end_of(archive, partition)) for entry in segment.entries
    ]
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    return entries


def unfinished(folder: Path) -> list[Path]:
    """Return files that somebody is writing, or left behind."""
    return list(folder.glob("tenant=*/date=*/.p*"))


def caught_writing(folder: Path, writer: psutil.Process, deadline_s: float) -> list[Path]:
    """End the writer by kill -9 as soon as it writes a segment; return what it leaves unfinished."""
    deadline = time.monotonic() + deadline_s
    while not unfinished(folder):
        if time.monotonic() > deadline:
            return []
    writer.kill()
    left = unfinished(folder)
    psutil.wait_procs([writer], timeout=10)
    return left and unfinished(folder)
