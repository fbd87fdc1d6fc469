"""Outcomes of a log as columns: what models learn from them, many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.entry import WEIGHTS, Scalar

NO_FEATURES: Final = "{}"
LESSON: Final = [
    *("time", "recordedAt", "offerId", "categoryId", "outcome", "classification", "weight", "value", "features")
]
"""The columns of an outcome that teach."""
TEACHING: Final = pa.array(["positive", "negative"])
"""Neutral outcomes are no lesson."""

Raw: TypeAlias = str | bytes
"""Features as they are kept: the JSON text of a log, or msgpack."""

_json: Final = msgspec.json.Decoder(dict[str, Scalar])
_jsons: Final = msgspec.json.Decoder(list[dict[str, Scalar] | None])
_msgpack: Final = msgspec.msgpack.Decoder(dict[str, Scalar])


def decode_features(raw: Raw) -> dict[str, Scalar]:
    """Return features that were kept.

    Raises:
        msgspec.MsgspecError: they are none.
    """
    return _json.decode(raw) if isinstance(raw, str) else _msgpack.decode(raw)


def decode_texts(texts: Sequence[str]) -> list[dict[str, Scalar]]:
    """Return the features of n JSON texts, decoded at one go.

    Raises:
        ValueError: one is no object of scalars.
    """
    if not texts:
        return []
    # A text cannot swallow the null behind it: in an object it would need a name, and strings hold no line feed.
    found = _jsons.decode("[" + ",\nnull,\n".join(texts) + "]")
    decoded = [one for one in found[::2] if one is not None]
    if len(found) != 2 * len(texts) - 1 or len(decoded) != len(texts):
        raise ValueError("a text holds several objects, or none")
    return decoded


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A run of one tenant's log: the n outcomes in it that teach, positive and negative ones, in order.

    Attributes:
        tenant: Whose they are.
        entries: How many entries the run has, decisions and neutral outcomes included.
        decisions: How many of these are decisions.
        unjoined: How many outcomes name a decision that does not stand before them.
        last: The position at which the run ends.
        positions: (n,) int64.
        rows: (n,), the outcomes by the columns of `LESSON`.
        decided: (n,), the features of the decision that each names; None where it names none, or has them already.
    """

    tenant: str
    entries: int
    decisions: int
    unjoined: int
    last: int
    positions: NDArray[np.int64]
    rows: pa.RecordBatch
    decided: Sequence[Raw | None]

    def __len__(self) -> int:
        return len(self.decided)

    def until(self, position: int) -> "Outcomes":
        """Return those up to a position; `entries` and `decisions` stay those of the whole run."""
        if self.last <= position:
            return self
        count = int(np.searchsorted(self.positions, position, side="right"))
        rows, decided = self.rows.slice(0, count), self.decided[:count]
        return replace(self, last=position, positions=self.positions[:count], rows=rows, decided=decided)

    @property
    def offers(self) -> list[str]:
        """The offer of each."""
        return texts_of(self.rows["offerId"])

    @property
    def categories(self) -> list[str | None]:
        """The offer's category, None where it has none."""
        column = self.rows["categoryId"]
        return [None] * len(self) if column.null_count == len(self) else column.to_pylist()

    @property
    def outcomes(self) -> list[str]:
        """The outcome's key."""
        return texts_of(self.rows["outcome"])

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each is worth, (n,); a failure that weighs nothing is an ordinary failure."""
        weights = self.rows["weight"].to_numpy()
        failed = pc.equal(self.rows["classification"], "negative").to_numpy(zero_copy_only=False)
        return np.where((weights == 0) & failed, WEIGHTS["negative"], weights)

    @property
    def values(self) -> NDArray[np.float64]:
        """Conversion values, (n,), NaN where none was given."""
        values: NDArray[np.float64] = self.rows["value"].to_numpy(zero_copy_only=False)
        return values

    @property
    def times_ms(self) -> NDArray[np.int64]:
        """When the log took each, (n,), ms since 1970."""
        times: NDArray[np.int64] = pc.coalesce(self.rows["recordedAt"], self.rows["time"]).view("int64").to_numpy()
        return times

    @property
    def features(self) -> list[dict[str, Scalar]]:
        """What was known of customer and situation: the outcome's features and the decision's, which win."""
        given = self.rows["features"].fill_null(NO_FEATURES).to_pylist()
        if not any(self.decided):
            return decode_texts(given)
        decided = _decoded([raw or NO_FEATURES for raw in self.decided])
        if all(text == NO_FEATURES for text in given):
            return decided
        return [own | other for own, other in zip(decode_texts(given), decided, strict=True)]

    @property
    def longest_text(self) -> int:
        """No name and no text among the features is longer than this, in characters or bytes."""
        own = pc.max(pc.binary_length(self.rows["features"])).as_py() or 0
        return max(own, max(map(len, filter(None, self.decided)), default=0))


def texts_of(column: pa.StringArray) -> list[str]:
    """Return the texts of a column that has few different ones; equal ones are one object."""
    encoded = column.dictionary_encode()
    texts = np.array(encoded.dictionary.to_pylist(), object)
    return list(texts[encoded.indices.to_numpy()]) if len(texts) else []


def _decoded(raws: Sequence[Raw]) -> list[dict[str, Scalar]]:
    texts = [raw for raw in raws if isinstance(raw, str)]
    if len(texts) == len(raws):
        return decode_texts(texts)
    return [decode_features(raw) for raw in raws]
