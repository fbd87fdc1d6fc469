"""What fuzzes share: how many cases they try, few in the suite and thousands by `make fuzz`, and damaged bytes."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_T = TypeVar("_T")

CASES: Final = int(os.environ.get("REWARDLOOP_FUZZ_CASES", "0"))
"""Cases of each fuzz; 0 leaves it to the test."""

PIECES: Final = (
    *(
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\x00",
        b"\n",
        b'"',
        b",",
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b"]",
        b"}",
    ),
    *(b"null", b"true", b"{}", b"[]", b'""', b"-1", b"1e400", b"1e308", b"NaN", b"9" * 30, b"9" * 5_000),
    *(b"0001-01-01T00:00:00+14:00", b"\\ud800", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\x91" * 3_000),
    *(b"\xc1", b"\xcb\x7f\xf8" + bytes(6), b"\xcf" + b"\xff" * 8, b"\x7f\xff\xff\xff"),
)
"""What readers of text, JSON, msgpack and Parquet stumble over."""


def cases(in_the_suite: int) -> int:
    """Return how many cases a fuzz tries."""
    return CASES or in_the_suite


def fuzzed(in_the_suite: int) -> Callable[[Any], Any]:
    """Return the settings of a fuzz: in the suite it tries the same cases every time."""
    return settings(
        max_examples=cases(in_the_suite),
        deadline=None,
        database=None,
        derandomize=not CASES,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw: st.DrawFn, *whole: bytes) -> bytes:
    """Draw one of some texts with a few of its bytes replaced, left out or put in."""
    data = bytearray(draw(st.sampled_from(whole)))
    pieces = st.binary(max_size=4) | st.sampled_from(PIECES)
    for place, dropped, put in draw(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), pieces), min_size=1, max_size=4)
    ):
        start = round(place * len(data))
        data[start : start + dropped] = put
    return bytes(data)


def every(step: int, values: Sequence[_T], start: int) -> Sequence[_T]:
    """Return each `step`-th of the values, another share for each `start`; `make fuzz` tries all."""
    return values if CASES else values[start % step :: step]
