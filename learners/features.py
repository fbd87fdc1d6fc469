"""Features as numbers: what a customer is like becomes a vector that a model can multiply.

A number is itself; a string or boolean is an indicator `name=value`, 1 where it holds. Dense models give each of
them a slot of a short vector, standardised as it goes; sparse models hash them into a long one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from learners.columns import LIMIT, Labels, Numbers, Table, table
from learners.errors import FeatureError
from learners.model import Features, Floats

HASH_SEED: Final = b"rewardloop"
"""Part of every state: another seed would give old weights to other features."""
LONGEST: Final = 200
LONGEST_START: Final = 160
"""Names and values of features are told apart by this much, and a hash of the whole."""
LARGE: Final = 4096
"""Bytes up to which features are kept as they came: a chunk of them fits into 4 MiB."""
CLIP: Final = 10.0
"""Standard deviations beyond which a number is held: one wild value must not outweigh a thousand."""
CLIP_SQUARED: Final = 0.99 * CLIP * CLIP
"""Numbers whose squares add up to less are not held; a little less than the square, for sums are rounded."""
BIAS: Final = 0
"""The slot that is always 1."""
FEW: Final = 8
"""Below so many features Python's arithmetic beats the start of numpy's."""
READERS: Final = 64
"""Sets of features whose readers are remembered between two chunks."""

_encoder = msgspec.msgpack.Encoder()


def checked(features: Features) -> Features:
    """Return the features.

    Raises:
        FeatureError: one is not a finite number, a string or a boolean.
    """
    for name, value in features.items():
        if not isinstance(value, str | int | float):
            raise FeatureError(f"attributes.{name} must be a number, a string or a boolean")
        if isinstance(value, float) and not math.isfinite(value):
            raise FeatureError(f"attributes.{name} must be finite")
    return features


def number(value: object) -> float | None:
    """Return a number held to ±LIMIT, None for what is an indicator."""
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return None
    return float(max(-LIMIT, min(LIMIT, value)))


def indicator(name: str, value: object) -> str:
    """Return the name of an indicator.

    >>> indicator("tier", "gold"), indicator("member", True)
    ('tier=gold', 'member=true')
    """
    return f"{short(name)}={str(value).lower() if isinstance(value, bool) else short(str(value))}"


def short(text: str) -> str:
    """Return the text, a long one as its beginning and its hash, so that no model can be made to hold a novel."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST_START]}#{_digest(text):016x}"


def bounded(features: Features) -> Features:
    """Return features that mean the same to every model, without long texts."""
    if all(len(name) <= LONGEST and (type(v) is not str or len(v) <= LONGEST) for name, v in features.items()):
        return features
    return {short(name): short(v) if isinstance(v, str) else v for name, v in features.items()}


def compact(features: Features) -> Features:
    """Return features that mean the same to every model and take little memory: of large ones, `bounded`."""
    try:
        return features if len(_encoder.encode(features)) <= LARGE else bounded(features)
    except OverflowError:  # an integer that no log of ours holds
        return bounded(features)


@lru_cache(maxsize=1 << 16)
def hash64(name: str) -> int:
    """Return a feature's hash, 0 ≤ h < 2^64, the same in every process (BLAKE2b with a fixed key)."""
    return _digest(name)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8, key=HASH_SEED).digest(), "little")


class Slots:
    """The dense encoding: a slot for each feature, as they are met; beyond `dim` they share slots by hash.

    Numbers are standardised with the running mean and deviation of their slot (Chan, Golub & LeVeque 1979), which
    are part of the state; a number that is missing counts as the mean, so a slot of 0 always means "nothing known".

    Args:
        dim: length of the vectors, the bias included, ≥ 2.
        normalize: whether numbers are standardised.

    Warning: names of many different values (ids, say) use up the slots of those met later.
    """

    def __init__(self, dim: int, *, normalize: bool) -> None:
        self.dim = dim
        self._normalize = normalize
        self.names: list[str] = [""]
        self._slots: dict[str, int] = {}
        self._n = np.zeros(dim)
        self._mean = np.zeros(dim)
        self._squares = np.zeros(dim)
        self._moments: tuple[list[float], list[float]] | None = None
        """Mean and deviation of each slot as lists: for few features Python is faster than numpy."""
        self._readers: dict[tuple[str, ...], _Reader | None] = {}

    def learn(self, rows: Sequence[Features] | Table) -> Floats:
        """Give new features their slots, take the numbers into account and return the vectors as `encode` does.

        Raises:
            FeatureError: a feature is not a finite number, a string or a boolean; nothing was learned.
        """
        raw = self._raw(_table(rows), add=True)
        self._take(raw.numbers, raw.present)
        return self._vectors(raw)

    def encode(self, rows: Sequence[Features] | Table) -> Floats:
        """Return the vectors of n customers, (n, dim) float64; the bias is slot 0.

        Raises:
            FeatureError: a feature is not a finite number, a string or a boolean.
        """
        return self._vectors(self._raw(_table(rows), add=False))

    def encode_one(self, features: Features) -> Floats:
        """Return the vector of one customer, (dim,) float64: `encode`'s, bit for bit, at a tenth of the time.

        Raises:
            FeatureError: a feature is not a finite number, a string or a boolean.
        """
        if len(features) >= FEW:
            kinds = set(map(type, features.values()))
            if kinds == {float}:
                vector = self._encode_floats(features)
            elif float in kinds and kinds <= {float, str, bool}:
                vector = self._encode_marked(features)
            else:
                vector = None
            if vector is not None:
                return vector
        return self._encode_each(features)

    def _encode_floats(self, features: Features) -> Floats | None:
        """Return what `encode_one` does, for floats; None where they must be looked at one by one."""
        names = tuple(features)
        reader = self._readers.get(names) or self._reader(names)
        values = np.fromiter(features.values(), np.float64, len(features))
        if reader is None or not values.dot(values) <= LIMIT * LIMIT:  # else all are finite and held
            return None
        return self._read(reader, values)

    def _encode_marked(self, features: Features) -> Floats | None:
        """Return what `encode_one` does, for floats and indicators; None as `_encode_floats`."""
        vector = self._encode_floats({name: value for name, value in features.items() if type(value) is float})
        if vector is None:
            return None
        marks = [(name, value) for name, value in features.items() if type(value) is not float]
        for slot in {self._slot(indicator(name, value), add=False) for name, value in marks}:
            if slot is not None:
                vector[slot] += 1.0
        return vector

    def _encode_each(self, features: Features) -> Floats:
        """Return what `encode_one` does, for features of any kind."""
        if self._moments is None:
            self._moments = self._mean.tolist(), self._scale().tolist()
        numbers: dict[int, float] = {}
        vector = np.zeros(self.dim)
        for name, value in checked(features).items():
            one = number(value)
            slot = self._slot(short(name) if one is not None else indicator(name, value), add=False)
            if slot is None:
                continue
            if one is None:
                vector[slot] = 1.0
            else:
                numbers[slot] = numbers.get(slot, 0.0) + one
        means, scales = self._moments
        for slot, one in numbers.items():
            vector[slot] += max(-CLIP, min(CLIP, (one - means[slot]) / scales[slot])) if self._normalize else one
        vector[BIAS] = 1.0
        return vector

    def _read(self, reader: "_Reader", values: Floats) -> Floats:
        known = values if reader.places is None else values[reader.places]
        if self._normalize:
            known = known - reader.mean
            known /= reader.scale
            if not known.dot(known) < CLIP_SQUARED:  # else none lies beyond
                known = np.minimum(np.maximum(known, -CLIP), CLIP)
        vector = np.zeros(self.dim)
        vector[reader.slots] = known + 0.0  # no -0.0, as in a sum
        vector[BIAS] = 1.0
        return vector

    def _reader(self, names: tuple[str, ...]) -> "_Reader | None":
        """Return where numbers of these names go; None if two of them share a slot."""
        if names not in self._readers:
            if len(self._readers) >= READERS:
                self._readers.clear()
            self._readers[names] = self._new_reader(names)
        return self._readers[names]

    def _new_reader(self, names: tuple[str, ...]) -> "_Reader | None":
        found = [
            (i, slot) for i, name in enumerate(names) if (slot := self._slot(short(name), add=False)) is not None
        ]
        slots = np.array([slot for _, slot in found], np.intp)
        if len(set(slots.tolist())) < len(slots):
            return None
        places = None if len(found) == len(names) else np.array([i for i, _ in found], np.intp)
        in_a_row = len(slots) > 0 and slots.tolist() == list(range(slots[0], slots[0] + len(slots)))
        where = slice(int(slots[0]), int(slots[0]) + len(slots)) if in_a_row else slots
        return _Reader(places, where, self._mean[slots], self._scale()[slots])

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        moments = np.concatenate([self._n, self._mean, self._squares])
        return {"names": self.names[1:], "moments": moments.astype("<f8").tobytes()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self.names = ["", *state["names"]]
        self._slots = {name: slot for slot, name in enumerate(self.names) if slot}
        moments = np.frombuffer(state["moments"], "<f8").astype(np.float64)
        self._n, self._mean, self._squares = moments.reshape(3, self.dim)
        self._forget_readers()

    def _forget_readers(self) -> None:
        self._moments = None
        self._readers.clear()

    def _take(self, numbers: Floats, present: NDArray[np.bool_]) -> None:
        n = present.sum(axis=0).astype(np.float64)
        total = np.maximum(self._n + n, 1.0)
        mean = numbers.sum(axis=0) / np.maximum(n, 1.0)
        step = np.where(n > 0, mean - self._mean, 0.0)
        self._squares += (np.where(present, numbers - mean, 0.0) ** 2).sum(axis=0) + step**2 * self._n * n / total
        self._mean += step * n / total
        self._n += n
        self._forget_readers()

    def _scale(self) -> Floats:
        variance = self._squares / np.maximum(self._n, 1.0)
        return np.sqrt(np.where(variance > 0, variance, 1.0))

    def _vectors(self, raw: "_Raw") -> Floats:
        numbers = raw.numbers
        if self._normalize:
            numbers = np.where(raw.present, np.clip((numbers - self._mean) / self._scale(), -CLIP, CLIP), 0.0)
        vectors = numbers + raw.indicators
        vectors[:, BIAS] = 1.0
        return vectors

    def _raw(self, rows: Table, *, add: bool) -> "_Raw":
        n = rows.length
        raw = _Raw(np.zeros((n, self.dim)), np.zeros((n, self.dim), np.bool_), np.zeros((n, self.dim)))
        for column in rows.columns:
            if isinstance(column, Numbers):
                self._put(raw, column, add=add)
            else:
                self._mark(raw, column, add=add)
        return raw

    def _put(self, raw: "_Raw", column: Numbers, *, add: bool) -> None:
        """Add numbers to their slots; those that share a slot add up."""
        slots = [self._slot(short(name), add=add) for name in column.names]
        known = [slot for slot in slots if slot is not None]
        everyone = len(column.members) == len(raw.numbers)
        if everyone and len(raw.numbers) and len(set(known)) == len(slots) and not raw.present.any():
            raw.numbers[:, known] = column.matrix
            raw.present[:, known] = True
            return
        for slot, numbers in zip(slots, column.matrix.T, strict=True):
            if slot is not None:
                raw.numbers[column.members, slot] += numbers
                raw.present[column.members, slot] = True

    def _mark(self, raw: "_Raw", column: Labels, *, add: bool) -> None:
        """Set the indicators of a column's values."""
        slots = {one: self._slot(indicator(column.name, one), add=add) for one in dict.fromkeys(column.values)}
        places = np.array([-1 if (slot := slots[one]) is None else slot for one in column.values], np.intp)
        known = places >= 0
        raw.indicators[column.members[known], places[known]] = 1.0

    def _slot(self, name: str, *, add: bool) -> int | None:
        """Return a feature's slot; None for one that nothing was learned of yet. The name is short."""
        slot = self._slots.get(name)
        if slot is None and len(self.names) >= self.dim:
            return 1 + hash64(name) % (self.dim - 1)
        if slot is None and add:
            slot = len(self.names)
            self.names.append(name)
            self._slots[name] = slot
        return slot


def sparse(features: Features) -> tuple[NDArray[np.uint64], Floats]:
    """Return the hash and the value of each of f features, (f,) uint64 and (f,) float64; no bias.

    Raises:
        FeatureError: a feature is not a finite number, a string or a boolean.
    """
    hashes, values = [], []
    for name, value in checked(features).items():
        one = number(value)
        hashes.append(hash64(indicator(name, value) if one is None else short(name)))
        values.append(1.0 if one is None else one)
    return np.array(hashes, np.uint64), np.array(values, np.float64)


@dataclass(frozen=True, slots=True)
class _Raw:
    """Numbers, where there are any, and indicators, (n, dim) each."""

    numbers: Floats
    present: NDArray[np.bool_]
    indicators: Floats


@dataclass(frozen=True, slots=True)
class _Reader:
    """How c numbers of one customer become a vector: the places of those known, their slots and moments."""

    places: NDArray[np.intp] | None
    slots: NDArray[np.intp] | slice
    mean: Floats
    scale: Floats


def _table(rows: Sequence[Features] | Table) -> Table:
    return rows if isinstance(rows, Table) else table(rows)
