"""The archive under faults: writers killed amid a segment, a full disk, Redis away. Nothing is lost or twice."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.archive import Archive
from storage.entry import Entry, Outcome
from storage.keys import partition_of
from tests.archives import caught_writing, dense_entries, end_of, unfinished
from tests.load import Load, send_all
from tests.service import Service, running, until

pytestmark = pytest.mark.anyio

SEGMENT = 500
WAVE = 3_000
TENANT = "archived"
PARTITION = partition_of(TENANT, 64)
WAVES = 8


def outcomes(wave: int) -> list[dict[str, Any]]:
    return [
        {
            "customerId": f"c{number % 50}",
            "creativeId": ("cr1", "cr2")[number % 2],
            "outcome": "click",
            "attributes": {"note": f"{number} " + "of many " * 20},
            "idempotencyKey": f"wave-{wave}-{number}",
        }
        for number in range(WAVE)
    ]


async def all_are_there_once(
    service: Service, headers: dict[str, str], loads: list[Load], archive: Archive
) -> None:
    """Every acknowledged outcome stands once in archive and Redis together, archived once, and was learned."""
    entries = [entry for entry in await service.entries(TENANT) if isinstance(entry.body, Outcome)]
    sent = WAVE * len(loads)
    assert sum(len(load.acknowledged) for load in loads) == sent
    assert len({_key(entry) for entry in entries}) == len(entries) == sent
    until(lambda: end_of(archive, PARTITION) >= sent - SEGMENT, 60, "all closed segments are archived")
    archived = [entry for entry in dense_entries(archive, PARTITION) if isinstance(entry.body, Outcome)]
    assert [_key(entry) for entry in archived] == [_key(entry) for entry in entries[: len(archived)]]
    until(lambda: sum(arm["pulls"] for arm in arms(service, headers)) == sent, 30, "all are learned")


def _key(entry: Entry) -> str:
    assert isinstance(entry.body, Outcome)
    return entry.body.interaction_id


def arms(service: Service, headers: dict[str, str]) -> list[dict[str, Any]]:
    state = service.state(headers)
    return [arm for name, arm in state.items() if name != "position"]


def archive_error(service: Service) -> str:
    learners = service.status()["learners"]
    return str(learners[PARTITION % len(learners)]["archiveError"] or "") if learners else "none tells"


async def test_a_learner_killed_amid_a_segment_and_redis_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "archive"
    with running(tmp_path / "data", REWARDLOOP_ARCHIVE_SEGMENT=str(SEGMENT)) as service:
        headers, archive = service.tenant(TENANT), Archive(str(folder))
        loads, torn = [], 0
        for wave in range(WAVES):
            [learner] = service.processes("ray::LearnerActor")
            killing = asyncio.create_task(asyncio.to_thread(caught_writing, folder, learner, 20))
            loads.append(await send_all(service.port, headers, outcomes(wave)))
            torn += bool(await killing)
            until(service.ready, 60, "the service is ready again")
            if torn:
                break
        assert torn, "the learner was killed while a segment was half written"

        async def kill_redis() -> None:
            service.kill("redis-server")

        loads.append(await send_all(service.port, headers, outcomes(WAVES), at=(WAVE // 3, kill_redis)))
        until(service.ready, 60, "the service is ready again")
        await all_are_there_once(service, headers, loads, archive)
        until(lambda: not unfinished(folder), 10, "what killed writers left is cleared away")
        assert archive_error(service) == ""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of some size at a folder while the block lasts."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a full disk needs the right to mount one: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_is_told_and_outlived(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "archive"
    with small_disk(folder, "128k"), running(tmp_path / "data", REWARDLOOP_ARCHIVE_SEGMENT=str(SEGMENT)) as service:
        headers, archive = service.tenant(TENANT), Archive(str(folder))
        loads = [await send_all(service.port, headers, outcomes(0))]
        until(lambda: "No space left on device" in archive_error(service), 30, "status tells why")
        told = service.command("status", code=None)
        assert "cannot archive, keeps all in Redis: archive " in told
        until(service.ready, 10, "it goes on answering")
        loads.append(await send_all(service.port, headers, outcomes(1)))
        assert loads[-1].broken == 0
        stuck = end_of(archive, PARTITION)
        assert stuck < WAVE
        dense_entries(archive, PARTITION)

        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        until(lambda: archive_error(service) == "", 30, "it archives again")
        await all_are_there_once(service, headers, loads, archive)
        assert not unfinished(folder)
