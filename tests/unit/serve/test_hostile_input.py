"""What callers send before anybody knows them: it is refused as a bad request, or means what it says."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serve.errors import ApiError
from serve.jsonbody import fingerprint, parse_json, parse_object
from serve.paging import page, place_of
from storage.clock import iso, parse_iso
from tests.fuzzing import damaged, fuzzed

BODY: Final = b'{"customerId":"c1","attributes":{"age":38,"vip":true,"city":"\xc3\x9cllo"},"x":[1,2.5,-0.0,null]}'
CURSOR: Final = page([{"createdAt": iso(n), "id": str(n)} for n in range(3)], 1, None)["pagination"]["nextCursor"]
TIMES: Final = ("2026-03-16T14:35:00.000Z", "2026-03-16", "2026-W12-1T00:00:00+05:30", "20260316T143500,5-14:00")
FIRST_MS, LAST_MS = parse_iso("0001-01-01T00:00:00Z"), parse_iso("9999-12-31T23:59:59.999Z")


def accepted(make: Callable[[], Any]) -> Any:
    """Return what is made, or None where it is refused as a bad request; any other end is an error."""
    try:
        return make()
    except ApiError as refused:
        status, answer = refused.status, refused.body("req")
    assert status == 400
    assert msgspec.json.encode(answer)
    return None


@fuzzed(300)
@given(raw=st.binary(max_size=60) | damaged(BODY))
@example(raw=BODY.replace(b"38", b"[" * 100_000))
@example(raw=BODY.replace(b"38", b"9" * 5_000))
def test_bodies(raw: bytes) -> None:
    accepted(lambda: parse_json(raw))
    value = accepted(lambda: parse_object(raw))
    if value is not None:
        turned = dict(reversed(value.items()))
        assert accepted(lambda: fingerprint(value)) == accepted(lambda: fingerprint(turned))


@fuzzed(300)
@given(
    cursor=st.text(max_size=60) | damaged(CURSOR.encode()).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
@example(cursor="W1tb" * 500)
@example(cursor="WyJcdWQ4MDAiXQ")
@example(cursor="é")
def test_cursors(cursor: str) -> None:
    place = accepted(lambda: place_of(cursor))
    assert place is None or (place and all(isinstance(one, str) for one in place))


def test_a_cursor_is_read_as_it_was_made() -> None:
    assert place_of(CURSOR) == (iso(0), "0")


@fuzzed(300)
@given(text=st.text(max_size=40) | damaged(*(one.encode() for one in TIMES)).map(lambda raw: raw.decode("latin-1")))
@example(text="0001-01-01T00:00:00+14:00")
@example(text="9999-12-31T23:59:59-14:00")
def test_times(text: str) -> None:
    try:
        time_ms = parse_iso(text)
    except ValueError:
        return
    assert FIRST_MS <= time_ms <= LAST_MS
    assert parse_iso(iso(time_ms)) == time_ms


@pytest.mark.parametrize("text", TIMES)
def test_times_have_many_forms(text: str) -> None:
    assert iso(parse_iso(text)).startswith("2026-03-1")
