"""One operation of the document, made complete: name, parameters, body, answers, errors, security."""

import re
from typing import Any, Final

from serve.errors import CODES
from serve.openapi.answers import ANSWERED, Answered
from serve.openapi.schemas import REFERENCE, reference, tidy

JSON: Final = "application/json"
API: Final = "/api/v1"
ERROR: Final = {JSON: {"schema": {"$ref": REFERENCE.format(name="ErrorAnswer")}}}

HEADERS: Final = {
    "X-Request-Id": {"description": "Finds the request in the log.", "schema": {"type": "string"}},
    "X-Log-Position": {
        "description": "Log position of the outcome; for a recommendation, what its model has learned.",
        "schema": {"type": "integer", "format": "int64"},
    },
    "Idempotency-Mismatch": {
        "description": "true: the key was used for another outcome.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {"description": "Places left, and seconds.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "Places in a window of 60 s.", "schema": {"type": "string"}},
}
COMES_WITH: Final = {429: ("Retry-After", "RateLimit", "RateLimit-Policy"), 503: ("Retry-After",)}
TELLS_OF: Final = {
    400: "A field breaks a rule; the message names both.",
    401: "No key, or none that is valid for the tenant.",
    403: "The key lacks the scope.",
    404: "There is no such thing.",
    405: "The path does not answer this method.",
    409: "It exists already, or was changed by somebody else at the same moment.",
    413: "The body is too large.",
    415: "The body is of another content type.",
    422: "The idempotency key was used for another outcome, and the tenant rejects that.",
    429: "The rate limit is reached; nothing was recorded.",
    500: "Something went wrong on the service's side.",
    503: "The service cannot do this right now.",
}
PARAMETERS: Final = {
    "limit": "Rows of a page.",
    "cursor": "nextCursor of the page before.",
    "includeDeleted": "Show what was deleted, too.",
    "customerId": "Of this customer.",
    "offerId": "Of this offer.",
    "channelId": "Of this channel.",
    "type": "Of this outcome.",
    "periodType": "Of these periods.",
    "groupBy": "What a row is about.",
    "days": "Days to look back, today included.",
    "model": "How credit is divided.",
    "tenant_id": "Id of the tenant.",
    "customer_id": "Id of the customer.",
}


def _name(status: int) -> str:
    return "".join(word.capitalize() for word in CODES[status].split("_"))


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


ERRORS: Final = {
    _name(status): {
        "description": text,
        "headers": _headers("X-Request-Id", *COMES_WITH.get(status, ())),
        "content": ERROR,
    }
    for status, text in TELLS_OF.items()
}


def complete(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Complete an operation in place; return the schemas, by name, that its body was moved to."""
    answered = ANSWERED.get(f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path.removeprefix(API))}")
    if answered is None:
        return {}  # a test finds it
    operation["operationId"] = answered.operation_id
    operation["tags"] = list(dict.fromkeys(operation["tags"]))
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _asked(tidy(parameter["schema"]))
        parameter.setdefault("description", PARAMETERS.get(parameter["name"], "Its id."))
    behind_gate = path.startswith(API)
    statuses = _errors(method, path, operation) if behind_gate else []
    operation["responses"] = {
        **{str(status): _answer(answered, status) for status in answered.answers},
        **{str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses},
    }
    operation["security"] = _security(path) if behind_gate else []
    return _moved(answered, operation)


def _errors(method: str, path: str, operation: dict[str, Any]) -> list[int]:
    takes_body = "requestBody" in operation
    found = {401, 403, 429, 500, 503}
    if takes_body or operation.get("parameters"):
        found |= {400}
    if takes_body:
        found |= {413, 415}
    if "{" in path or path in {f"{API}/respond", f"{API}/attribution"}:
        found |= {404}
    if path.startswith(f"{API}/respond"):
        found |= {422}
    elif method in {"post", "put"} and not path.endswith(("/recommend", "/score", "/attribution")):
        found |= {409}
    return sorted(found)


def _answer(answered: Answered, status: int) -> dict[str, Any]:
    answer = answered.answers[status]
    names = ["X-Request-Id"]
    if (answered.operation_id, status) in {("respond", 201), ("recommend", 200)}:
        names.append("X-Log-Position")
    if (answered.operation_id, status) == ("respond", 200):
        names.append("Idempotency-Mismatch")
    if answer is None:
        return {"description": "Done.", "headers": _headers(*names)}
    text = (getattr(answer, "__doc__", None) or "").partition("\n")[0] if answer is not str else "Figures."
    content = (
        {"text/plain": {"schema": {"type": "string"}}} if answer is str else {JSON: {"schema": reference(answer)}}
    )
    return {"description": text, "headers": _headers(*names), "content": content}


def _asked(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: null cannot be asked for, it is left out."""
    kind = schema.get("type")
    if isinstance(kind, list):
        values = {"enum": [one for one in schema["enum"] if one is not None]} if "enum" in schema else {}
        return {**schema, "type": kind[0], **values}
    return schema


def _security(path: str) -> list[dict[str, list[str]]]:
    tenant: dict[str, list[str]] = {} if path.startswith(f"{API}/tenants") else {"tenant": []}
    return [{"bearer": [], **tenant}, {"apiKey": [], **tenant}]


def _moved(answered: Answered, operation: dict[str, Any]) -> dict[str, Any]:
    """Move an operation's body to the components, under its operation's name, where it has none yet."""
    if "requestBody" not in operation:
        return {}
    operation["requestBody"]["required"] = True
    media = operation["requestBody"]["content"][JSON]
    schema = answered.body or media["schema"]
    if "$ref" in schema:
        return {}
    name = f"{answered.operation_id[0].upper()}{answered.operation_id[1:]}Body"
    media["schema"] = {"$ref": REFERENCE.format(name=name)}
    # FastAPI knows of these bodies only that they are objects.
    own = {key: value for key, value in schema.items() if key != "additionalProperties"}
    return {name: {"description": f"{operation['summary']}.", **tidy(own)}}
