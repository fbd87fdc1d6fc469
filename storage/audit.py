"""The audit log: who changed which item of a tenant's configuration, from what to what; append-only, hash-chained.

Each row carries the SHA-256 of its canonical JSON (sorted keys, no white space), in which the hash of the row
before it stands. A row that was changed, removed or moved breaks the chain from there on; how many rows there are,
and the last one's hash, are kept apart, so that the end cannot be cut off unseen. Rows are appended by the script
that writes the configuration, in the same step.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from storage import keys
from storage.clock import iso
from storage.scripts import script, wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

Action: TypeAlias = Literal["create", "update", "delete", "promote", "erase"]
Row: TypeAlias = dict[str, Any]
"""`id, action, entityType, entityId, before, after, actor, requestId, timestamp, prevHash, hash`."""

GENESIS: Final = "0" * 64
"""The hash before the first row."""
SECRETS: Final = ("sealed",)
"""Fields that no row shows."""
BATCH: Final = 500
MAX_DIGITS: Final = 18
"""Of a row's number: Redis counts to 2^64."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: the id of a key and that of the request, or a command."""

    actor: str
    request_id: str | None = None


COMMAND: Final = Author("command")
"""Whoever may run commands on the installation."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of the chain: how many rows there are, the last one's hash, and the time."""

    count: int
    hash: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to an item; `before` and `after` are None where it is not there."""

    action: Action
    entity_type: str
    entity_id: str
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chain holds: rows checked, and where it breaks, None if it does not."""

    verified: int
    broken_at: str | None


def row_id(number: int) -> str:
    """Return the id of the row with a number, from 1."""
    return f"audit_{number}"


def row_number(row_id: str) -> int:
    """Return the number of a row from its id.

    Raises:
        ValueError: it is the id of no row.
    """
    start, _, number = row_id.partition("_")
    if start != "audit" or not number.isascii() or not number.isdigit() or len(number) > MAX_DIGITS:
        raise ValueError(f"{row_id!r} is no row of the audit log")
    return int(number)


def digest(row: Row) -> str:
    """Return the hash of a row, whose own `hash` does not count."""
    rest = {name: value for name, value in row.items() if name != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def chained(tip: Tip, author: Author, changes: Sequence[Change]) -> list[Row]:
    """Return the rows that tell of changes, chained to the end of the log."""
    rows, last = [], tip.hash
    for number, change in enumerate(changes, start=tip.count + 1):
        row: Row = {
            "id": row_id(number),
            "action": change.action,
            "entityType": change.entity_type,
            "entityId": change.entity_id,
            "before": _shown(change.before),
            "after": _shown(change.after),
            "actor": author.actor,
            "requestId": author.request_id,
            "timestamp": iso(tip.time_ms),
            "prevHash": last,
        }
        last = row["hash"] = digest(row)
        rows.append(row)
    return rows


def _shown(doc: Row | None) -> Row | None:
    return None if doc is None else {name: value for name, value in doc.items() if name not in SECRETS}


async def tip(redis: "Redis", partition: int, tenant: str) -> Tip:
    """Return the end of a tenant's log.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    names = [keys.config_keys(partition, tenant)[0], keys.audit_keys(partition, tenant)[1]]
    time_ms, rows, last = await script("config_before").run(redis, names, [])
    return Tip(int(rows), last.decode() or GENESIS, int(time_ms))


async def count(redis: "Redis", partition: int, tenant: str) -> int:
    """Return how many rows a tenant's log has.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        return int(await redis.xlen(keys.audit_keys(partition, tenant)[0]))


async def newest(redis: "Redis", partition: int, tenant: str, limit: int, before: int | None = None) -> list[Row]:
    """Return up to `limit` rows, newest first; with `before` those with smaller numbers.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        end = "+" if before is None else f"({before}-0"
        found: Any = await redis.xrevrange(keys.audit_keys(partition, tenant)[0], end, "-", count=limit)
    return [json.loads(fields[b"r"]) for _, fields in found]


async def verify(redis: "Redis", partition: int, tenant: str) -> Verdict:
    """Check a tenant's chain from its first row to its last.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    rows, tip_key = keys.audit_keys(partition, tenant)
    with wrapped_errors():
        tip: Any = await redis.hmget(tip_key, ["count", "hash"])
    # Rows that come while this reads belong to a later end than the one that was read.
    end, last_hash = int(tip[0] or 0), (tip[1] or GENESIS.encode()).decode()
    number, previous = 0, GENESIS
    async for stored, row in _all(redis, rows):
        number += 1
        expected = (f"{number}-0", row_id(number), previous, digest(row))
        if (stored, row.get("id"), row.get("prevHash"), row.get("hash")) != expected:
            return Verdict(number - 1, row_id(number))
        previous = row["hash"]
        if number == end and previous != last_hash:
            return Verdict(number - 1, row_id(number))
    return Verdict(number, row_id(number + 1) if number < end else None)


async def _all(redis: "Redis", key: str) -> AsyncIterator[tuple[str, Row]]:
    """Yield all rows with the names that Redis has them under; one that is no JSON object is empty."""
    after = "-"
    while True:
        with wrapped_errors():
            found: Any = await redis.xrange(key, after, "+", count=BATCH)
        for name, fields in found:
            yield name.decode(), _parsed(fields.get(b"r", b""))
        if len(found) < BATCH:
            return
        after = f"({found[-1][0].decode()}"


def _parsed(raw: bytes) -> Row:
    try:
        row = json.loads(raw)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
