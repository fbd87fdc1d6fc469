"""Erasure of a customer: from every key of Redis, and, under a pseudonym that leads nowhere, in log and archive.

A stream's entry cannot be changed in place, so the log is written anew beside itself while commits go on, and takes
the log's place in one step with all deletions and the row of the audit log. A request that is cut off before has
changed nothing. With that step it is known what is left for the archive, and the learner of the partition does it.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from storage import audit, erased, keys, log
from storage.audit import Author, Change, Row
from storage.erased import Customer
from storage.errors import StorageUnavailable
from storage.scripts import Arg, script, wrapped_errors
from storage.timeline import timelines

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOCK_MS: Final = 20_000
"""An erasure that died holds up the next one of its partition for this long; each chunk prolongs it."""
LOCK_WAIT_S: Final = 10.0
ARCHIVE_WAIT_S: Final = 10.0
"""A learner looks every second for what is left to be done; one that died is back within some seconds."""
ROUNDS: Final = 100
"""Each means that somebody wrote of this very customer, or of the configuration, since the last one began."""
SCAN: Final = 1_000


@dataclass(slots=True)
class Found:
    """What Redis keeps of a customer: keys by kind, and what is part of a key that others share."""

    summaries: list[bytes] = field(default_factory=list)
    history: list[bytes] = field(default_factory=list)
    recommendations: list[bytes] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Hash and field; an empty field stands for the customer in a set."""

    @property
    def keys(self) -> list[bytes]:
        """All that is deleted whole."""
        return [*self.summaries, *self.history, *self.recommendations]


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: keys of Redis by what they held, entries of log and archive that now bear the pseudonym."""

    pseudonym: str
    summaries: int
    history: int
    recommendations: int
    log: int
    archive: int


async def erase(redis: "Redis", partition: int, tenant: str, customer_id: str, author: Author) -> Erased:
    """Erase a customer of a tenant; return when the archive has followed.

    Raises:
        StorageUnavailable: Redis did not answer, another erasure goes on, or the archive follows later; if Redis
            holds the customer no more, that is done though nobody asks again.
    """
    customer = Customer(partition, tenant, customer_id, f"erased_{secrets.token_hex(12)}")
    async with _locked(redis, partition) as token:
        found, hidden, archived = await _erase_from_redis(redis, customer, token, author)
    entries = await _followed(redis, customer) if archived else 0
    return Erased(
        customer.pseudonym,
        len(found.summaries),
        len(found.history),
        len(found.recommendations),
        hidden,
        entries,
    )


async def _followed(redis: "Redis", customer: Customer) -> int:
    """Return how many entries of the archive bear the pseudonym, once they do."""
    deadline = time.monotonic() + ARCHIVE_WAIT_S
    while (entries := await erased.told(redis, customer.partition, customer.pseudonym)) is None:
        if time.monotonic() > deadline:
            raise StorageUnavailable("the archive follows later")
        await asyncio.sleep(0.05)
    return entries


@asynccontextmanager
async def _locked(redis: "Redis", partition: int) -> AsyncIterator[str]:
    """Hold the partition's lock; who loses it, having been slow, is told by the script and changes nothing."""
    token, name = secrets.token_hex(8), keys.erasing_key(partition)
    try:
        async with asyncio.timeout(LOCK_WAIT_S):
            while True:
                with wrapped_errors():
                    if await redis.set(name, token, nx=True, px=LOCK_MS):
                        break
                    if await redis.pttl(name) > LOCK_MS:  # its holder set it before Redis's clock was set back
                        await redis.pexpire(name, LOCK_MS)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise StorageUnavailable("another erasure goes on") from None
    try:
        yield token
    finally:
        with wrapped_errors():
            if await redis.get(name) == token.encode():
                await redis.delete(name)


async def _erase_from_redis(
    redis: "Redis", customer: Customer, token: str, author: Author
) -> tuple[Found, int, bool]:
    """Return what was deleted, how many entries of the log bear the pseudonym now, whether the archive follows."""
    partition = customer.partition
    with wrapped_errors():
        await redis.delete(keys.rewritten_log_key(partition))
    copied, hidden = await _copy(redis, customer, 0)
    found = await _find(redis, customer)
    for _ in range(ROUNDS):
        tip = await audit.tip(redis, partition, customer.tenant)
        copied, more = await _copy(redis, customer, copied)
        if more:  # what it wrote into may be new
            hidden, found = hidden + more, await _find(redis, customer)
        [row] = audit.chained(tip, author, [Change("erase", "customer", customer.pseudonym, None, None)])
        answer, *rest = await _swap(redis, customer, token, copied, found, row)
        if answer == b"erased":
            erased_ms, archived = rest
            await _erase_made_meanwhile(redis, customer, found, erased_ms)
            return found, hidden, bool(archived)
        if answer == b"lost":
            break
    raise StorageUnavailable("the log would not stand still")


async def _swap(redis: "Redis", customer: Customer, token: str, copied: int, found: Found, row: Row) -> list[Any]:
    """Put the copy in the log's place and delete what was found, if the log has not grown; see `erase.lua`."""
    partition = customer.partition
    names = [
        *(keys.log_key(partition), keys.rewritten_log_key(partition), keys.erasing_key(partition)),
        *keys.audit_keys(partition, customer.tenant),
        *(keys.erasures_key(partition), keys.sequence_key(partition)),
        *(keys.erased_key(partition), keys.archived_key(partition)),
    ]
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    rows_before = audit.row_number(row["id"]) - 1
    in_entry = msgspec.msgpack.encode(customer.id)
    args: list[Arg] = [token, copied, customer.id, in_entry, rows_before, row["hash"], text]
    args += [customer.tenant, customer.pseudonym]
    args += [len(found.keys), *found.keys]
    args += [part for pair in found.fields for part in pair]
    answer: list[Any] = await script("erase").run(redis, names, args)
    return answer


async def _copy(redis: "Redis", customer: Customer, copied: int) -> tuple[int, int]:
    """Copy the log behind position `copied`; return how far, and how many entries were hidden."""
    hidden = 0
    name, copy = keys.log_key(customer.partition), keys.rewritten_log_key(customer.partition)
    while True:
        with wrapped_errors():
            rows: Any = await redis.xrange(name, f"{copied + 1}-0", "+", count=log.READ_BATCH)
            if not rows:
                return copied, hidden
            pipeline = redis.pipeline(transaction=False)
            for position, fields in rows:
                raw = customer.hide(fields[b"e"])
                hidden += raw is not None
                pipeline.xadd(copy, {"e": raw or fields[b"e"]}, id=position)
            pipeline.pexpire(keys.erasing_key(customer.partition), LOCK_MS)
            await pipeline.execute()
        copied = int(rows[-1][0].partition(b"-")[0])
        if len(rows) < log.READ_BATCH:
            return copied, hidden


async def _find(redis: "Redis", customer: Customer) -> Found:
    """Return what Redis keeps of the customer, besides the log."""
    before = await timelines(redis, [customer.partition])
    found = await _look(redis, customer)
    if await timelines(redis, [customer.partition]) != before:  # another server's keys come in another order
        raise StorageUnavailable("Redis was replaced during the look at its keys")
    return found


async def _look(redis: "Redis", customer: Customer) -> Found:
    found = Found()
    start = f"{keys.prefix(customer.partition)}"
    with wrapped_errors():
        async for name in _scan(redis, customer.partition, f"{start}[shrmx]*:{customer.tenant}:*"):
            kind, rest = _parsed(name, customer)
            match kind:
                case b"s" if rest.partition(b":")[2] == customer.id.encode():
                    found.summaries.append(name)
                case b"h" if rest == customer.id.encode():
                    found.history.append(name)
                case b"r" if await redis.hget(name, "customer") == customer.id.encode():
                    found.recommendations.append(name)
                case b"m":
                    found.fields += [(name, one) for one in await _groups(redis, customer, name)]
                case b"xc" if await redis.sismember(name, customer.id):
                    found.fields.append((name, b""))
    return found


async def _scan(redis: "Redis", partition: int, match: str) -> AsyncIterator[bytes]:
    """Yield the names that match, prolonging the lock."""
    cursor: Any = None
    while cursor != 0:
        found: Any = await redis.scan(cursor or 0, match=match, count=SCAN)
        cursor, names = found
        await redis.pexpire(keys.erasing_key(partition), LOCK_MS)
        for name in names:
            yield name


def _parsed(name: bytes, customer: Customer) -> tuple[bytes, bytes]:
    """Return a key's kind and what stands behind the tenant in it; empty where it is another tenant's."""
    kind, _, rest = name.removeprefix(keys.prefix(customer.partition).encode()).partition(b":")
    tenant, _, rest = rest.partition(b":")
    return (kind, rest) if tenant == customer.tenant.encode() else (b"", b"")


async def _groups(redis: "Redis", customer: Customer, name: bytes) -> list[bytes]:
    """Return the groups of a behavioural metric that name the customer."""
    wanted = customer.id.encode()
    return [
        group
        async for group, _ in redis.hscan_iter(name, count=SCAN)
        if wanted in group and customer.id in msgspec.msgpack.decode(group)
    ]


async def _erase_made_meanwhile(redis: "Redis", customer: Customer, known: Found, erased_ms: int) -> None:
    """Delete what came between the look and the step, for the log has it under the pseudonym."""
    now = await _find(redis, customer)
    with wrapped_errors():
        for name in set(now.recommendations) - set(known.recommendations):
            made: Any = await redis.hget(name, "made")
            if made is not None and _time_of(made) <= erased_ms:
                await redis.delete(name)
        for name, group in set(now.fields) - set(known.fields):
            await (redis.hdel(name, group) if group else redis.srem(name, customer.id))


def _time_of(made: bytes) -> int:
    """Return the time that a recommendation's `made` begins with, ms."""
    time_ms: int = msgspec.msgpack.decode(b"\x92" + made)[0]  # an array of two: time and features
    return time_ms
