"""The lines of the public log format: what was shown, what came of it, and what changed the models meanwhile."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import pyarrow as pa

from storage.clock import parse_iso
from storage.entry import LARGEST_WEIGHT, Classification, ModelStatus, Scalar

LARGEST_VALUE: Final = sys.float_info.max
LARGEST_POSITION: Final = 2**53
_MAX_RANK: Final = 2**31 - 1
"""A rank is 32 bits wide in Parquet."""

INTEGERS: Final = range(-(2**63), 2**64)
"""The integers that a log can hold: msgpack has no others."""

Rank = Annotated[int, msgspec.Meta(ge=1, le=_MAX_RANK)]
Propensity = Annotated[float, msgspec.Meta(gt=0, le=1)]
# Bounds also keep out NaN and infinity, which Parquet can hold.
Weight = Annotated[float, msgspec.Meta(ge=-LARGEST_WEIGHT, le=LARGEST_WEIGHT)]
Value = Annotated[float, msgspec.Meta(ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
Position = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_POSITION)]


def check_integers(features: Mapping[str, Scalar]) -> None:
    """Check that all integers are of 64 bits.

    Raises:
        ValueError: one is not.
    """
    for name, value in features.items():
        if isinstance(value, int) and value not in INTEGERS:
            raise ValueError(f"{name} is an integer of more than 64 bits")


class Shown(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One offer that a decision put at a rank, and how likely that was."""

    rank: Rank
    offer_id: str
    creative_id: str | None = None
    propensity: Propensity | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="kind", omit_defaults=True):
    """What all kinds of line have."""

    position: Position | None = None
    time: str
    """When it happened, ISO 8601; without a zone it is UTC."""
    recorded_at: str | None = None
    """When the log took it, where that is not `time`."""
    tenant: str | None = None

    def __post_init__(self) -> None:
        parse_iso(self.time)
        if self.recorded_at is not None:
            parse_iso(self.recorded_at)

    @property
    def time_ms(self) -> int:
        """When it happened, in milliseconds since 1970."""
        return parse_iso(self.time)

    @property
    def recorded_ms(self) -> int:
        """When the log took it, in milliseconds since 1970."""
        return self.time_ms if self.recorded_at is None else parse_iso(self.recorded_at)


class _CustomerLine(_Line, frozen=True, kw_only=True):
    """A line about a customer."""

    customer_id: str
    features: dict[str, Scalar] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers(self.features)


class DecisionLine(_CustomerLine, frozen=True, kw_only=True, tag="decision"):
    """What was shown to a customer, out of what, and on which knowledge."""

    recommendation_id: str
    model_key: str | None = None
    variant: str | None = None
    candidates: list[str] = []
    decisions: list[Shown]


class OutcomeLine(_CustomerLine, frozen=True, kw_only=True, tag="outcome"):
    """How a customer responded to one offer."""

    interaction_id: str | None = None
    recommendation_id: str | None = None
    rank: Rank | None = None
    decided_at: str | None = None
    """The decision's time; where it is given, `features` hold the decision's already."""
    offer_id: str
    category_id: str | None = None
    creative_id: str | None = None
    channel_id: str | None = None
    outcome: str
    classification: Classification
    weight: Weight
    value: Value | None = None


class ModelLine(_Line, frozen=True, kw_only=True, tag="model"):
    """A model came into being, or was changed; it learns from this line on."""

    model_id: str
    model_key: str
    model_type: str
    status: ModelStatus
    config: dict[str, Any] = {}
    outcome_weights: dict[str, Weight] = {}
    reset: bool = False
    """Whether the model forgets what it learned before."""
    warm: bool = False
    """Whether the model first learns from all outcomes before this line."""


class OfferRemovedLine(_Line, frozen=True, kw_only=True, tag="offer_removed"):
    """An offer was deleted; the models forget it."""

    offer_id: str


Line: TypeAlias = DecisionLine | OutcomeLine | ModelLine | OfferRemovedLine

_TEXT: Final = pa.string()
_TIME: Final = pa.timestamp("ms", "UTC")
SCHEMA: Final = pa.schema(
    {
        "kind": _TEXT,
        "position": pa.int64(),
        "time": _TIME,
        "recordedAt": _TIME,
        "tenant": _TEXT,
        "recommendationId": _TEXT,
        "customerId": _TEXT,
        "modelKey": _TEXT,
        "variant": _TEXT,
        "features": _TEXT,
        "candidates": pa.list_(_TEXT),
        "decisions": pa.list_(
            pa.struct({"rank": pa.int32(), "offerId": _TEXT, "creativeId": _TEXT, "propensity": pa.float64()})
        ),
        "interactionId": _TEXT,
        "rank": pa.int32(),
        "decidedAt": _TIME,
        "offerId": _TEXT,
        "categoryId": _TEXT,
        "creativeId": _TEXT,
        "channelId": _TEXT,
        "outcome": _TEXT,
        "classification": _TEXT,
        "weight": pa.float64(),
        "value": pa.float64(),
        "modelId": _TEXT,
        "modelType": _TEXT,
        "status": _TEXT,
        "config": _TEXT,
        "outcomeWeights": _TEXT,
        "reset": pa.bool_(),
        "warm": pa.bool_(),
    }
)
"""The columns of a public log in Parquet."""

OBJECTS: Final = ("features", "config", "outcomeWeights")
"""Columns that hold an object: JSON texts, since a column has one type and what is in an object has several."""
TIMES: Final = ("time", "recordedAt", "decidedAt")
