"""Times as the service writes them: milliseconds since 1970 inside, ISO 8601 with `Z` outside."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_FIRST_MS: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MS
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MS
"""Beyond these, a zone other than UTC names moments that have no name in UTC."""


def now_ms() -> int:
    """Return this process's clock in ms. The log's times come from Redis instead, so that there is one clock."""
    return time.time_ns() // 1_000_000


def iso(time_ms: int) -> str:
    """Return the time as ISO 8601 in UTC with milliseconds.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    seconds, ms = divmod(time_ms, 1000)
    return f"{_iso_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=1024)
def _iso_second(seconds: int) -> str:
    """Return a second without its zone; neighbours in a log, and answers given now, share it."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


@lru_cache(maxsize=1024)
def parse_iso(text: str) -> int:
    """Return the time that `text` writes in ISO 8601, in ms; without a zone it is UTC.

    A line's time is asked for several times in a row, and neighbours often share it.

    >>> parse_iso("2026-03-16T14:35:00")
    1773671700000

    Raises:
        ValueError: `text` is not a time in ISO 8601, or not of the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    time_ms = (moment - EPOCH) // _MS
    if not _FIRST_MS <= time_ms <= _LAST_MS:
        raise ValueError(f"not of the years 1 to 9999 in UTC: {text!r}")
    return time_ms
