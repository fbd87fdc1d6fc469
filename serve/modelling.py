"""Models as configuration: what may be written, what moves are legal, and what the log is told of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from learners.errors import ConfigError
from learners.models import MODELS, check_outcome_weights, make_model
from serve.errors import ApiError, Detail, bad_request, from_validation
from serve.fields import Attributes, Body, Id
from storage.clock import iso
from storage.config import Doc, Item, TenantConfig, Write
from storage.entry import ModelChange, ModelStatus

KIND: Final = "model"
MAX_MODELS: Final = 20
"""Models of a tenant that are not archived: each learns from every reward and is held in memory."""
MOVES: Final[Mapping[str, frozenset[str]]] = {
    "draft": frozenset({"shadow", "archived"}),
    "shadow": frozenset({"challenger", "draft", "archived"}),
    "challenger": frozenset({"champion", "draft", "archived"}),
    "champion": frozenset(),
    "archived": frozenset(),
}
"""From a status to those that `promote` may move it to; a champion leaves only by being replaced."""

Weights = Annotated[dict[Id, float], Field(max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class ModelBody(Body):
    """A new model."""

    id: Id | None = None
    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:-]+$")]
    name: Name | None = Field(None, description="Default: the key.")
    model_type: str = Field(description=f"One of {', '.join(MODELS)}.")
    status: Literal["draft", "shadow", "challenger"] = "draft"
    config: dict[str, Any] = {}
    outcome_weights: Weights = {}
    start: Literal["log"] | None = Field(
        None, alias="from", description="log: learn from all outcomes in the log before going live."
    )


class ModelPatch(Body):
    """A change of a model; what is not named stays, null sets a field back to its default."""

    name: Name | None = None
    config: dict[str, Any] | None = None
    outcome_weights: Weights | None = None


class PromoteBody(Body):
    """Where to move a model."""

    to: Literal["draft", "shadow", "challenger", "champion", "archived"]


class ScoreBody(Body):
    """What to score: some offers, or all live ones, for a customer with these attributes."""

    attributes: Attributes = {}
    offer_ids: Annotated[list[Id], Field(max_length=1000)] | None = None


def created(config: TenantConfig, body: ModelBody, now_ms: int) -> Write:
    """Return the write that makes a model.

    Raises:
        ApiError: 400, a field breaks its rule; 409, there are too many models.
    """
    items = config.of_kind(KIND).values()
    if sum(1 for item in items if item.doc["status"] != "archived") >= MAX_MODELS:
        raise ApiError(409, f"a tenant has at most {MAX_MODELS} models that are not archived")
    model_id = body.id or f"model_{token_hex(12)}"
    options = _with_half_life(config, body)
    _check(config, body.model_type, options, body.outcome_weights)
    doc: Doc = {
        "id": model_id,
        "key": body.key,
        "name": body.name or body.key,
        "modelType": body.model_type,
        "status": body.status,
        "config": options,
        "outcomeWeights": body.outcome_weights,
        "version": 1,
        "createdAt": iso(now_ms),
        "updatedAt": iso(now_ms),
    }
    return Write(KIND, model_id, None, doc, name=body.key)


def _with_half_life(config: TenantConfig, body: ModelBody) -> dict[str, Any]:
    """Return a new model's configuration, with the tenant's half-life where it names none."""
    settings = config.get("settings", "settings")
    half_life = None if settings is None else settings.doc.get("halfLife")
    return body.config if half_life is None else {"halfLife": half_life, **body.config}


def updated(config: TenantConfig, item: Item, given: Mapping[str, Any], now_ms: int) -> Write:
    """Return the write that merges a change into a model.

    Raises:
        ApiError: 400, a field breaks its rule or cannot be changed.
    """
    for name in ("id", "key", "modelType", "status"):
        if name in given and given[name] != item.doc[name]:
            hint = "; use promote" if name == "status" else ""
            raise bad_request(name, f"cannot be changed{hint}")
    try:
        patch = ModelPatch.model_validate(dict(given))
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False)) from None
    changes: Doc = {}
    if "name" in given:
        changes["name"] = patch.name or item.doc["key"]
    if "config" in given:
        changes["config"] = patch.config or {}
    if "outcomeWeights" in given:
        changes["outcomeWeights"] = patch.outcome_weights or {}
    doc = {**item.doc, **changes}
    _check(config, doc["modelType"], doc["config"], doc["outcomeWeights"])
    return _next(item, doc, now_ms)


def promoted(config: TenantConfig, item: Item, to: ModelStatus, now_ms: int) -> list[Write]:
    """Return the writes that move a model, and the old champion where it is replaced.

    Raises:
        ApiError: 400, the move is not legal.
    """
    status = item.doc["status"]
    if to not in MOVES[status]:
        allowed = ", ".join(sorted(MOVES[status])) or "nothing"
        raise bad_request("to", f"must be one of: {allowed} (the model is {status})")
    writes = [replace(_next(item, {**item.doc, "status": to}, now_ms), action="promote")]
    if to == "champion":
        for other in config.of_kind(KIND).values():
            if other.doc["status"] == "champion":
                writes.insert(
                    0, replace(_next(other, {**other.doc, "status": "challenger"}, now_ms), action="promote")
                )
    return writes


def reset(item: Item, now_ms: int) -> Write:
    """Return the write that makes a model forget; nothing but its version changes."""
    return _next(item, item.doc, now_ms)


def told(tenant: str, writes: Sequence[Write], *, reset: bool = False, warm: bool = False) -> list[ModelChange]:
    """Return what the log is told of writes of models."""
    return [
        ModelChange(
            tenant=tenant,
            model_id=write.doc["id"],
            key=write.doc["key"],
            model_type=write.doc["modelType"],
            status=write.doc["status"],
            config=json.dumps(write.doc["config"], separators=(",", ":")),
            outcome_weights=write.doc["outcomeWeights"],
            reset=reset,
            warm=warm,
        )
        for write in writes
    ]


def _next(item: Item, doc: Doc, now_ms: int) -> Write:
    doc = {**doc, "version": item.version + 1, "updatedAt": iso(now_ms)}
    return Write(KIND, doc["id"], item.version, doc, name=doc["key"])


def _check(tenant: TenantConfig, model_type: str, config: Mapping[str, Any], weights: Mapping[str, float]) -> None:
    types = tenant.of_kind("outcomeType").values()
    classes = {item.doc["key"]: item.doc["classification"] for item in types if item.live}
    try:
        make_model(model_type, config)
        check_outcome_weights(weights, classes)
    except ConfigError as error:
        field = str(error).partition(" ")[0].rstrip(":")
        raise ApiError(400, str(error), [Detail(field, str(error))]) from None
