"""Counters of a customer, written inside the commit."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from storage import keys
from storage.entry import Classification
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

CLASS_LETTERS: Final[dict[Classification, str]] = {"positive": "p", "negative": "n", "neutral": "u"}
DELIVERY_LETTER: Final = "d"


class Counters(msgspec.Struct):
    """How often a customer answered a creative, and how often it was delivered to them."""

    positive: int = 0
    negative: int = 0
    neutral: int = 0
    deliveries: int = 0


_FIELDS: Final = {letter: name for name, letter in CLASS_LETTERS.items()} | {DELIVERY_LETTER: "deliveries"}


def counter(classification: Classification, *, delivery: bool) -> str:
    """Return what the commit script counts for an outcome."""
    return CLASS_LETTERS[classification] + (DELIVERY_LETTER if delivery else "")


async def read(redis: "Redis", partition: int, tenant: str, customer_id: str) -> dict[str, Counters]:
    """Return the customer's counters by creative.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        stored: Any = await redis.hgetall(keys.customer_key(partition, tenant, customer_id))
    result: dict[str, Counters] = {}
    for field, value in stored.items():
        letter, _, creative = field.decode().partition(":")
        setattr(result.setdefault(creative, Counters()), _FIELDS[letter], int(value))
    return result
