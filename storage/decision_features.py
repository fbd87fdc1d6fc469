"""The features of a log's decisions, kept for the outcomes that name them, in memory of bounded size."""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
        self._older: _Older | None = None

    def put(self, recommendation_id: str, features: Mapping[str, Scalar]) -> None:
        """Keep a decision's features; a later decision of the same id replaces them."""
        self._recent[recommendation_id] = msgspec.msgpack.encode(dict(features))
        self._spill()

    def get(self, recommendation_id: str) -> dict[str, Scalar] | None:
        """Return a decision's features, None if there was none."""
        raw = self._raw(recommendation_id)
        return None if raw is None else decode_features(raw)

    def join(self, names: pa.StringArray, decided: pa.StringArray) -> list[Raw | None]:
        """Go through rows of a log in order, keep the decisions, and return what the others find, in their order.

        Args:
            names: The recommendation that a row made or names; null for one that wants nothing.
            decided: A decision's features as a JSON text; null for a row that is no decision.
        """
        makes: NDArray[np.bool_] = decided.is_valid().to_numpy(zero_copy_only=False)
        codes: NDArray[np.int32] = names.dictionary_encode().indices.fill_null(-1).to_numpy()
        first = np.diff(np.maximum.accumulate(codes), prepend=-1) > 0
        if (makes & ~first).any():
            found = self._one_by_one(names.to_pylist(), decided.to_pylist())
        else:  # each decision is the first row of its name, so all rows that name it stand behind it
            found = self._at_once(names, decided.drop_null().to_pylist(), codes, makes)
        self._spill()
        return found

    def close(self) -> None:
        """Forget everything."""
        self._recent.clear()
        if self._older is not None:
            self._older.close()

    def _one_by_one(self, names: Sequence[str | None], decided: Sequence[str | None]) -> list[Raw | None]:
        found: list[Raw | None] = []
        for name, text in zip(names, decided, strict=True):
            if name is not None and text is not None:
                self._recent[name] = text
            else:
                found.append(None if name is None else self._raw(name))
        return found

    def _at_once(
        self, names: pa.StringArray, texts: Sequence[str], codes: NDArray[np.int32], makes: NDArray[np.bool_]
    ) -> list[Raw | None]:
        kept = np.full(
            codes.max(initial=-1) + 2, None, object
        )  # the last one stands for code -1, rows without a name
        kept[codes[makes]] = texts
        found: list[Raw | None] = kept[codes[~makes]].tolist()
        for i, name in enumerate(names.filter(pa.array(~makes)).to_pylist() if None in found else ()):
            if found[i] is None and name is not None:
                found[i] = self._raw(name)
        self._recent.update(zip(names.filter(pa.array(makes)).to_pylist(), texts, strict=True))
        return found

    def _raw(self, recommendation_id: str) -> Raw | None:
        raw = self._recent.get(recommendation_id)
        if raw is not None or self._older is None:
            return raw
        return self._older.get(recommendation_id)

    def _spill(self) -> None:
        while len(self._recent) > HELD:
            oldest = dict(islice(self._recent.items(), SPILLED))
            if self._older is None:
                self._older = _Older()
            self._older.put(oldest)
            for name in oldest:
                del self._recent[name]


class _Older:
    """Features in a temporary file: in heaps until somebody asks, since many a log never does, then by id."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a nameless database is a temporary file
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE heap (pairs BLOB)")
        self._sorted = False

    def put(self, features: dict[str, Raw]) -> None:
        """Keep features; those of an id that was there are replaced."""
        with self._file:
            if self._sorted:
                self._insert(features)
            else:
                self._file.execute("INSERT INTO heap VALUES (?)", (msgspec.msgpack.encode(features),))

    def get(self, recommendation_id: str) -> Raw | None:
        """Return the features of an id, None if there are none."""
        if not self._sorted:
            self._sort()
        row = self._file.execute("SELECT features FROM decision WHERE id = ?", (recommendation_id,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _sort(self) -> None:
        with self._file:
            self._file.execute("CREATE TABLE decision (id TEXT PRIMARY KEY, features) WITHOUT ROWID")
            for (pairs,) in self._file.execute("SELECT pairs FROM heap ORDER BY rowid"):
                self._insert(msgspec.msgpack.decode(pairs))
            self._file.execute("DROP TABLE heap")
        self._sorted = True

    def _insert(self, features: dict[str, Raw]) -> None:
        self._file.executemany("INSERT OR REPLACE INTO decision VALUES (?, ?)", features.items())
