"""Counting again: all that the commits have counted for a tenant, made anew from archive and log.

Summaries, latest events, roll-ups, frequency caps, metrics and experiments are functions of the log. They are
counted by the scripts' own functions into keys beside those in use, which then take their place in one step, so
that requests never meet half of it.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storage import checkpoints, history, keys, log, metrics, summaries
from storage.archive import Archive
from storage.entry import Decision, Entry, Outcome, Resolution, pack
from storage.errors import StorageUnavailable
from storage.metrics import Metric
from storage.scripts import Arg, script, wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH: Final = 200
"""Events a script call: some ten milliseconds of Redis's time."""
ROUNDS: Final = 100
"""Each means that somebody wrote to the partition in the last milliseconds."""
ERASED: Final = -1
DERIVED: Final = frozenset({b"s", b"h", b"d", b"f", b"m", b"x", b"xc"})
"""The kinds of keys that are counted."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What is counted, and how long days are kept, by the tenant's configuration as it is now."""

    tenant: str
    metrics: Sequence[Metric]
    days_kept: int

    def args(self, entry: Entry) -> Iterator[Arg]:
        """Yield the script's arguments for an entry."""
        match entry.body:
            case Outcome() as outcome if entry.resolution is not None:
                event = summaries.event(
                    outcome.classification,
                    outcome.outcome,
                    outcome.direction,
                    delivery=entry.is_delivery,
                    days_kept=self.days_kept,
                    attributed=outcome.is_conversion,
                    value=outcome.value,
                    time_ms=outcome.time_ms,
                )
                measured = metrics.packed(self.metrics, outcome)
                yield from self._row(entry, outcome.customer_id, entry.resolution, event)
                yield from (measured, outcome.recommendation_id or "", "", "")
            case Decision() as decision:
                event = summaries.event(None, "impression", "outbound", delivery=True, days_kept=self.days_kept)
                for shown in decision.shown:
                    if shown.delivered:
                        yield from self._row(entry, decision.customer_id, shown.resolution, event)
                        yield from (b"", "", "", "")
                if decision.experiment_id is not None and decision.shown:
                    yield from self._row(entry, decision.customer_id, None, event)
                    yield from (b"", decision.recommendation_id, decision.experiment_id, decision.variant or "")

    def _row(self, entry: Entry, customer: str, resolution: Resolution | None, event: bytes) -> Iterator[Arg]:
        packed = b"" if resolution is None else pack(resolution)
        yield from (self.tenant, entry.time_ms, customer, entry.position, packed, event)


async def recount(
    redis: "Redis", archive: Archive, partition: int, counting: Counting, advance: Callable[[int], None]
) -> int:
    """Count again what a tenant's log says; return up to which position. `advance` is told how far it is.

    Raises:
        LogGap: the log lacks a position that was never archived.
        ArchiveError: the archive does not answer.
        StorageUnavailable: Redis did not answer, commits never paused, or a customer was erased
            meanwhile; what is in use is as it was.
    """
    beside = keys.prefix(partition) + "new:"
    await _clear(redis, beside)
    counted, erasures = 0, await checkpoints.erasures(redis, partition)
    for _ in range(ROUNDS):
        [head] = await log.heads(redis, [partition])
        async for segment in history.follow(redis, archive, partition, counted, head, counting.tenant):
            await _count(redis, partition, beside, counting, segment.entries, counted)
            counted = segment.last
            advance(counted)
        done = await _put_in_place(redis, partition, beside, counting.tenant, counted, erasures)
        if done:
            await _clear(redis, beside)
        if done == 1:
            return counted
        if done == ERASED:
            raise StorageUnavailable("a customer was erased meanwhile, count again")
    raise StorageUnavailable("the log would not stand still")


async def _count(
    redis: "Redis", partition: int, beside: str, counting: Counting, entries: Sequence[Entry], after: int
) -> None:
    own = [one for one in entries if one.position > after and one.body.tenant == counting.tenant]
    for start in range(0, len(own), BATCH):
        args = [arg for entry in own[start : start + BATCH] for arg in counting.args(entry)]
        if args:
            await script("recount").run(redis, [keys.log_key(partition)], [beside, *args])


async def _put_in_place(
    redis: "Redis", partition: int, beside: str, tenant: str, counted: int, erasures: int
) -> int:
    """Return 1 if it was done, 0 if the log has grown, ERASED if it was written anew."""
    prefix = keys.prefix(partition)
    old = [name async for name in _named(redis, prefix, tenant)]
    new = [name async for name in _named(redis, beside, tenant)]
    args: list[Arg] = [counted, beside, prefix, erasures, len(old), *old, *new]
    names = [keys.sequence_key(partition), keys.erasures_key(partition)]
    return int(await script("recounted").run(redis, names, args))


async def _named(redis: "Redis", prefix: str, tenant: str) -> AsyncIterator[bytes]:
    """Yield the tenant's keys of the kinds that are counted."""
    with wrapped_errors():
        async for name in redis.scan_iter(match=f"{prefix}*:{tenant}*", count=1000):
            kind, _, rest = name.removeprefix(prefix.encode()).partition(b":")
            if kind in DERIVED and rest.partition(b":")[0] == tenant.encode():
                yield name


async def _clear(redis: "Redis", beside: str) -> None:
    with wrapped_errors():
        async for name in redis.scan_iter(match=f"{beside}*", count=1000):
            await redis.unlink(name)
