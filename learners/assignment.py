"""Who takes which part in an experiment: a function of the experiment's key and the customer, so it is sticky."""

from collections.abc import Sequence
from typing import Final

BUCKETS: Final = 10_000
_OFFSET: Final = 0x811C9DC5
_PRIME: Final = 0x01000193


def fnv1a_32(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash of `data` (Fowler, Noll, Vo; RFC 9923).

    >>> hex(fnv1a_32(b"foobar"))
    '0xbf9cf968'
    """
    value = _OFFSET
    for byte in data:
        value = (value ^ byte) * _PRIME & 0xFFFFFFFF
    return value


def bucket(key: str, customer_id: str) -> int:
    """Return the bucket, 0 ≤ b < 10,000, of a customer in the experiment `key`."""
    return fnv1a_32(f"{key}:{customer_id}".encode()) % BUCKETS


def held_out(key: str, customer_id: str, percent: float) -> bool:
    """Whether a customer belongs to the lowest `percent` of the buckets."""
    return bucket(key, customer_id) < _edge(percent)


def assigned(key: str, customer_id: str, holdout_percent: float, shares: Sequence[float]) -> int | None:
    """Return the place of the customer's variant in `shares`, None for the holdout.

    Args:
        key: Of the experiment.
        customer_id: Who.
        holdout_percent: Share of the buckets, the lowest ones, that is held out.
        shares: Percent of the others that each variant takes, in this order; their sum is 100.
    """
    place, start = bucket(key, customer_id), _edge(holdout_percent)
    if place < start:
        return None
    taken = 0.0
    for variant, share in enumerate(shares[:-1]):
        taken += share
        if place < start + round((BUCKETS - start) * taken / 100):
            return variant
    return len(shares) - 1


def _edge(percent: float) -> int:
    return round(percent * BUCKETS / 100)
