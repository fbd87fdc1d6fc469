"""What the service holds when the torture is over: the log as the checker reads it, and what was counted of it."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
from threadpoolctl import threadpool_limits

from learners.shard import fold_log
from storage import client, erased, history, keys, log
from storage.archive import Archive, day_of
from storage.entry import Decision, Entry, Outcome, pack_entry
from storage.erasure import LOCK_MS
from storage.keys import partition_of
from tests.faults.torture.counts import Counts, Row
from tests.faults.torture.history import Logged, Violation
from tests.service import Service

PARTITIONS = 64
SETTLED_S = 90.0
QUIET_S = 5.0
"""More than a command to Redis may take."""


def logged(entry: Entry) -> Logged:
    """Return an entry as the checker looks at it."""
    match entry.body:
        case Outcome() as body:
            resolved = entry.resolution
            assert resolved is not None
            return Logged(
                position=entry.position,
                number=int(body.features.get("op", 0)),
                kind="outcome",
                customer=body.customer_id,
                creative=resolved.creative_id,
                offer=resolved.offer_id,
                outcome=body.outcome,
                classification=body.classification,
                delivery=entry.is_delivery,
                value=body.value or 0.0,
                interaction_id=body.interaction_id,
                touches=len(entry.touches) if body.is_conversion else None,
                date=day_of(entry.event_time_ms),
                time_ms=entry.event_time_ms,
            )
        case Decision() as body:
            number, made = int(body.features.get("op", 0)), body.recommendation_id
            return Logged(entry.position, number, "decision", body.customer_id, interaction_id=made)
        case _:
            return Logged(entry.position)


async def settled(service: Service, tenant: str) -> tuple[int, Iterable[Violation]]:
    """Return when nothing changes any more, and how many entries the log has got until then.

    A request whose client gave up may still be on its way. What an erasure has left to be done in the archive, the
    service must have done by now.
    """
    partition = partition_of(tenant, PARTITIONS)
    async with client.reader(service.redis_url) as redis:
        seen: list[int] = []
        [first] = await log.heads(redis, [partition])
        since = began_at = time.monotonic()
        while time.monotonic() - since < QUIET_S:
            [head] = await log.heads(redis, [partition])
            left_ms = await redis.pttl(keys.erasing_key(partition))
            erasing = 0 < left_ms <= LOCK_MS  # the next erasure shortens a lock that is older than a clock set back
            now = [head, erasing, len(await erased.left(redis, [partition]))]
            if now != seen or any(now[1:]):
                seen, since = now, time.monotonic()
            if time.monotonic() - began_at > SETTLED_S:
                return head - first, [Violation("unsettled", "", f"head, erasing, left to be erased: {seen}")]
            await asyncio.sleep(0.1)
    return head - first, []


async def read_log(service: Service, tenant: str) -> list[Sequence[Entry]]:
    """Return all of the tenant's partition, run by run, from archive and Redis."""
    partition = partition_of(tenant, PARTITIONS)
    archive = Archive(str(service.data_dir / "archive"))
    async with client.reader(service.redis_url) as redis:
        [head] = await log.heads(redis, [partition])
        return [part.entries async for part in history.follow(redis, archive, partition, 0, head)]


def replayed(partition: int, runs: Sequence[Sequence[Entry]], live: bytes, kept: Path) -> Iterable[Violation]:
    """Hold a fold of the log against the live checkpoint, byte by byte; where they differ, both are `kept`."""
    with threadpool_limits(1):  # a matrix product rounds as it does in a learner
        fresh = fold_log(partition, runs).state()
    if fresh == live:
        return []
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "live").write_bytes(live)
    (kept / "fresh").write_bytes(fresh)
    (kept / "log").write_bytes(msgspec.msgpack.encode([[pack_entry(one) for one in run] for run in runs]))
    where = difference(msgspec.msgpack.decode(fresh), msgspec.msgpack.decode(live))
    return [Violation("replay", "", f"a fold of the log is not the live checkpoint, see {kept}: {where}")]


def difference(fresh: Any, live: Any, place: str = "") -> str:
    """Return where two states first differ; nothing where they are the same."""
    match fresh, live:
        case dict(), dict() if list(fresh) == list(live):
            pairs = [(f"{place}/{name}", fresh[name], live[name]) for name in fresh]
        case list(), list() if len(fresh) == len(live):
            pairs = [(f"{place}/{index}", *both) for index, both in enumerate(zip(fresh, live, strict=True))]
        case _ if msgspec.msgpack.encode(fresh) == msgspec.msgpack.encode(live):
            return ""
        case _:
            return f"{place}: {str(fresh)[:200]} in the fold, {str(live)[:200]} in the checkpoint"
    return next((found for where, *both in pairs if (found := difference(both[0], both[1], where))), "")


def read_counts(http: httpx.Client, log: Iterable[Logged]) -> Counts:
    """Return what the service counted, as it tells over HTTP."""
    customers = {entry.customer for entry in log if entry.kind == "outcome"}
    rollup = _data(http, "/interaction-summary?groupBy=offer&days=2")
    caps = _data(http, "/frequency-caps?limit=100")
    arms = _data(http, "/algorithm-models/model_default/state")
    return Counts(
        summaries=dict(_summaries(http, customers)),
        caps={one["scopeId"]: one["currentCount"] for one in caps},
        rollup={
            row["id"]: (row["total"], row["positive"], row["negative"], row["neutral"])
            for row in rollup
            if row["total"]
        },
        models={arm["offerId"]: (arm["positives"], arm["negatives"]) for arm in arms if arm["pulls"]},
    )


def _summaries(http: httpx.Client, customers: Iterable[str]) -> Iterator[tuple[tuple[str, str], Row]]:
    for customer in sorted(customers):
        for row in _data(http, f"/interaction-summaries?customerId={customer}&periodType=alltime&limit=100"):
            counts = (row["positive"], row["negative"], row["neutral"], row["impressions"], row["totalValue"])
            yield (customer, row["creativeId"]), counts


def read_registers(http: httpx.Client, names: Iterable[str]) -> dict[str, int]:
    """Return what the catalogue's registers hold."""
    return {name: int(_json(http, f"/offers/{name}")["businessValue"]) for name in names}


def audit_is_intact(http: httpx.Client) -> Iterable[Violation]:
    """Ask the service whether the chain of its audit log holds."""
    said = _json(http, "/audit-logs/verify")
    return [] if said["intact"] else [Violation("audit", "", str(said))]


def _data(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    body = _json(http, path)
    found: list[dict[str, Any]] = body["data"]
    return found


def _json(http: httpx.Client, path: str) -> Any:
    answer = http.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()
