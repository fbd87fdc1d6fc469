"""JSON Schemas of bodies (pydantic) and answers (msgspec), in one plain style that code generators read well."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from serve.client.answers import ErrorAnswer, ModelState
from serve.jsonschema import inlined

REFERENCE: Final = "#/components/schemas/{name}"
ONE_OF_ITS_NUMBERS: Final = {"type": "number", "description": "Another of the model's own numbers."}
_PAGE: Final = re.compile(r"\bPage_(\w+?)_(?!\w)")
"""What msgspec calls a page of something."""


def reference(answer: Any) -> dict[str, Any]:
    """Return the schema that refers to an answer's own."""
    [schema], _ = msgspec.json.schema_components([answer], ref_template=REFERENCE)
    named: dict[str, Any] = _named(tidy(schema))
    return named


def of_answers(types: Iterable[Any]) -> dict[str, Any]:
    """Return the schemas of these answers, of their parts and of errors, by name."""
    wanted = {*(one for one in types if one not in (None, str)), ErrorAnswer}
    _, found = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    schemas: dict[str, Any] = _named({name: tidy(schema) for name, schema in found.items()})
    schemas[ModelState.__name__]["additionalProperties"] = ONE_OF_ITS_NUMBERS
    return schemas


def of_bodies(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the schemas of request bodies, by name."""
    return {model.__name__: tidy(inlined(model.model_json_schema(by_alias=True))) for model in models}


def merged(schemas: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, in which one name has one meaning.

    Raises:
        ValueError: a name would have two.
    """
    for name, schema in more.items():
        if schemas.get(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
    return {**schemas, **more}


def tidy(schema: Any) -> Any:
    """Return the same schema without titles and null defaults, with one type (and null) where that is enough."""
    if isinstance(schema, list):
        return [tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        name: {field: tidy(one) for field, one in value.items()} if name == "properties" else tidy(value)
        for name, value in schema.items()
        if not (name == "title" or (name == "default" and value is None))
    }
    if isinstance(result.get("const"), str):
        result["enum"] = [result.pop("const")]
    if "enum" in result and all(isinstance(one, str) for one in result["enum"]):
        result = {"type": "string", **result}
    if result.get("type") == "object" and "properties" not in result:
        result.setdefault("additionalProperties", True)
    return _nullable(result)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `anyOf` of something and null as a type that may be null, and of several enumerations as one."""
    parts = schema.get("anyOf", [])
    kinds = [one for one in parts if one.get("type") != "null"]
    own = {name: one for name, one in schema.items() if name != "anyOf"}
    if len(kinds) > 1 and all(one.get("type") == "string" and "enum" in one for one in kinds):
        kinds = [{"type": "string", "enum": [value for one in kinds for value in one["enum"]]}]
    if len(kinds) != 1 or "type" not in kinds[0]:
        return schema
    if len(kinds) == len(parts):
        return {**kinds[0], **own}
    values = {"enum": [*kinds[0]["enum"], None]} if "enum" in kinds[0] else {}
    return {**kinds[0], "type": [kinds[0]["type"], "null"], **values, **own}


def _named(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_named(one) for one in schema]
    if isinstance(schema, dict):
        return {_PAGE.sub(r"\1Page", name): _named(one) for name, one in schema.items()}
    return _PAGE.sub(r"\1Page", schema) if isinstance(schema, str) else schema
