"""Types of request fields, shared by all bodies: strict, bounded, with one-line rules."""

import math
from typing import Annotated, Any, Final, NewType

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from storage.clock import parse_iso
from storage.entry import Scalar

MAX_KEYS: Final = 100
INT64: Final = 2**63

TimeMs = NewType("TimeMs", int)


class Body(BaseModel):
    """A request body: camelCase outside, no conversions between types, unknown fields ignored."""

    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=to_camel, allow_inf_nan=False
    )


def _rule(text: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{text}", {"text": text})


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        raise _rule("must be a string")
    try:
        return parse_iso(value)
    except ValueError:
        raise _rule("must be a time in ISO 8601") from None


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > MAX_KEYS:
        raise _rule(f"must have at most {MAX_KEYS} keys")
    return value


def _all_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_all_finite, value.values()))
    if isinstance(value, list):
        return all(map(_all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    if not _all_finite(value):
        raise _rule("must hold finite numbers only")
    return value


def _scalars(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _rule("must be an object")
    return {name: _scalar(name, item) for name, item in _bounded(value).items() if item is not None}


def _scalar(name: str, value: Any) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int):
        if -INT64 <= value < INT64:
            return value
        try:
            return float(value)
        except OverflowError:
            raise _rule(f"must hold finite numbers only, {name} is not") from None
    raise _rule(f"must hold strings, numbers and booleans only, {name} is neither")


Id = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=255)]
Rank = Annotated[int, Field(ge=1, lt=INT64)]
IsoTime = Annotated[
    int, BeforeValidator(_time, json_schema_input_type=str), Field(json_schema_extra={"format": "date-time"})
]
"""A time: ISO 8601 outside, ms since 1970 inside."""
Finite: Final = AfterValidator(_finite)
"""JSON can write numbers that no float holds, and they are read as infinity."""
JsonObject = Annotated[dict[str, Any], AfterValidator(_bounded), Finite]
Attributes = Annotated[dict[str, Scalar], BeforeValidator(_scalars, json_schema_input_type=dict[str, Scalar])]
