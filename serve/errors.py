"""Everything an HTTP caller can be told that is not success, the one map to it, and what is told at the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import ErrorDetails

CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "UNPROCESSABLE",
    429: "RATE_LIMITED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Detail:
    """One field and the rule it breaks."""

    field: str
    message: str


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    """The request is answered with an error: `status` is one of CODES, `message` names the field and the rule."""

    status: int
    message: str
    details: Sequence[Detail] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        error: dict[str, Any] = {
            "code": CODES[self.status],
            "message": self.message,
            "status": self.status,
            "requestId": request_id,
        }
        if self.details:
            error["details"] = [{"field": d.field, "message": d.message} for d in self.details]
        return {"error": error}


class ServiceError(Exception):
    """The service cannot start; the message is one line for whoever started it."""


def bad_request(field_name: str, rule: str) -> ApiError:
    """Return the 400 for one field that breaks one rule."""
    message = f"{field_name} {rule}"
    return ApiError(400, message, (Detail(field_name, message),))


def unauthorized() -> ApiError:
    """Return the 401; it never tells what was wrong."""
    return ApiError(401, "Missing or invalid X-Tenant-Id or API key", headers={"WWW-Authenticate": "Bearer"})


def not_found(what: str) -> ApiError:
    """Return the 404; another tenant's things are told apart from missing ones by nobody."""
    return ApiError(404, f"{what} was not found")


def unavailable() -> ApiError:
    """Return the 503 that asks the caller to come back."""
    return ApiError(503, "The service cannot do this right now, try again", headers={"Retry-After": "1"})


WHOLE: Final = "body"
"""What breaks a rule that is about more than one field."""

_RULES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "extra_forbidden": "is not a known field",
    "value_error": "{error}",
}


def from_validation(errors: Sequence[ErrorDetails]) -> ApiError:
    """Return the 400 for what pydantic found, each field with its rule."""
    details = [_detail(error) for error in errors]
    return ApiError(400, details[0].message, details)


def at(place: str, error: ApiError) -> ApiError:
    """Return an error of a part of the body as one of the whole: `place` is where the part stands."""
    details = [_moved(place, detail) for detail in error.details]
    return ApiError(error.status, details[0].message if details else f"{place}: {error.message}", details)


def _moved(place: str, detail: Detail) -> Detail:
    rule = detail.message.removeprefix(detail.field)
    name = place if detail.field == WHOLE else f"{place}.{detail.field}"
    return Detail(name, name + rule)


def _detail(error: ErrorDetails) -> Detail:
    place = [str(part) for part in error["loc"] if part not in {"body", "query", "path", "header", "[key]"}]
    name = ".".join(place) or WHOLE
    rule = _RULES.get(error["type"])
    bounds = {
        name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()
    }
    text = rule.format(**bounds) if rule else error["msg"][:1].lower() + error["msg"][1:]
    return Detail(name, f"{name} {text}")
