"""Entries of the log as a table of the archive: the columns of the public log, and `entry`, what the log holds.

Built a column at a time, for each kind of entry by itself. As rows of `storage.line_entries` it would be the same
table, at four times the cost; the learner that writes it serves at the same time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from storage.entry import Decision, Entry, Outcome, ShownOffer, pack_entry
from storage.line_entries import line_of
from storage.lines import SCHEMA
from storage.public_log import cells_of

ARCHIVE_SCHEMA: Final = SCHEMA.append(pa.field("entry", pa.binary()))

Cell = Callable[[Any], Any]
"""What an entry has in a column; its type is narrower than an entry's, by the kind of table."""

_json: Final = msgspec.json.Encoder()


def table_of(entries: Sequence[Entry]) -> pa.Table:
    """Return entries, given by position, as a table of `ARCHIVE_SCHEMA` in the same order."""
    by_kind: dict[type, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(type(entry.body), []).append(entry)
    tables = [_table(own, _CELLS[kind]) if kind in _CELLS else _rows(own) for kind, own in by_kind.items()]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).sort_by("position")


def _table(entries: list[Entry], cells: Mapping[str, Cell]) -> pa.Table:
    columns = [
        pa.array(map(cells[field.name], entries), field.type)
        if field.name in cells
        else pa.nulls(len(entries), field.type)
        for field in ARCHIVE_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=ARCHIVE_SCHEMA)


def _rows(entries: list[Entry]) -> pa.Table:
    """Return changes of models and offers, which are few."""
    rows = [{**cells_of(line_of(entry)), "entry": pack_entry(entry)} for entry in entries]
    return pa.Table.from_pylist(rows, schema=ARCHIVE_SCHEMA)


def _text(value: object) -> str:
    return _json.encode(value).decode()


def _recorded(entry: Entry) -> int | None:
    return None if entry.event_time_ms == entry.time_ms else entry.time_ms


def _shown(one: ShownOffer) -> dict[str, Any]:
    of = one.resolution
    return {
        "rank": one.rank, "offerId": of.offer_id, "creativeId": of.creative_id, "propensity": one.propensity
    }  # fmt: skip


_ANY: Final[Mapping[str, Cell]] = {
    "position": lambda entry: entry.position,
    "tenant": lambda entry: entry.body.tenant,
    "recommendationId": lambda entry: entry.body.recommendation_id,
    "customerId": lambda entry: entry.body.customer_id,
    "entry": pack_entry,
}
_OUTCOME: Final[Mapping[str, Cell]] = {
    **_ANY,
    "kind": lambda _: "outcome",
    "time": lambda entry: entry.event_time_ms,
    "recordedAt": _recorded,
    "features": lambda entry: _text(entry.learning_features),
    "interactionId": lambda entry: entry.body.interaction_id,
    "rank": lambda entry: entry.body.rank,
    "decidedAt": lambda entry: entry.decision and entry.decision.time_ms,
    "offerId": lambda entry: entry.resolution.offer_id,
    "categoryId": lambda entry: entry.resolution.category_id,
    "creativeId": lambda entry: entry.resolution.creative_id,
    "channelId": lambda entry: entry.resolution.channel_id,
    "outcome": lambda entry: entry.body.outcome,
    "classification": lambda entry: entry.body.classification,
    "weight": lambda entry: entry.body.worth,
    "value": lambda entry: entry.body.value,
}
_DECISION: Final[Mapping[str, Cell]] = {
    **_ANY,
    "kind": lambda _: "decision",
    "time": lambda entry: entry.time_ms,
    "modelKey": lambda entry: entry.body.model_key,
    "variant": lambda entry: entry.body.variant,
    "features": lambda entry: _text(entry.body.features),
    "candidates": lambda entry: entry.body.candidates or None,
    "decisions": lambda entry: list(map(_shown, entry.body.shown)),
}
_CELLS: Final[Mapping[type, Mapping[str, Cell]]] = {Outcome: _OUTCOME, Decision: _DECISION}
