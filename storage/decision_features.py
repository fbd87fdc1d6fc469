"""The features of a log's decisions, kept for the outcomes that name them, in memory of bounded size."""

import sqlite3
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

from storage.entry import Scalar

HELD: Final = 50_000
"""Decisions in memory, some tens of MiB: most outcomes follow soon. Older ones go to a temporary file."""
SPILLED: Final = 10_000
"""Decisions that go there at once, in one transaction."""

_encode = msgspec.msgpack.encode
_decoder: msgspec.msgpack.Decoder[dict[str, Scalar]] = msgspec.msgpack.Decoder(dict[str, Scalar])


class DecisionFeatures:
    """Features by recommendation. Close it: the file behind it goes away."""

    def __init__(self) -> None:
        self._recent: dict[str, bytes] = {}
        self._older: sqlite3.Connection | None = None

    def put(self, recommendation_id: str, features: Mapping[str, Scalar]) -> None:
        """Keep a decision's features; a later decision of the same id replaces them."""
        self._recent.pop(recommendation_id, None)
        self._recent[recommendation_id] = _encode(dict(features))
        if len(self._recent) > HELD:
            self._spill()

    def get(self, recommendation_id: str) -> dict[str, Scalar] | None:
        """Return a decision's features, None if there was none."""
        raw = self._recent.get(recommendation_id)
        if raw is None and self._older is not None:
            row = self._older.execute("SELECT features FROM decision WHERE id = ?", (recommendation_id,)).fetchone()
            raw = None if row is None else row[0]
        return None if raw is None else _decoder.decode(raw)

    def close(self) -> None:
        """Forget everything."""
        self._recent.clear()
        if self._older is not None:
            self._older.close()

    def _spill(self) -> None:
        if self._older is None:
            self._older = sqlite3.connect("")  # a nameless database is a temporary file
            self._older.execute("CREATE TABLE decision (id TEXT PRIMARY KEY, features BLOB) WITHOUT ROWID")
        oldest = list(islice(self._recent.items(), SPILLED))
        with self._older:
            self._older.executemany("INSERT OR REPLACE INTO decision VALUES (?, ?)", oldest)
        for name, _ in oldest:
            del self._recent[name]
