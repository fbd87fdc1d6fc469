"""JSON Schemas, made over."""

from collections.abc import Mapping
from typing import Any


def inlined(schema: Any, definitions: Mapping[str, Any] | None = None) -> Any:
    """Return a schema with its parts in place of references to them."""
    if isinstance(schema, list):
        return [inlined(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known = schema.get("$defs", definitions or {})
    if "$ref" in schema:
        rest = {name: one for name, one in schema.items() if name != "$ref"}
        return {**inlined(known[schema["$ref"].rpartition("/")[2]], known), **rest}
    return {name: inlined(one, known) for name, one in schema.items() if name != "$defs"}


def optional(schema: Any) -> Any:
    """Return a schema that requires nothing, at any depth."""
    if isinstance(schema, dict):
        return {name: optional(one) for name, one in schema.items() if name != "required"}
    return schema
