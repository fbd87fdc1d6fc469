"""The catalogue's kinds and the rules of their items; requests become writes here, without any I/O."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from serve.errors import ApiError, at, bad_request, from_validation
from serve.fields import Body, Finite, Id, IsoTime
from storage.clock import iso
from storage.config import Doc, Item, Reference, TenantConfig, Write
from storage.entry import OfferRemoved

_T = TypeVar("_T", bound=Body)
Status = Literal["draft", "active", "paused", "archived"]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Tag = Annotated[str, Field(min_length=1, max_length=255)]
JsonMap = Annotated[dict[str, Any], Field(max_length=100), Finite]


class Schedule(Body):
    """When an offer may be shown; an open end is no limit."""

    start_at: IsoTime | None = None
    end_at: IsoTime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Schedule":
        if self.start_at is not None and self.end_at is not None and self.end_at <= self.start_at:
            raise ValueError("must end after it starts")
        return self


class Category(Body):
    """A category of offers."""

    name: Name
    status: Status = "active"


class Offer(Body):
    """What a customer can be offered."""

    name: Name
    category_id: Id | None = None
    status: Status = "active"
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    business_value: Annotated[float, Field(ge=0)] = 1.0
    schedule: Schedule = Schedule()
    tags: Annotated[list[Tag], Field(max_length=100)] = []
    metadata: JsonMap = {}


class Channel(Body):
    """A way to reach customers."""

    name: Name
    channel_type: Literal["email", "push", "sms", "in_app", "web", "webhook", "whatsapp", "direct_mail", "other"]
    status: Status = "active"
    impression_mode: Literal["explicit", "implicit"] = "explicit"


class Placement(Body):
    """A place on a channel."""

    name: Name
    channel_id: Id
    slot_type: Annotated[str, Field(max_length=255)] | None = None
    status: Status = "active"


class Creative(Body):
    """What an offer looks like on a channel."""

    name: Name
    offer_id: Id
    channel_id: Id
    placement_id: Id | None = None
    status: Status = "active"
    weight: Annotated[float, Field(ge=0, le=100)] = 100.0
    content: JsonMap = {}


class OutcomeType(Body):
    """A kind of response and what it means for learning."""

    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:-]+$")]
    name: Name
    description: Annotated[str, Field(max_length=2000)] = ""
    classification: Literal["positive", "negative", "neutral"] = "neutral"
    category: Literal["impression", "response"] = "response"
    ordinal: Annotated[int, Field(ge=0, le=2**31)] = 99
    status: Status = "active"


class WithId(Body):
    """The id that a caller may choose for a new item."""

    id: Id | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item: its name in the store, its path, the model of its body, what it refers to."""

    name: str
    plural: str
    model: type[Body]
    references: Mapping[str, str]
    """field → kind."""
    unique: str = "name"

    def new_id(self) -> str:
        """Return an id for a new item."""
        prefix = "outcome" if self.name == "outcomeType" else self.name
        return f"{prefix}_{secrets.token_hex(12)}"


OUTCOME_TYPE: Final = Kind("outcomeType", "outcomeTypes", OutcomeType, {}, unique="key")
CATALOG_KINDS: Final = (
    Kind("category", "categories", Category, {}),
    Kind("channel", "channels", Channel, {}),
    Kind("placement", "placements", Placement, {"channelId": "channel"}),
    Kind("offer", "offers", Offer, {"categoryId": "category"}),
    Kind(
        "creative",
        "creatives",
        Creative,
        {"offerId": "offer", "channelId": "channel", "placementId": "placement"},
    ),
)
ALL_KINDS: Final = (*CATALOG_KINDS, OUTCOME_TYPE)

_FIXED_OF_SYSTEM_TYPES: Final = ("key", "classification", "category")


def created(kind: Kind, tenant: str, body: Mapping[str, Any], now_ms: int) -> Write:
    """Return the write that makes a new item of `body`.

    Raises:
        ApiError: 400, a field breaks its rule.
    """
    item_id = _validated(WithId, body).id or kind.new_id()
    return _write(kind, tenant, item_id, None, body, now_ms)


def updated(kind: Kind, tenant: str, item: Item, patch: Mapping[str, Any], now_ms: int) -> Write:
    """Return the write that merges `patch` into an item; a null sets a field back to its default.

    Raises:
        ApiError: 400, a field breaks its rule.
    """
    return _write(kind, tenant, item.doc["id"], item, {**item.doc, **patch}, now_ms)


def deleted(kind: Kind, item: Item, now_ms: int) -> Write:
    """Return the write that deletes an item softly.

    Raises:
        ApiError: 400, it is a system outcome type.
    """
    if item.doc.get("isSystem"):
        raise ApiError(400, f"outcome type {item.doc['key']!r} belongs to the system and cannot be deleted")
    doc = {**item.doc, "version": item.version + 1, "deletedAt": iso(now_ms), "updatedAt": iso(now_ms)}
    return Write(kind.name, doc["id"], item.version, doc, live=False)


def told(kind: Kind, tenant: str, item_id: str) -> list[OfferRemoved]:
    """Return what the log is told of a deletion: models forget a deleted offer."""
    return [OfferRemoved(tenant, item_id)] if kind.name == "offer" else []


@dataclass(slots=True)
class Plan:
    """The writes that a catalogue asks for, and how many items of what it names."""

    counts: dict[str, int]
    writes: list[Write] = field(default_factory=list)


def plan(config: TenantConfig, catalog: Mapping[str, Any], now_ms: int) -> Plan:
    """Return the writes that make the configuration hold what `catalog` says; none for what it holds already.

    Items are found by `id`, outcome types by `key`. Deleted ones come back, with what `catalog` says alone.

    Raises:
        ApiError: 400, an item breaks a rule; `details` names its place.
    """
    for name in catalog:
        if name not in {kind.plural for kind in ALL_KINDS}:
            raise bad_request(name, "is not a part of a catalogue")
    result = Plan({"created": 0, "updated": 0, "unchanged": 0})
    for kind in ALL_KINDS:
        wanted = _upserts_of(kind, config, catalog.get(kind.plural) or [], now_ms)
        result.counts[kind.plural] = len(wanted)
        for write in wanted:
            new = _says_new(write, config)
            result.counts["unchanged" if not new else "updated" if write.expected is not None else "created"] += 1
            result.writes += [write] if new else []
    return result


def _upserts_of(kind: Kind, config: TenantConfig, items: Any, now_ms: int) -> list[Write]:
    if not isinstance(items, list):
        raise bad_request(kind.plural, "must be an array")
    writes: dict[str, Write] = {}
    for index, body in enumerate(items):
        place = f"{kind.plural}.{index}"
        if not isinstance(body, dict):
            raise bad_request(place, "must be an object")
        try:
            write = _upsert(kind, config, body, now_ms)
        except ApiError as error:
            raise at(place, error) from None
        if write.item_id in writes:
            raise bad_request(place, f"has the {'key' if kind is OUTCOME_TYPE else 'id'} of another entry")
        writes[write.item_id] = write
    return list(writes.values())


def _upsert(kind: Kind, config: TenantConfig, body: Mapping[str, Any], now_ms: int) -> Write:
    item_id = _existing_id(kind, config, body)
    item = config.of_kind(kind.name).get(item_id)
    if item is None:
        return _write(kind, config.tenant, item_id, None, body, now_ms)
    if not item.live:
        return _write(kind, config.tenant, item_id, item, {"createdAt": item.doc["createdAt"], **body}, now_ms)
    return updated(kind, config.tenant, item, body, now_ms)


def _existing_id(kind: Kind, config: TenantConfig, body: Mapping[str, Any]) -> str:
    if kind is not OUTCOME_TYPE:
        item_id = _validated(WithId, body).id
        if item_id is None:
            raise bad_request("id", "is required")
        return item_id
    found = [i for i, item in config.of_kind(kind.name).items() if item.live and item.doc["key"] == body.get("key")]
    return found[0] if found else kind.new_id()


def _says_new(write: Write, config: TenantConfig) -> bool:
    item = config.get(write.kind, write.item_id)
    ignored = ("version", "updatedAt")
    return item is None or any(
        item.doc.get(name) != value for name, value in write.doc.items() if name not in ignored
    )


def _write(
    kind: Kind, tenant: str, item_id: str, before: Item | None, body: Mapping[str, Any], now_ms: int
) -> Write:
    fields = _validated(kind.model, body).model_dump(by_alias=True)
    if "schedule" in fields:
        fields["schedule"] = {name: None if t is None else iso(t) for name, t in fields["schedule"].items()}
    is_system = before is not None and before.live and bool(before.doc.get("isSystem"))
    if before is not None and is_system:
        for name in _FIXED_OF_SYSTEM_TYPES:
            if fields[name] != before.doc[name]:
                raise bad_request(name, "of a system outcome type cannot be changed")
    doc: Doc = {"id": item_id, "tenantId": tenant, **fields}
    if kind is OUTCOME_TYPE:
        doc["isSystem"] = is_system
    doc |= {
        "version": 1 if before is None else before.version + 1,
        "deletedAt": None,
        "createdAt": iso(now_ms) if before is None else before.doc["createdAt"],
        "updatedAt": iso(now_ms),
    }
    references = [
        Reference(name, target, doc[name]) for name, target in kind.references.items() if doc[name] is not None
    ]
    expected = None if before is None else before.version
    return Write(kind.name, item_id, expected, doc, name=doc[kind.unique], references=references)


def _validated(model: type[_T], body: Mapping[str, Any]) -> _T:
    try:
        return model.model_validate({name: value for name, value in body.items() if value is not None})
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False)) from None
