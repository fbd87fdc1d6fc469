"""What erasures leave to be done in the archive: the learner of the partition does it, the archive's only writer.

Were it the request that erases, one that was cut off would leave a customer's name in the archive, and two of them
could each put back into a file what the other has taken out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import structs

from storage import keys
from storage.checkpoints import Tenure
from storage.entry import Decision, Entry, Outcome, pack_entry, unpack_entry
from storage.errors import StaleEpoch
from storage.scripts import Arg, script, wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

TOLD_MS: Final = 60_000
"""How long the request that erases may take to ask what came of it."""


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of a tenant, the name to bear from now on, and the `last` position that belongs to the old one."""

    partition: int
    tenant: str
    id: str
    pseudonym: str
    last: float = float("inf")

    def hide(self, raw: bytes) -> bytes | None:
        """Return an entry under the pseudonym; None where it is not the customer's."""
        if self.id.encode() not in raw:
            return None
        entry = unpack_entry(raw)
        body = entry.body
        if not isinstance(body, Outcome | Decision) or entry.position > self.last:
            return None
        if (body.tenant, body.customer_id) != (self.tenant, self.id):
            return None
        return pack_entry(self._hidden(entry))

    def _hidden(self, entry: Entry) -> Entry:
        """Return an entry under the pseudonym, without what it says in free text.

        What models learn from, the features among it, stays: they must come out of the log as they are.
        """
        body: Any = structs.replace(entry.body, customer_id=self.pseudonym, context=None)
        if isinstance(body, Outcome):
            body = structs.replace(body, details=None, legacy_interaction_id=None)
        return structs.replace(entry, body=body)


async def left(redis: "Redis", partitions: Sequence[int]) -> list[Customer]:
    """Return who is erased in Redis and not yet in the archive, in the order in which that was done.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        pipeline = redis.pipeline(transaction=False)
        for partition in partitions:
            pipeline.hgetall(keys.erased_key(partition))
        rows = await pipeline.execute()
    found = [
        Customer(partition, tenant, customer_id, pseudonym.decode(), last)
        for partition, fields in zip(partitions, rows, strict=True)
        for pseudonym, packed in fields.items()
        for tenant, customer_id, last in [msgspec.msgpack.decode(packed)]
    ]
    return sorted(found, key=lambda one: (one.partition, one.last))


async def done(redis: "Redis", tenure: Tenure, customer: Customer, entries: int) -> None:
    """Say that no file names the customer any more, and how many `entries` did.

    Raises:
        StaleEpoch: another learner has taken the partition, and does it again.
        StorageUnavailable: Redis did not answer.
    """
    names = [
        keys.epoch_key(customer.partition),
        keys.erased_key(customer.partition),
        keys.erased_key(customer.partition, customer.pseudonym),
    ]
    args: list[Arg] = [tenure.epoch, customer.pseudonym, entries, TOLD_MS]
    if not await script("erased").run(redis, names, args):
        raise StaleEpoch(f"partition {customer.partition}: epoch {tenure.epoch} is over")


async def told(redis: "Redis", partition: int, pseudonym: str) -> int | None:
    """Return how many entries of the archive bear a pseudonym; None where that is still to be done.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        entries = await redis.get(keys.erased_key(partition, pseudonym))
    return None if entries is None else int(entries)
