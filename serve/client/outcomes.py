"""What a caller tells the service: outcomes, and recommendations made elsewhere."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import msgspec

from serve.client.errors import InvalidRequest

Scalar: TypeAlias = bool | int | float | str
Attributes: TypeAlias = Mapping[str, Scalar]
JsonObject: TypeAlias = Mapping[str, Any]


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return uuid4().hex


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a customer did with what was shown.

    It is resolved by `recommendation_id` and `rank`, or by `creative_id`. The idempotency key belongs to the
    outcome from its making on: however often it is sent, it is recorded once.

    Raises:
        InvalidRequest: a number is not finite.
    """

    customer_id: str
    outcome: str
    """Key of an outcome type: `click`, `dismiss` …"""
    idempotency_key: str = msgspec.field(default_factory=new_key)
    recommendation_id: str | None = None
    rank: int | None = None
    creative_id: str | None = None
    timestamp: datetime | None = None
    """Default: the service's time. Without a zone it is UTC."""
    conversion_value: float | None = None
    attributes: Attributes | None = None
    """Features for the models."""
    direction: Literal["inbound", "outbound"] | None = None
    context: JsonObject | None = None
    outcome_details: JsonObject | None = None
    channel: str | None = None
    placement: str | None = None
    device_type: str | None = None
    response_time: float | None = None
    """Milliseconds."""
    interaction_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse what JSON would silently make a null."""
        check_finite(
            {
                "conversionValue": self.conversion_value,
                "responseTime": self.response_time,
                "attributes": self.attributes,
                "context": self.context,
                "outcomeDetails": self.outcome_details,
            }
        )


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What another system showed at one rank."""

    rank: int
    creative_id: str
    propensity: float | None = None
    """Probability with which it was shown there."""


def check_finite(values: JsonObject) -> None:
    """Hold numbers, at any depth, against what JSON can say.

    Raises:
        InvalidRequest: one is NaN or infinite; the message names its place.
    """
    for place, value in _leaves("", values):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest(f"{place} must be a finite number")


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(f"{place}.{name}" if place else str(name), one)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _leaves(f"{place}.{index}", one)
    else:
        yield place, value
