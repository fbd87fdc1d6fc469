"""Times as callers write them: read, written and read again they are the same, or they are refused."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.clock import iso, parse_iso

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=ZONES))
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14))))
@example(datetime(999, 1, 1, tzinfo=timezone(timedelta())))
def test_every_time_is_read_and_written_or_refused(moment: datetime) -> None:
    try:
        time_ms = parse_iso(moment.isoformat())
    except ValueError:
        with pytest.raises(OverflowError):
            moment.astimezone(timezone(timedelta()))
        return
    written = iso(time_ms)
    assert len(written) == len("2026-03-16T14:35:00.000Z")
    assert parse_iso(written) == time_ms


@given(st.text())
def test_whatever_is_no_time_is_a_value_error(text: str) -> None:
    try:
        time_ms = parse_iso(text)
    except ValueError:
        return
    assert parse_iso(iso(time_ms)) == time_ms
