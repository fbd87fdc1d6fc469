"""Decisions: what was recommended becomes an entry of the log, and resolvable, before the answer leaves.

Named as `storage/lua/decide.lua` names it; the order of `Deciding`'s arguments is the script's STRIDE.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from storage import keys, summaries
from storage.caps import Cap, packed
from storage.commit import Committed
from storage.entry import Decision, ShownOffer, pack
from storage.recommendations import pack_point
from storage.scripts import Arg, script

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Deciding:
    """A decision on its way into the log.

    `config_version` is the tenant's configuration that it was made on; if it is not the newest, the result is
    `stale` and nothing happened. `ttl_ms` is how long outcomes may name the recommendation, `days_kept` how long
    the customer's summaries of a day are kept. If one of `caps` is reached, the result is `capped`; if the
    customer's latest event is another than that at `contact_position` (None: no matter), `contacted`; nothing
    happened.
    """

    config_version: int
    route: str
    limit: int
    ttl_ms: int
    days_kept: int
    decision: Decision
    caps: Sequence[Cap] = ()
    contact_position: int | None = None

    def args(self) -> tuple[Arg, ...]:
        """Return the script's arguments for this decision."""
        decision = self.decision
        ranks = b"".join(_rank(decision, shown) for shown in decision.shown)
        return (
            decision.tenant,
            self.config_version,
            self.route,
            self.limit,
            decision.recommendation_id,
            self.ttl_ms,
            decision.customer_id,
            pack(decision),
            msgspec.msgpack.encode(decision.features),
            ranks,
            summaries.event(None, "impression", "outbound", delivery=True, days_kept=self.days_kept),
            packed(self.caps),
            "" if self.contact_position is None else self.contact_position,
            decision.experiment_id or "",
            decision.variant or "",
        )


def _rank(decision: Decision, shown: ShownOffer) -> bytes:
    resolution = pack(shown.resolution)
    point = pack_point(shown.propensity, decision.model_key, decision.variant, delivered=shown.delivered)
    return struct.pack(">III", shown.rank, len(resolution), len(point)) + resolution + point


def reached_of(caps: Sequence[Cap], committed: Committed) -> list[Cap]:
    """Return which of the caps of a decision were reached, from its result `capped`."""
    return [caps[place - 1] for place in msgspec.msgpack.decode(committed.entry)]


async def decide(redis: "Redis", partition: int, items: Sequence[Deciding]) -> list[Committed]:
    """Log decisions of one partition, in order, each wholly or not at all.

    Raises:
        StorageUnavailable: Redis did not answer; which decisions were logged is unknown.
    """
    args: list[Arg] = [keys.prefix(partition)]
    for item in items:
        args.extend(item.args())
    rows = await script("decide").run(redis, [keys.log_key(partition), keys.sequence_key(partition)], args)
    return [
        Committed(status.decode(), position, entry, b"", remaining, wait_ms)
        for status, position, entry, remaining, wait_ms in rows
    ]
