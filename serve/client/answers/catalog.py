"""The catalogue, and the rules that cut it down."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from serve.client.answers.base import Answer, Count, Item, JsonObject, Time
from serve.client.answers.outcomes import Classification


class OutcomeType(Item, frozen=True):
    """A kind of response and what it means for learning."""

    key: str
    name: str
    description: str
    classification: Classification
    category: Literal["impression", "response"]
    ordinal: int
    status: str
    is_system: bool


class Category(Item, frozen=True):
    """A category of offers."""

    name: str
    status: str


class Schedule(Answer, frozen=True):
    """When an offer may be shown; null is no limit."""

    start_at: Time | None
    end_at: Time | None


class Offer(Item, frozen=True):
    """What a customer can be offered."""

    name: str
    category_id: str | None
    status: str
    priority: int
    business_value: float
    schedule: Schedule
    tags: list[str]
    metadata: JsonObject


class Channel(Item, frozen=True):
    """A way to reach customers."""

    name: str
    channel_type: str
    status: str
    impression_mode: Literal["explicit", "implicit"]


class Placement(Item, frozen=True):
    """A place on a channel."""

    name: str
    channel_id: str
    slot_type: str | None
    status: str


class Creative(Item, frozen=True):
    """What an offer looks like on a channel."""

    name: str
    offer_id: str
    channel_id: str
    placement_id: str | None
    status: str
    weight: float
    content: JsonObject


class CatalogCounts(Answer, frozen=True):
    """How many items a catalogue named, by kind, and what became of them."""

    created: Count
    updated: Count
    unchanged: Count
    categories: Count
    channels: Count
    placements: Count
    offers: Count
    creatives: Count
    outcome_types: Count


class FrequencyCap(Item, frozen=True):
    """So many deliveries in a day, week or month, with those counted so far."""

    name: str
    scope: str
    scope_id: str
    max_volume: int
    period: str
    enabled: bool
    current_count: Annotated[int, Meta(ge=0, description="Deliveries in the current period.")]
    reset_at: Time


class PolicyScope(Answer, frozen=True):
    """What a policy counts and holds back."""

    scope: str
    scope_id: str | None


class ContactPolicy(Item, frozen=True):
    """When a customer is left alone."""

    name: str
    rule_type: str
    config: dict[str, Any]
    scopes: list[PolicyScope]
    status: str
    priority: int
