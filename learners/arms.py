"""What every model counts of its offers, in growing arrays: one row an offer, in the order they were first met."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from learners.model import ArmState, Floats, Rewards

NEVER: Final = -1
"""Stands for no time in `last_ms`."""


class Arms:
    """Offers and their counts. `columns` names float64 columns that a model adds for its own parameters."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.offers: list[str] = []
        self.categories: list[str | None] = []
        self._rows: dict[str, int] = {}
        self._floats: dict[str, Floats] = {name: np.zeros(0) for name in columns}
        self._ints: dict[str, NDArray[np.int64]] = {
            name: np.zeros(0, np.int64) for name in ("positives", "negatives", "last_ms")
        }

    def __len__(self) -> int:
        return len(self.offers)

    def __getitem__(self, column: str) -> Floats:
        """Return a column of a model's own, (n,) float64; writing to it writes to the arms."""
        return self._floats[column][: len(self)]

    def count(self, column: str) -> NDArray[np.int64]:
        """Return `positives`, `negatives` or `last_ms`, (n,) int64."""
        return self._ints[column][: len(self)]

    def row(self, offer: str) -> int | None:
        """Return the offer's row, None if it was never met."""
        return self._rows.get(offer)

    def add(self, offer: str, category: str | None, **values: float) -> int:
        """Add an offer with the values of its columns and return its row."""
        row = len(self)
        if row == len(self._ints["last_ms"]):
            self._grow(max(8, 2 * row))
        for name in self._floats:
            self._floats[name][row] = values.get(name, 0.0)
        self.offers.append(offer)
        self.categories.append(category)
        self._rows[offer] = row
        self._ints["positives"][row] = self._ints["negatives"][row] = 0
        self._ints["last_ms"][row] = NEVER
        return row

    def tally(self, rows: NDArray[np.intp], batch: Rewards) -> None:
        """Count rewards for their rows."""
        won = batch.weights > 0
        np.add.at(self._ints["positives"], rows[won], 1)
        np.add.at(self._ints["negatives"], rows[~won], 1)
        np.maximum.at(self._ints["last_ms"], rows, batch.times_ms)

    def remove(self, offer: str) -> int | None:
        """Forget an offer; return the row it had. The rows behind it move up by one."""
        row = self._rows.get(offer)
        if row is None:
            return None
        del self.offers[row], self.categories[row]
        self._rows = {one: i for i, one in enumerate(self.offers)}
        self._floats = {name: np.delete(column, row) for name, column in self._floats.items()}
        self._ints = {name: np.delete(column, row) for name, column in self._ints.items()}
        return row

    def rows_of(self, offers: Sequence[str]) -> NDArray[np.intp]:
        """Return the row of each of k offers, (k,); -1 for those never met."""
        return np.fromiter(map(self._rows.get, offers, repeat(-1)), np.intp, len(offers))

    def met_rows(self, batch: Rewards) -> NDArray[np.intp]:
        """Return the row of each reward's offer, (n,), adding those not met before."""
        rows = self.rows_of(batch.offers)
        for i in np.flatnonzero(rows < 0).tolist():
            offer = batch.offers[i]
            row = self._rows.get(offer)
            rows[i] = self.add(offer, batch.categories[i]) if row is None else row
        return rows

    def in_category(self, category: str) -> list[int]:
        """Return the rows of a category's offers."""
        return [row for row, one in enumerate(self.categories) if one == category]

    def met(self, offer_id: str | None) -> list[str]:
        """Return the offers met so far, or the one asked for if it is among them."""
        if offer_id is None:
            return list(self.offers)
        return [offer_id] if offer_id in self._rows else []

    def describe(
        self, offer: str, mean: float, lower: float, upper: float, parameters: dict[str, float]
    ) -> ArmState:
        """Return an offer's counts with what the model believes of it."""
        row = self._rows[offer]
        positives, negatives = int(self.count("positives")[row]), int(self.count("negatives")[row])
        last_ms = int(self.count("last_ms")[row])
        return ArmState(
            offer_id=offer,
            pulls=positives + negatives,
            positives=positives,
            negatives=negatives,
            mean=float(mean),
            ci_lower=float(lower),
            ci_upper=float(upper),
            last_reward_at=None if last_ms == NEVER else last_ms,
            parameters=parameters,
        )

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        return {
            "offers": list(self.offers),
            "categories": list(self.categories),
            **{name: self[name].astype("<f8").tobytes() for name in self._floats},
            **{name: self.count(name).astype("<i8").tobytes() for name in self._ints},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        offers: Sequence[str] = state["offers"]
        self.offers, self.categories = list(offers), list(state["categories"])
        self._rows = {offer: row for row, offer in enumerate(offers)}
        for name in self._floats:
            self._floats[name] = np.frombuffer(state[name], "<f8").astype(np.float64)
        for name in self._ints:
            self._ints[name] = np.frombuffer(state[name], "<i8").astype(np.int64)

    def _grow(self, size: int) -> None:
        for name, floats in self._floats.items():
            self._floats[name] = np.concatenate([floats, np.zeros(size - len(floats))])
        for name, ints in self._ints.items():
            self._ints[name] = np.concatenate([ints, np.zeros(size - len(ints), np.int64)])
