"""The OpenAPI document: what FastAPI knows, plus the hot routes and the one error shape."""

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from serve.errors import CODES
from serve.gate import BULK_BODY_BYTES
from serve.recommend import RecommendBody
from serve.respond import RespondBody
from serve.routes.respond import BULK_MAX, NDJSON

if TYPE_CHECKING:
    from fastapi import FastAPI

NULLABLE: Final = {"type": ["string", "null"]}
ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status", "requestId"],
            "properties": {
                "code": {"type": "string", "enum": sorted(CODES.values())},
                "message": {"type": "string"},
                "status": {"type": "integer"},
                "requestId": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                    },
                },
            },
        }
    },
}
ACKNOWLEDGEMENT: Final = {
    "type": "object",
    "required": ["interactionId", "customerId", "outcome", "classification", "status", "timestamp"],
    "properties": {
        "interactionId": {"type": "string"},
        "recommendationId": NULLABLE,
        "customerId": {"type": "string"},
        "outcome": {"type": "string"},
        "classification": {"type": "string", "enum": ["positive", "negative", "neutral"]},
        "rank": {"type": ["integer", "null"]},
        "offerName": {"type": "string"},
        "creativeName": {"type": "string"},
        "channelName": {"type": "string"},
        "categoryName": NULLABLE,
        "status": {"type": "string", "enum": ["recorded", "already_recorded"]},
        "timestamp": {"type": "string", "format": "date-time"},
    },
}
BULK_ANSWER: Final = {
    "type": "object",
    "required": ["processed", "recorded", "duplicates", "failed", "results"],
    "properties": {
        **{name: {"type": "integer"} for name in ("processed", "recorded", "duplicates", "failed")},
        "results": {"type": "array", "items": {"type": "object"}},
    },
}
SHOWN: Final = {
    "type": "object",
    "properties": {
        "rank": {"type": "integer", "minimum": 1},
        **{name: {"type": "string"} for name in ("offerId", "offerName", "creativeId", "creativeName")},
        **{name: {"type": "string"} for name in ("channelId", "channelName", "interactionId")},
        "placementId": NULLABLE,
        "categoryName": NULLABLE,
        "score": {"type": "number"},
        "propensity": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Probability with which the policy puts this offer at this rank.",
        },
    },
}
RECOMMENDATION: Final = {
    "type": "object",
    "required": ["recommendationId", "customerId", "count", "controlGroup", "modelKey", "variant", "decisions"],
    "properties": {
        "recommendationId": {"type": "string"},
        "customerId": {"type": "string"},
        "count": {"type": "integer"},
        "controlGroup": {"type": "boolean"},
        "modelKey": {"type": "string"},
        "variant": NULLABLE,
        "decisions": {"type": "array", "items": SHOWN},
        "meta": {"type": "object", "description": "With debug: funnel, reasons, model and log position."},
    },
}
MIN_POSITION: Final = {
    "name": "X-Min-Log-Position",
    "in": "header",
    "description": "Wait up to 250 ms until the models have learned everything up to this log position.",
    "schema": {"type": "integer", "minimum": 0},
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 1024},
}
TENANT: Final = {"name": "X-Tenant-Id", "in": "header", "required": True, "schema": {"type": "string"}}
ERROR_STATUSES: Final = (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503)


def document(app: "FastAPI") -> dict[str, Any]:
    """Return the document for `app`."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas |= {"Error": ERROR, "Acknowledgement": ACKNOWLEDGEMENT, "BulkAnswer": BULK_ANSWER}
    schemas["Recommendation"] = RECOMMENDATION
    for body in (RespondBody, RecommendBody):
        schema_of_body = body.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        schemas[body.__name__] = schema_of_body
    schema["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schema["paths"] |= _hot_paths()
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in ERROR_STATUSES:
        if status >= 400 and not (path.startswith("/-/") and status != 503):
            responses[str(status)] = {
                "description": CODES[status].replace("_", " ").capitalize(),
                "content": content,
            }
    if not path.startswith("/-/"):
        operation["security"] = [{"bearer": []}, {"apiKey": []}]
        if not path.startswith("/api/v1/tenants"):
            operation.setdefault("parameters", []).append(TENANT)


def _hot_paths() -> dict[str, Any]:
    item = {"$ref": "#/components/schemas/RespondBody"}
    outcomes = {"type": "array", "minItems": 1, "maxItems": BULK_MAX, "items": item}
    envelope = {"type": "object", "required": ["outcomes"], "properties": {"outcomes": outcomes}}
    one = _operation(
        "Record the outcome of a recommendation",
        {"application/json": {"schema": item}},
        {"201": ("Recorded", "Acknowledgement"), "200": ("Recorded before", "Acknowledgement")},
    )
    one["parameters"] = [IDEMPOTENCY_KEY]
    bulk = _operation(
        f"Record up to {BULK_MAX} outcomes in {BULK_BODY_BYTES >> 20} MiB",
        {"application/json": {"schema": envelope}, NDJSON: {"schema": {"type": "string"}}},
        {"207": ("Each outcome answered for itself", "BulkAnswer")},
    )
    recommended = _operation(
        "Decide what to show to a customer",
        {"application/json": {"schema": {"$ref": "#/components/schemas/RecommendBody"}}},
        {"200": ("Decided and logged", "Recommendation")},
    )
    recommended["parameters"], recommended["tags"] = [MIN_POSITION], ["recommendations"]
    return {
        "/api/v1/respond": {"post": one},
        "/api/v1/respond/bulk": {"post": bulk},
        "/api/v1/recommend": {"post": recommended},
    }


def _operation(summary: str, content: dict[str, Any], answers: dict[str, tuple[str, str]]) -> dict[str, Any]:
    responses = {
        status: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
        }
        for status, (text, name) in answers.items()
    }
    return {
        "tags": ["respond"],
        "summary": summary,
        "operationId": summary.split(" to ", maxsplit=1)[0].lower().replace(" ", "_").replace(",", ""),
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }
