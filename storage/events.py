"""The latest events of a customer, and of a tenant: where history starts, and what contact policies look at.

Redis holds a list for each, newest commit first, written in the commit of each outcome and of each delivery that
a decision counts at once. What is longer ago than the newest 500 events of a customer (1,000 of a tenant), or than
the tenant keeps days, is forgotten; the log still has it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from storage import keys
from storage.entry import Entry, unpack_entry
from storage.past import PastEntries
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEPT: Final = 500
"""Events of a customer: as `storage/lua/events.lua` has it."""


class Event(msgspec.Struct, array_like=True, frozen=True):
    """An event in short; `position` is that of its entry, `category_id` is empty where there is none.

    `letters` say what it is: d a delivery, p, n or u an outcome of that class, c a conversion by its key, t one
    that carries touches.
    """

    position: int
    time_ms: int
    letters: str
    outcome: str
    offer_id: str
    creative_id: str
    channel_id: str
    category_id: str

    @property
    def is_delivery(self) -> bool:
        """Whether the customer was shown something."""
        return "d" in self.letters

    @property
    def is_touch(self) -> bool:
        """Whether a later conversion may be due to it."""
        return "d" in self.letters or "p" in self.letters

    @property
    def is_conversion(self) -> bool:
        """Whether it is attributed to what the customer met before."""
        return "t" in self.letters


_decoder: Final = msgspec.msgpack.Decoder(Event)


async def read(redis: "Redis", partition: int, tenant: str, customer_id: str | None) -> list[Event]:
    """Return the latest events of a customer, or of all (None), newest commit first.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    if customer_id is None:
        name = keys.events_key(partition, tenant)
    else:
        name = keys.customer_events_key(partition, tenant, customer_id)
    with wrapped_errors():
        rows: Any = await redis.lrange(name, 0, -1)
    return [_decoder.decode(row) for row in rows]


async def entries(
    redis: "Redis", past: PastEntries, partition: int, tenant: str, events: Sequence[Event]
) -> list[tuple[Event, Entry]]:
    """Return events with their entries, from Redis or the archive; those kept in neither are left out.

    Raises:
        ArchiveError: the archive does not answer.
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        pipeline = redis.pipeline(transaction=False)
        for event in events:
            pipeline.xrange(keys.log_key(partition), f"{event.position}-0", f"{event.position}-0")
        stored: Any = await pipeline.execute()
    found = []
    for event, rows in zip(events, stored, strict=True):
        raw = rows[0][1][b"e"] if rows else await past.find(partition, tenant, event.position)
        if raw is not None:
            found.append((event, unpack_entry(raw)))
    return found
