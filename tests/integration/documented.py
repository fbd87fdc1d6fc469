"""The OpenAPI document, held against real answers: each must be what the document says, to the field."""

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = "urn:document"


class Documented:
    """Validates answers as they come, and remembers which operations gave which status."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.seen: set[tuple[str, int]] = set()
        self._operations: list[tuple[str, re.Pattern[str], dict[str, Any]]] = [
            (method.upper(), re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(path))), operation)
            for path, each in sorted(document["paths"].items(), key=lambda item: specific(item[0]))
            for method, operation in each.items()
        ]
        self._components = document["components"]
        resource = DRAFT202012.create_resource({"components": closed(self._components)})
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT, resource)

    async def check(self, response: httpx.Response) -> None:
        """Hold an answer against the document; an httpx event hook."""
        operation = self._operation(response.request)
        if operation is None:
            return
        await response.aread()
        name, status = operation["operationId"], response.status_code
        documented = operation["responses"].get(str(status))
        assert documented is not None, f"{name} answers {status}, which is not documented: {response.text}"
        self.seen.add((name, status))
        if "$ref" in documented:
            documented = self._components["responses"][documented["$ref"].rpartition("/")[2]]
        for header in documented.get("headers", {}):
            if header in {"X-Request-Id", "Retry-After"}:
                assert header in response.headers, f"{name} {status} lacks {header}"
        content = documented.get("content")
        if content is None:
            assert response.content == b"", name
            return
        [(media, described)] = content.items()
        assert response.headers["content-type"].startswith(media), name
        if media == "application/json":
            self._validate(f"{name} {status}", described["schema"], response.json())

    def check_sent(self, request: httpx.Request) -> None:
        """Hold a request that was accepted against the document."""
        operation = self._operation(request)
        if operation is None or "requestBody" not in operation:
            return
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert request.headers["content-type"] == "application/json"
        self._validate(
            f"body of {operation['operationId']}", schema, httpx.Response(200, content=request.content).json()
        )

    def _validate(self, what: str, schema: dict[str, Any], value: Any) -> None:
        placed = {"$id": DOCUMENT + ":one", "allOf": [at_document(schema)]}
        validator = Draft202012Validator(
            placed, registry=self._registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        errors = [
            f"{what}: {'.'.join(map(str, one.absolute_path))}: {one.message}"
            for one in validator.iter_errors(value)
        ]
        assert not errors, errors

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        for method, pattern, operation in self._operations:
            if request.method == method and pattern.fullmatch(request.url.path):
                return operation
        return None


def specific(path: str) -> tuple[int, int]:
    """Order paths so that `/a/b` comes before `/a/{id}`, and longer ones first."""
    return path.count("{"), -path.count("/")


def at_document(schema: Any) -> Any:
    """Return a schema whose references point into the document."""
    if isinstance(schema, list):
        return [at_document(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: DOCUMENT + one if name == "$ref" else at_document(one) for name, one in schema.items()}


def closed(schema: Any) -> Any:
    """Return the same schemas, in which a field that is not documented is an error."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict):
        result.setdefault("additionalProperties", False)
    return result
