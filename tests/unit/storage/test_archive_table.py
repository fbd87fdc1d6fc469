"""The archive's table, built by columns, against the same entries told line by line in the public format."""

from typing import Any, get_args

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from storage.archive_table import ARCHIVE_SCHEMA, table_of
from storage.entry import (
    Classification,
    Decision,
    DecisionPoint,
    Direction,
    Entry,
    ModelChange,
    ModelStatus,
    OfferRemoved,
    Outcome,
    Resolution,
    ShownOffer,
    Touch,
    pack_entry,
)
from storage.line_entries import line_of
from storage.public_log import cells_of

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
times = st.integers(-62_135_596_800_000, 253_402_300_799_999)
numbers = st.floats(allow_nan=False, allow_infinity=False)
features = st.dictionaries(ids, st.booleans() | st.integers(-(2**63), 2**63 - 1) | numbers | ids, max_size=3)
propensities = st.floats(0, 1, exclude_min=True)
resolutions = st.builds(
    Resolution, ids, ids, ids, st.none() | ids, st.none() | ids, ids, ids, ids, category_name=st.none() | ids
)
points = st.builds(DecisionPoint, times, features, st.none() | propensities, st.none() | ids, st.none() | ids)
outcomes = st.builds(
    Outcome,
    tenant=ids,
    interaction_id=ids,
    customer_id=ids,
    outcome=ids,
    classification=st.sampled_from(get_args(Classification)),
    direction=st.sampled_from(get_args(Direction)),
    delivery=st.booleans(),
    rank=st.none() | st.integers(1, 2**31 - 1),
    recommendation_id=st.none() | ids,
    time_ms=st.none() | times,
    value=st.none() | numbers,
    features=features,
    weight=st.none() | st.floats(-1e6, 1e6),
)
shown = st.builds(ShownOffer, st.integers(1, 9), resolutions, numbers, propensities, ids, st.booleans())
decisions = st.builds(
    Decision,
    tenant=ids,
    recommendation_id=ids,
    customer_id=ids,
    features=features,
    candidates=st.lists(ids, max_size=3),
    shown=st.lists(shown, max_size=2),
    model_key=ids,
    model_position=st.integers(0, 9),
    variant=st.none() | ids,
)
changes = st.builds(
    ModelChange, ids, ids, ids, ids, st.sampled_from(get_args(ModelStatus)), st.just("{}"), reset=st.booleans()
)
touches = st.lists(st.builds(Touch, ids, ids, ids, times), max_size=1)


@st.composite
def entries_of(draw: Any) -> Entry:
    """An entry as the log may hold it; its position is given later."""
    body = draw(outcomes | decisions | changes | st.builds(OfferRemoved, ids, ids))
    if not isinstance(body, Outcome):
        return Entry(0, draw(times), body)
    return Entry(0, draw(times), body, draw(resolutions), draw(st.none() | points), draw(touches))


@given(st.lists(entries_of(), min_size=1, max_size=6))
def test_columns_are_the_lines(drawn: list[Entry]) -> None:
    entries = [Entry(i, e.time_ms, e.body, e.resolution, e.decision, e.touches) for i, e in enumerate(drawn, 1)]
    rows = [{**cells_of(line_of(entry)), "entry": pack_entry(entry)} for entry in entries]
    expected = pa.Table.from_pylist(rows, schema=ARCHIVE_SCHEMA)
    built = table_of(entries)
    assert built.schema == expected.schema
    assert built.to_pylist() == expected.to_pylist()
