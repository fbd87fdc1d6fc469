"""The OpenAPI document: what FastAPI knows of the routes, plus names, answers, errors and the hot routes."""

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from serve.openapi import hot, operations
from serve.openapi.answers import ANSWERED
from serve.openapi.schemas import merged, of_answers, of_bodies, tidy
from serve.recommend import RecommendBody
from serve.respond import RespondBody

if TYPE_CHECKING:
    from fastapi import FastAPI

SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "tenant": {"type": "apiKey", "in": "header", "name": "X-Tenant-Id", "description": "The key's tenant."},
}
"""The tenant goes with every request as the key does, so generated clients are told both once."""
UNUSED: Final = frozenset({"HTTPValidationError", "ValidationError"})
"""FastAPI's own error, which this service never answers."""
TAGS: Final = {
    "respond": "Outcomes, recorded exactly once.",
    "recommendations": "What to show to a customer.",
    "outcome types": "What a response is called and what it means.",
    "catalogue": "Offers, creatives, channels, placements, categories.",
    "models": "What learns, what it believes, who decides.",
    "history": "What customers have seen and done.",
    "attribution": "Which touches conversions are due to.",
    "metrics": "Numbers of outcomes, kept while they come in.",
    "caps": "How often something may be delivered to all.",
    "policies": "When a customer is left alone.",
    "experiments": "Models against each other, and against none.",
    "erasure": "A customer is forgotten.",
    "audit": "Who changed what.",
    "keys": "API keys.",
    "tenants": "Tenants and their settings.",
    "operations": "For those who run the service.",
}


def document(app: "FastAPI") -> dict[str, Any]:
    """Return the document for `app`."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schema["servers"] = [{"url": "/", "description": "The service that this document came from."}]
    schema["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    schema["paths"] |= hot.paths()
    found = schema.setdefault("components", {}).get("schemas", {})
    schemas = {name: tidy(one) for name, one in found.items() if name not in UNUSED}
    schemas = merged(schemas, of_bodies(RespondBody, RecommendBody))
    schemas = merged(schemas, of_answers([one for each in ANSWERED.values() for one in each.answers.values()]))
    for path, each in schema["paths"].items():
        for method, operation in each.items():
            hoisted = operations.complete(method, path, operation)
            schemas = merged(schemas, hoisted)
    schema["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "responses": operations.ERRORS,
        "headers": operations.HEADERS,
        "securitySchemes": SECURITY,
    }
    return schema
