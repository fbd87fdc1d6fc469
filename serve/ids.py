"""Ids that nobody can guess, from the system's generator; many are drawn at a time, for a call of it costs 5 µs."""

import os
import secrets
from typing import Final
from uuid import UUID

DRAWN: Final = 8192
"""Bytes a call."""

_drawn = bytearray()
os.register_at_fork(after_in_child=_drawn.clear)  # else parent and child would give the same ids


def unique_id(prefix: str) -> str:
    """Return the prefix with 96 random bits in hex.

    >>> len(unique_id("int_"))
    28
    """
    return prefix + _random(12).hex()


def unique_uuid() -> UUID:
    """Return a random UUID (RFC 9562, version 4)."""
    return UUID(bytes=bytes(_random(16)), version=4)


def _random(count: int) -> bytearray:
    if len(_drawn) < count:
        _drawn[:] = secrets.token_bytes(DRAWN)
    taken = _drawn[-count:]
    del _drawn[-count:]
    return taken
