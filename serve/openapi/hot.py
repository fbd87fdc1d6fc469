"""The hot routes, which FastAPI does not know: they skip its parameter handling."""

from typing import Any, Final

from serve.gate import BULK_BODY_BYTES
from serve.openapi.schemas import REFERENCE
from serve.routes.respond import BULK_MAX, NDJSON

MIN_POSITION: Final = {
    "name": "X-Min-Log-Position",
    "in": "header",
    "description": "Wait up to 250 ms until the models have learned everything up to this log position.",
    "schema": {"type": "integer", "format": "int64", "minimum": 0},
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "In place of idempotencyKey in the body.",
    "schema": {"type": "string", "maxLength": 1024},
}


def paths() -> dict[str, Any]:
    """Return the paths of /respond, /respond/bulk and /recommend."""
    outcome = {"$ref": REFERENCE.format(name="RespondBody")}
    outcomes = {"type": "array", "minItems": 1, "maxItems": BULK_MAX, "items": outcome}
    envelope = {"type": "object", "required": ["outcomes"], "properties": {"outcomes": outcomes}}
    respond = _operation("respond", "Record the outcome of a recommendation", outcome, [IDEMPOTENCY_KEY])
    bulk = _operation("respond", f"Record up to {BULK_MAX:,} outcomes in {BULK_BODY_BYTES >> 20} MiB", envelope, [])
    lines = {"schema": {"type": "string", "description": "One outcome a line."}}
    bulk["requestBody"]["content"][NDJSON] = lines
    asked = {"$ref": REFERENCE.format(name="RecommendBody")}
    recommend = _operation("recommendations", "Decide what to show to a customer", asked, [MIN_POSITION])
    return {
        "/api/v1/respond": {"post": respond},
        "/api/v1/respond/bulk": {"post": bulk},
        "/api/v1/recommend": {"post": recommend},
    }


def _operation(tag: str, summary: str, body: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": body}}
    return {
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "requestBody": {"required": True, "content": content},
    }
