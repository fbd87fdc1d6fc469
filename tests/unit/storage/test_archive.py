"""The archive on a real file system: what its files hold, who reads them, and what a killed writer leaves."""

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest

from storage.archive import Archive, ArchiveFile, closed
from storage.commit import Committed
from storage.entry import (
    Body,
    Decision,
    DecisionPoint,
    Entry,
    ModelChange,
    OfferRemoved,
    Outcome,
    Resolution,
    ShownOffer,
    pack_entry,
)
from storage.errors import ArchiveError
from storage.past import CACHED, PastEntries

DAY_MS = 24 * 3_600_000
RESOLUTION = Resolution("o1", "cr1", "ch1", "p1", "cat1", "Offer", "Creative", "Channel", "Category")


def outcome(position: int, time_ms: int = 0, tenant: str = "a") -> Entry:
    body = Outcome(
        tenant,
        f"int_{position}",
        "c1",
        "click",
        "positive",
        "inbound",
        delivery=False,
        value=9.5,
        features={"tier": "gold", "age": 38, "share": 0.25, "new": True},
        context='{"a":1}',
    )
    return Entry(position, time_ms, body, RESOLUTION, DecisionPoint(time_ms, {"hour": 7}, 0.5, "m"))


def every_kind() -> list[Entry]:
    shown = ShownOffer(1, RESOLUTION, 0.7, 0.41, "int_d", delivered=True)
    bodies: list[Body] = [
        ModelChange("a", "m1", "default", "lin_ts", "champion", '{"explore":0.3}', {"click": 2.0}, warm=True),
        Decision("a", "r1", "c1", {"tier": "gold"}, ["o1", "o2"], [shown], "default", 3),
        OfferRemoved("b", "o9"),
    ]
    return [outcome(1), *(Entry(i, i, body) for i, body in enumerate(bodies, 2)), outcome(5, 5, "b")]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


def test_every_kind_of_entry_comes_back_as_it_was(archive: Archive) -> None:
    archive.write(7, every_kind())

    [segment] = archive.read(7, 0, 5)

    assert (segment.first, segment.last, segment.missing) == (1, 5, 0)
    assert list(segment.entries) == every_kind()
    assert [list(one.entries) for one in archive.read(7, 0, 5, "b")] == [[every_kind()[3], every_kind()[4]]]
    assert list(archive.read(8, 0, 5)) == []


def test_files_are_named_by_tenant_day_and_positions(archive: Archive) -> None:
    archive.write(7, every_kind())

    root = Path(archive.location)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet")) == [
        f"tenant={tenant}/date=1970-01-01/p07-000000000001-000000000005.parquet" for tenant in "ab"
    ]


def test_duckdb_and_polars_read_it_as_it_is(archive: Archive) -> None:
    archive.write(7, every_kind())
    archive.write(7, [outcome(6, DAY_MS), outcome(7, DAY_MS, "b")])
    files = f"{archive.location}/**/*.parquet"

    outcomes = duckdb.read_parquet(files, hive_partitioning=True).filter("kind = 'outcome'").order("position")
    rows = outcomes.project("tenant, date::VARCHAR, position, features->>'tier', value").fetchall()
    assert rows == [
        ("a", "1970-01-01", 1, "gold", 9.5),
        ("b", "1970-01-01", 5, "gold", 9.5),
        ("a", "1970-01-02", 6, "gold", 9.5),
        ("b", "1970-01-02", 7, "gold", 9.5),
    ]
    frame = pl.scan_parquet(files, hive_partitioning=True).filter(pl.col("tenant") == "b").collect()
    assert sorted(frame["position"].to_list()) == [4, 5, 7]
    assert set(map(str, frame["date"].to_list())) == {"1970-01-01", "1970-01-02"}


def test_a_segment_ends_with_its_size_or_its_day() -> None:
    entries = [outcome(i, (i // 4) * DAY_MS) for i in range(1, 9)]  # three of the first day, four, and one

    assert [e.position for e in closed(entries, 2, "1970-01-01")] == [1, 2]
    assert [e.position for e in closed(entries, 100, "1970-01-01")] == [1, 2, 3]
    assert [e.position for e in closed(entries[3:], 100, "1970-01-01")] == [4, 5, 6, 7]
    assert closed(entries[7:], 100, "1970-01-03") == []
    assert [e.position for e in closed(entries[7:], 100, "1970-01-04")] == [8]
    assert closed([], 1, "1970-01-04") == []


def test_writing_a_segment_again_changes_nothing(archive: Archive) -> None:
    archive.write(7, every_kind())
    before = {path: path.read_bytes() for path in Path(archive.location).rglob("*.parquet")}

    archive.write(7, every_kind())

    assert {path: path.read_bytes() for path in Path(archive.location).rglob("*") if path.is_file()} == before


def test_what_a_killed_writer_left_of_a_segment_is_discarded_and_nothing_else(archive: Archive) -> None:
    archive.write(7, [outcome(1), outcome(2)])
    archive.write(8, [outcome(3), outcome(4)])
    archive.write(7, [outcome(3), outcome(4, tenant="b")])
    archive.write(7, [outcome(3), outcome(4), outcome(5)])  # the same segment, of another size
    kept = Path(archive.location, "tenant=a/date=1970-01-01")
    (kept / ".p07-000000000003-000000000005.parquet.99").write_bytes(b"half")
    (kept / ".p08-000000000003-000000000004.parquet.99").write_bytes(b"another's")

    archive.discard_unfinished(7, 3, 5)

    assert sorted(path.name for path in Path(archive.location).rglob("*") if path.is_file()) == [
        ".p08-000000000003-000000000004.parquet.99",
        "p07-000000000001-000000000002.parquet",
        "p07-000000000003-000000000005.parquet",
        "p08-000000000003-000000000004.parquet",
    ]


def test_what_is_kept_no_longer_is_counted(archive: Archive) -> None:
    archive.write(7, [outcome(1), outcome(2, tenant="b")])
    archive.write(7, [outcome(3), outcome(4)])
    archive.write(7, [outcome(5, 2 * DAY_MS)])

    assert archive.expire("a", "1970-01-03") == 2

    left = [(one.first, one.last, one.missing, [e.position for e in one.entries]) for one in archive.read(7, 0, 5)]
    assert left == [(1, 2, 1, [2]), (3, 4, 2, []), (5, 5, 0, [5])]
    assert [(one.first, one.missing) for one in archive.read(7, 1, 2)] == [(2, 0)], "from the middle of a segment"


def test_an_entry_is_found_by_its_position(archive: Archive) -> None:
    archive.write(7, [outcome(1), outcome(2, tenant="b")])
    archive.write(7, [outcome(3), outcome(4)])

    found = archive.find(7, "a", 4)
    assert found is not None
    assert (found.first, found.last) == (3, 4)
    assert list(archive.raw_entries(found)) == [3, 4]
    assert archive.find(7, "a", 5) is None
    assert archive.find(8, "a", 4) is None


def damage(archive: Archive, *, told: bool = True) -> None:
    """Overwrite every file; unless it is `told`, their times of change stay."""
    for path in Path(archive.location).rglob("*.parquet"):
        written_ns = path.stat().st_mtime_ns
        path.write_bytes(b"damaged")
        if not told:
            os.utime(path, ns=(written_ns, written_ns))


@pytest.mark.anyio
async def test_what_redis_has_no_more_is_recalled_or_said_to_be_lost(archive: Archive) -> None:
    past = PastEntries(archive)
    archive.write(7, [outcome(1), outcome(2, tenant="b")])
    gone = Committed("archived", 1, b"", b"12345678", 3, 0)

    assert await past.recall(7, "a", gone) == replace(gone, status="duplicate", entry=pack_entry(outcome(1)))
    assert (await past.recall(7, "b", gone)).status == "lost", "another tenant's entry"
    assert (await past.recall(7, "a", replace(gone, position=9))).status == "lost"
    recorded = replace(gone, status="recorded")
    assert await past.recall(7, "a", recorded) is recorded
    damage(archive, told=False)
    assert (await past.recall(7, "a", gone)).status == "duplicate", "it was read before"
    with pytest.raises(ArchiveError):
        await PastEntries(archive).recall(7, "a", gone)
    os.utime(Path(archive.find(7, "a", 1).path))  # type: ignore[union-attr]
    with pytest.raises(ArchiveError):
        await past.recall(7, "a", gone)


class _Slow(Archive):
    """An archive that takes long to say whether a file is still the one that was read."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def is_current(self, file: ArchiveFile) -> bool:
        self.asked.set()
        self.go_on.wait(10)
        return super().is_current(file)


@pytest.mark.anyio
async def test_a_file_that_others_push_out_of_memory_meanwhile_is_no_matter(archive: Archive) -> None:
    slow = _Slow(archive.location)
    for position in range(1, CACHED + 2):
        slow.write(7, [outcome(position)])
    past = PastEntries(slow)
    first = await past.find(7, "a", 1)
    again = asyncio.create_task(past.find(7, "a", 1))
    await asyncio.to_thread(slow.asked.wait, 10)
    for position in range(2, CACHED + 2):
        assert await past.find(7, "a", position) == pack_entry(outcome(position))
    slow.go_on.set()
    assert await again == first == pack_entry(outcome(1))


def test_damage_and_unknown_places_are_told_in_one_line(archive: Archive) -> None:
    archive.write(7, [outcome(1)])
    [path] = Path(archive.location).rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArchiveError, match=path.name) as caught:
        list(archive.read(7, 0, 1))
    assert "\n" not in str(caught.value)
    with pytest.raises(ArchiveError, match="nowhere"):
        Archive("nowhere://bucket")
