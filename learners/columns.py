"""Features of many customers by column: what a batch of rewards looks like to a model that multiplies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from learners.errors import FeatureError
from storage.entry import Scalar

LIMIT: Final = 1e15
"""Larger numbers count as this much: their squares stay well inside a float. Times in ms are smaller."""
FLOAT: Final = 0xCB
"""The byte before each float in msgpack."""
PACKED: Final = np.dtype([("type", "u1"), ("number", ">f8")])

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of c features of m rows: the rows' places in the batch, (m,), and a matrix, (m, c) float64."""

    names: tuple[str, ...]
    members: NDArray[np.intp]
    matrix: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labels:
    """Strings and booleans of one feature of m rows, and the rows' places in the batch, (m,)."""

    name: str
    members: NDArray[np.intp]
    values: tuple[str | bool, ...]


Column: TypeAlias = Numbers | Labels


@dataclass(frozen=True, slots=True)
class Table:
    """Features of n rows. Each row's features stand in the order in which it has them."""

    length: int
    columns: Sequence[Column]


def table(rows: Sequence[Mapping[str, Scalar]]) -> Table:
    """Return the features of n rows by column.

    Raises:
        FeatureError: one is not a finite number, a string or a boolean.
    """
    names = list(map(tuple, rows))
    if names and names.count(names[0]) == len(rows):
        return Table(len(rows), list(_columns(names[0], np.arange(len(rows)), rows)))
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, one in enumerate(names):
        groups.setdefault(one, []).append(i)
    columns: list[Column] = []
    for one, group in groups.items():
        columns += _columns(one, np.array(group, np.intp), [rows[i] for i in group])
    return Table(len(rows), columns)


def _columns(
    names: tuple[str, ...], members: NDArray[np.intp], rows: Sequence[Mapping[str, Scalar]]
) -> Iterable[Column]:
    """Return the columns of rows that have the same features in the same order."""
    floats = _floats(list(chain.from_iterable([row.values() for row in rows])))
    if floats is not None:
        return [Numbers(names, members, _held(names, floats.reshape(len(rows), len(names))))]
    values = zip(*(row.values() for row in rows), strict=True)
    return chain.from_iterable(_split(name, members, own) for name, own in zip(names, values, strict=True))


def _floats(values: Sequence[object]) -> NDArray[np.float64] | None:
    """Return values that are all of type float, None for others.

    msgpack has a byte before each value that tells its type. Packing a list and reading those bytes at once takes a
    tenth of the time in which numpy looks at each value.
    """
    try:
        packed = _encoder.encode(values)
    except (TypeError, ValueError, OverflowError):
        return None
    start = len(packed) - len(values) * PACKED.itemsize
    if start not in (1, 3, 5):  # the list's own head
        return None
    read = np.frombuffer(packed, PACKED, offset=start)
    return read["number"].astype(np.float64) if (read["type"] == FLOAT).all() else None


def _split(name: str, members: NDArray[np.intp], values: tuple[Scalar, ...]) -> list[Column]:
    """Return the column of the numbers among the values and that of the others, those that there are."""
    kinds = set(map(type, values))
    if kinds <= {int, float}:
        return [_numbers(name, members, values)]
    if kinds <= {str, bool}:
        return [Labels(name, members, values)]  # type: ignore[arg-type]
    if not all(isinstance(value, str | int | float) for value in values):
        raise FeatureError(f"attributes.{name} must be a number, a string or a boolean")
    are_numbers = np.array([not isinstance(value, str | bool) for value in values])
    numbers, labels = (
        tuple(v for v, is_number in zip(values, are_numbers, strict=True) if is_number == want) for want in (1, 0)
    )
    return [_numbers(name, members[are_numbers], numbers), Labels(name, members[~are_numbers], labels)]  # type: ignore[arg-type]


def _numbers(name: str, members: NDArray[np.intp], values: Sequence[Scalar]) -> Numbers:
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:
        raise FeatureError(f"attributes.{name} must be finite") from None
    return Numbers((name,), members, _held((name,), numbers[:, None]))


def _held(names: Sequence[str], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the numbers of some features, (m, c), held to ±LIMIT."""
    if (np.abs(matrix) <= LIMIT).all():
        return matrix
    finite = np.isfinite(matrix).all(axis=0)
    if not finite.all():
        raise FeatureError(f"attributes.{names[int(np.argmin(finite))]} must be finite")
    return np.clip(matrix, -LIMIT, LIMIT)
