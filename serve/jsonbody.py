"""JSON as callers send it: parsed strictly, compared by meaning."""

import json
import math
from hashlib import blake2b
from typing import Any, Final

from pydantic_core import from_json

from serve.errors import ApiError
from storage.commit import FINGERPRINT_BYTES


def parse_json(raw: bytes) -> Any:
    """Return the JSON value. It holds no NaN, but infinity where a number is too large for a float: see `Finite`.

    Raises:
        ApiError: 400, the text is not such JSON.
    """
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"body is not valid JSON: {error}") from error


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object.

    Raises:
        ApiError: 400, the text is not a JSON object.
    """
    return as_object(parse_json(raw), "body")


def as_object(value: Any, name: str) -> dict[str, Any]:
    """Return the value, which is a JSON object.

    Raises:
        ApiError: 400, it is not.
    """
    if not isinstance(value, dict):
        raise ApiError(400, f"{name} must be a JSON object")
    return value


def fingerprint(value: dict[str, Any]) -> bytes:
    """Return bytes that are equal for objects that mean the same: order, white space, 1 or 1.0, null or absent.

    Raises:
        ApiError: 400, a number is not finite.
    """
    return blake2b(_encode(_canonical(value)).encode(), digest_size=FINGERPRINT_BYTES).digest()


_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ApiError(400, "body holds a number that is not finite")
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value
