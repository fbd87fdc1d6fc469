"""Keys, tenants, settings, and who changed what."""

from typing import Annotated, Literal

from msgspec import Meta

from serve.client.answers.base import Answer, Count, JsonObject, Time


class Key(Answer, frozen=True):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: Time
    expires_at: Time | None


class KeyWithSecret(Key, frozen=True):
    """An API key that was made just now."""

    key: Annotated[str, Meta(description="Shown this once.")]


class Tenant(Answer, frozen=True):
    """A tenant."""

    id: str
    name: str
    status: Literal["active", "disabled"]
    created_at: Time


class RateLimits(Answer, frozen=True):
    """Requests that any 60 s admit, by route."""

    respond: int
    bulk: int
    recommend: int
    default: int


class Idempotency(Answer, frozen=True):
    """How long a key is remembered, and what another body under a used key gets."""

    ttl_hours: int
    on_mismatch: Literal["ignore", "reject"]


class HalfLife(Answer, frozen=True):
    """After how many events, or seconds, what was learned counts half."""

    events: float | None = None
    seconds: float | None = None


class Settings(Answer, frozen=True):
    """Settings of a tenant."""

    rate_limits: RateLimits
    idempotency: Idempotency
    holdout_percent: float
    retention_days: int
    recommendation_ttl_days: int
    half_life: HalfLife | None = None


class AuditRow(Answer, frozen=True):
    """A write of configuration; each row's hash covers the one before."""

    id: str
    action: Literal["create", "update", "delete", "promote", "erase"]
    entity_type: str
    entity_id: str
    before: JsonObject | None
    after: JsonObject | None
    actor: Annotated[str, Meta(description="Id of the key.")]
    request_id: str | None
    timestamp: Time
    prev_hash: str
    hash: str


class Audit(Answer, frozen=True, omit_defaults=True):
    """Whether the audit log is as it was written."""

    intact: bool
    verified: Count
    broken_at_id: str | None = None
