"""Live and replay: whatever was killed meanwhile, archive and exports make the same models, byte for byte."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from learners.models import MODELS
from storage.archive import Archive
from storage.entry import Outcome
from storage.keys import partition_of
from tests.load import send_all
from tests.service import Service, running, until

pytestmark = pytest.mark.anyio

OUTCOMES = 4_000
SEGMENT = 700
TENANT = "replayed"
VICTIMS = ("ray::LearnerActor", "ray::ServeReplica", "redis-server", "ray::LearnerActor")


def outcome(number: int) -> dict[str, Any]:
    return {
        "customerId": f"c{number % 97}",
        "creativeId": ("cr1", "cr2")[number % 2],
        "outcome": ("click", "dismiss", "purchase", "view")[number % 4],
        "conversionValue": number % 13 + 0.5,
        "attributes": {"age": 20 + number % 50, "tier": ("gold", "none")[number % 3 == 0], "share": number % 7 / 7},
        "idempotencyKey": f"key-{number}",
    }


def all_models(http: httpx.Client) -> None:
    for name in MODELS:
        body: dict[str, Any] = {"key": name, "name": name, "modelType": name, "config": {}}
        if name != "scorecard":
            body["config"]["halfLife"] = {"events": 500}
        answer = http.post("/algorithm-models", json=body)
        assert answer.status_code == 201, answer.text
        assert http.post(f"/algorithm-models/{answer.json()['id']}/promote", json={"to": "shadow"}).is_success


def made_late(http: httpx.Client) -> None:
    body = {"key": "late", "name": "late", "modelType": "lin_ts", "config": {}, "from": "log"}
    assert http.post("/algorithm-models", json=body).status_code == 201


def verified(service: Service, log: Path, workers: int) -> list[str]:
    """Replay a log against the live models; return the digests."""
    said = service.command("replay", str(log), "--verify", "--json", "--workers", str(workers))
    rows = json.loads(said)["models"]
    assert {row["live"] for row in rows} == {"identical"}, rows
    assert {row["modelType"] for row in rows} == set(MODELS)
    return [row["digest"] for row in rows]


async def test_replay_equals_live_from_the_archive_and_from_exports(tmp_path: Path) -> None:
    with running(tmp_path / "data", REWARDLOOP_ARCHIVE_SEGMENT=str(SEGMENT)) as service:
        headers = service.tenant(TENANT)
        with httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30) as http:
            all_models(http)
            share = OUTCOMES // len(VICTIMS)
            for number, victim in enumerate(VICTIMS):

                async def kill(title: str = victim) -> None:
                    service.kill(title)

                sent = [outcome(i) for i in range(number * share, (number + 1) * share)]
                load = await send_all(service.port, headers, sent, at=(share // 3, kill))
                assert len(load.acknowledged) == share
                until(service.ready, 60, "the service is ready again")
            made_late(http)
        archive = Archive(str(tmp_path / "data" / "archive"))
        partition = partition_of(TENANT, 64)
        until(lambda: archived(archive, partition) >= OUTCOMES - SEGMENT, 60, "the log is archived")
        await service.checkpointed(partition)
        digests = set()
        for log_format in ("parquet", "ndjson", "ndjson.gz", "ndjson.zst"):
            out = tmp_path / log_format
            service.command("export", "--tenant", TENANT, "--out", str(out), "--format", log_format)
            digests.add(tuple(verified(service, out / f"{TENANT}.{log_format}", 1)))
        digests.add(tuple(verified(service, out, 4)))
        digests.add(tuple(verified(service, tmp_path / "data" / "archive", 1)))
        digests.add(tuple(verified(service, tmp_path / "data" / "archive", 4)))
        assert len(digests) == 1
        incomplete(service, tmp_path / "ndjson" / f"{TENANT}.ndjson")
        once_and_in_order(archive, partition)


def incomplete(service: Service, log: Path) -> None:
    """A log without the last model, and one whose last outcomes are missing, are no proof."""
    lines = log.read_text().splitlines(keepends=True)
    late = next(number for number, line in enumerate(lines) if '"late"' in line)
    for kept, said in (
        (lines[:late], "the log does not make it"),
        (lines[: late // 2], "the log ends at position"),
    ):
        cut = log.with_name("cut.ndjson")
        cut.write_text("".join(kept))
        assert said in service.command("replay", str(cut), "--verify", "--workers", "1", code=1)


def archived(archive: Archive, partition: int) -> int:
    return max((file.last for file in archive.files(partition)), default=0)


def once_and_in_order(archive: Archive, partition: int) -> None:
    [*segments] = archive.read(partition, 0, archived(archive, partition))
    entries = [entry for segment in segments for entry in segment.entries]
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    keys = [entry.body.interaction_id for entry in entries if isinstance(entry.body, Outcome)]
    assert len(keys) == len(set(keys)) >= OUTCOMES - 2 * SEGMENT
