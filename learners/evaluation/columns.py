"""Action probabilities that decision lines bring along for other policies, beside the format's own fields."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from storage.public_log import Row

SUM_TOLERANCE: Final = 1e-6
"""Probabilities may miss a sum of 1 by this much, as those do that were rounded when written."""


class Columns:
    """Reads the columns of some names from decision lines."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        fields = [
            (f"c{i}", list[float] | None, msgspec.field(name=name, default=None)) for i, name in enumerate(names)
        ]
        self._type: Any = msgspec.defstruct("_Fields", fields)
        self._decoder: Any = msgspec.json.Decoder(self._type)

    def read(self, row: Row, candidates: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Return the columns of a decision, each parallel to its candidates.

        Raises:
            BadLine: a column is missing, or holds no distribution over the candidates.
        """
        if not self.names:
            return ()
        try:
            if isinstance(row.values, dict):
                found = msgspec.convert(row.values, self._type)
            else:
                found = self._decoder.decode(row.values)
        except msgspec.ValidationError as error:
            raise row.bad(f"column: {error}") from None
        return tuple(_checked(row, name, getattr(found, f"c{i}"), candidates) for i, name in enumerate(self.names))


def _checked(row: Row, name: str, values: list[float] | None, candidates: Sequence[str]) -> tuple[float, ...]:
    if values is None:
        raise row.bad(f"column {name} is missing")
    if not candidates:
        raise row.bad(f"column {name} needs the candidates it is about")
    if len(values) != len(candidates):
        raise row.bad(f"column {name} has {len(values)} probabilities for {len(candidates)} candidates")
    if not all(0 <= value <= 1 for value in values):
        raise row.bad(f"column {name} must hold probabilities of 0 to 1")
    if abs(sum(values) - 1) > SUM_TOLERANCE:
        raise row.bad(f"column {name} must sum to 1, not to {sum(values):.9g}")
    return tuple(values)
