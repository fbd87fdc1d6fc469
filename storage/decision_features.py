"""The features of a log's decisions, kept for the outcomes that name them, in memory of bounded size."""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from storage.entry import Scalar
from storage.outcomes import Raw, decode_features

HELD: Final = 50_000
"""Decisions in memory, some tens of MiB: most outcomes follow soon. Older ones go to a temporary file."""
SPILLED: Final = 10_000
"""Decisions that go there at once, in one transaction."""


class DecisionFeatures:
    """Features by recommendation. Close it: the file behind it goes away."""

    def __init__(self) -> None:
        self._recent: dict[str, Raw] = {}
        self._older: sqlite3.Connection | None = None
        self._indexed = False

    def put(self, recommendation_id: str, features: Mapping[str, Scalar]) -> None:
        """Keep a decision's features; a later decision of the same id replaces them."""
        self._recent[recommendation_id] = msgspec.msgpack.encode(dict(features))
        self._spill()

    def get(self, recommendation_id: str) -> dict[str, Scalar] | None:
        """Return a decision's features, None if there was none."""
        raw = self._raw(recommendation_id)
        return None if raw is None else decode_features(raw)

    def join(self, names: Sequence[str | None], decided: Sequence[str | None]) -> list[Raw | None]:
        """Go through rows of a log in order, keep the decisions, and return what the others find, in their order.

        Args:
            names: The recommendation that a row made or names; None for one that wants nothing.
            decided: A decision's features as a JSON text; None for a row that is no decision.
        """
        found: list[Raw | None] = []
        recent = self._recent
        for name, text in zip(names, decided, strict=True):
            if name is None:
                found.append(None)
            elif text is not None:
                recent[name] = text
            else:
                found.append(recent.get(name) or self._raw(name))
        self._spill()
        return found

    def close(self) -> None:
        """Forget everything."""
        self._recent.clear()
        if self._older is not None:
            self._older.close()

    def _raw(self, recommendation_id: str) -> Raw | None:
        raw = self._recent.get(recommendation_id)
        if raw is not None or self._older is None:
            return raw
        if not self._indexed:  # many a log never asks, and rows without an index are written several times faster
            self._older.execute("CREATE INDEX by_id ON decision (id)")
            self._indexed = True
        newest = "SELECT features FROM decision WHERE id = ? ORDER BY rowid DESC LIMIT 1"
        row = self._older.execute(newest, (recommendation_id,)).fetchone()
        return None if row is None else row[0]

    def _spill(self) -> None:
        while len(self._recent) > HELD:
            if self._older is None:
                self._older = sqlite3.connect("")  # a nameless database is a temporary file
                self._older.execute("PRAGMA journal_mode = OFF")
                self._older.execute("CREATE TABLE decision (id TEXT, features)")
            oldest = list(islice(self._recent.items(), SPILLED))
            with self._older:
                self._older.executemany("INSERT INTO decision VALUES (?, ?)", oldest)
            for name, _ in oldest:
                del self._recent[name]
