"""What the variants of an experiment have shown and won: counted inside the commits of decisions and outcomes.

A decision that showed something is a sample; with its first positive outcome it is a conversion, too. Redis holds a
hash with `samples:VARIANT`, `conversions:VARIANT` and `customers:VARIANT`, and the set of customers that were met;
they expire when the tenant's `retentionDays` have passed since the last decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import keys
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Tally:
    """Decisions of a variant, those of them with a positive outcome, and the customers that they were made for."""

    samples: int
    conversions: int
    customers: int


async def read(
    redis: "Redis", partition: int, tenant: str, experiment_id: str, variants: Sequence[str]
) -> tuple[list[Tally], int]:
    """Return what each variant has counted, and the log position that it is true for.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        # One transaction: what is counted and the position belong together.
        pipeline = redis.pipeline(transaction=True)
        pipeline.get(keys.sequence_key(partition))
        pipeline.hgetall(keys.experiment_key(partition, tenant, experiment_id))
        position, counts = await pipeline.execute()
    found = {name.decode(): int(count) for name, count in counts.items()}
    tallies = [
        Tally(*(found.get(f"{what}:{variant}", 0) for what in ("samples", "conversions", "customers")))
        for variant in variants
    ]
    return tallies, int(position or 0)
