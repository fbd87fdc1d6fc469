"""The commit: outcomes become entries of the log, exactly once, in one round trip.

Named as `storage/lua/commit.lua` names it; the order of `Commit`'s arguments is the script's STRIDE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from storage import keys
from storage.scripts import Arg, script

if TYPE_CHECKING:
    from redis.asyncio import Redis

FINGERPRINT_BYTES = 8
"""Enough that two different bodies under one key look alike once in 2^64."""

CommitStatus: TypeAlias = Literal[
    "recorded",
    "duplicate",
    "stale",
    "limited",
    "refused",
    "no_recommendation",
    "no_rank",
    "deleted",
    "disagree",
    "archived",
    "lost",
    "capped",
    "contacted",
]


@dataclass(frozen=True, slots=True)
class Commit:
    """An outcome on its way into the log.

    `config_version` is the tenant's configuration that all of this was decided on; if it is not the newest, the
    result is `stale` and nothing happened. `limit` 0 means that the request was admitted before. `body` and
    `resolution` are packed (`storage.entry.pack`); an empty `resolution` means that the recommendation tells.
    `event` is what summaries count (`storage.summaries.event`), `measured` what behavioural metrics do
    (`storage.metrics.packed`).
    `refused` says that the outcome cannot be resolved: only a duplicate is answered.
    """

    tenant: str
    config_version: int
    route: str
    limit: int
    idempotency_digest: bytes
    idempotency_ttl_ms: int
    fingerprint: bytes
    refused: bool
    customer_id: str
    body: bytes
    resolution: bytes
    recommendation_id: str
    rank: int
    event: bytes
    measured: bytes = b""

    def args(self) -> tuple[Arg, ...]:
        """Return the script's arguments for this outcome."""
        return (
            self.tenant,
            self.config_version,
            self.route,
            self.limit,
            self.idempotency_digest,
            self.idempotency_ttl_ms,
            self.fingerprint,
            b"1" if self.refused else b"",
            self.customer_id,
            self.body,
            self.resolution,
            self.recommendation_id,
            self.rank,
            self.event,
            self.measured,
        )


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a commit.

    `entry` is the packed entry of a recorded or duplicate outcome, and `fingerprint` the first request's. An
    `archived` one is a duplicate whose entry Redis has no more; it is `lost` if the archive has not got it either.
    `remaining` counts the places left in the rate limit, `wait_ms` the time until one is free.
    """

    status: CommitStatus
    position: int
    entry: bytes
    fingerprint: bytes
    remaining: int
    wait_ms: int


async def commit(redis: "Redis", partition: int, commits: Sequence[Commit]) -> list[Committed]:
    """Commit outcomes of one partition, in order, each wholly or not at all.

    Raises:
        StorageUnavailable: Redis did not answer; which outcomes were recorded is unknown until they are sent again
            under the same idempotency keys.
    """
    args: list[Arg] = [keys.prefix(partition)]
    for item in commits:
        args.extend(item.args())
    rows = await script("commit").run(redis, [keys.log_key(partition), keys.sequence_key(partition)], args)
    return [_committed(*row) for row in rows]


def _committed(status: bytes, position: int, payload: bytes, remaining: int, wait_ms: int) -> Committed:
    name: CommitStatus = status.decode()  # type: ignore[assignment]  # the script's statuses are the type's
    if name in ("duplicate", "archived"):
        return Committed(
            name, position, payload[FINGERPRINT_BYTES:], payload[:FINGERPRINT_BYTES], remaining, wait_ms
        )
    return Committed(name, position, payload, b"", remaining, wait_ms)


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request may go on: `stale` asks the caller to read the configuration and try again."""

    status: Literal["admitted", "limited", "stale"]
    remaining: int = 0
    wait_ms: int = 0


async def admit(
    redis: "Redis", partition: int, tenant: str, config_version: int, route: str, limit: int
) -> Admission:
    """Take a place in the route's window of 60 s, if there is one.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    row = await script("admission").run(
        redis, [keys.log_key(partition)], [keys.prefix(partition), tenant, config_version, route, limit]
    )
    return Admission(row[0].decode(), *row[1:])
