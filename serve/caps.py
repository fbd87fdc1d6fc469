"""Frequency caps: how often all customers together may be shown an offer, a category or a channel in a period."""

from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field

from serve.catalog import Kind, Name
from serve.errors import bad_request
from serve.fields import Body, Id
from storage.caps import Cap, Scope, reset_ms
from storage.clock import iso
from storage.config import Doc, Reference, TenantConfig, Write
from storage.periods import Period

MAX_CAPS: Final = 1_000
"""Every recommendation asks for all that are enabled."""


class FrequencyCap(Body):
    """At most `maxVolume` deliveries of what `scope` and `scopeId` name, in each day, week or month (UTC)."""

    name: Name
    scope: Scope
    scope_id: Id
    max_volume: Annotated[int, Field(ge=1, le=2**53)]
    period: Period
    enabled: bool = True


FREQUENCY_CAP: Final = Kind("frequencyCap", "frequency-caps", FrequencyCap, {})


def checked(write: Write, config: TenantConfig) -> Write:
    """Return a write of a cap that fits beside the others, with a reference to what it caps.

    Raises:
        ApiError: 400, another cap is of the same scope and period, or there are too many.
    """
    others = [item.doc for item in config.of_kind(FREQUENCY_CAP.name).values() if item.live]
    others = [doc for doc in others if doc["id"] != write.item_id]
    if len(others) >= MAX_CAPS:
        raise bad_request("name", f"is one more than the {MAX_CAPS} caps that a tenant may have")
    if any(_what(doc) == _what(write.doc) for doc in others):
        raise bad_request("period", "has a cap of this scope and scopeId already")
    return replace(write, references=[Reference("scopeId", write.doc["scope"], write.doc["scopeId"])])


def _what(doc: Doc) -> tuple[str, ...]:
    return doc["scope"], doc["scopeId"], doc["period"]


def cap_of(doc: Doc) -> Cap:
    """Return what a cap's item counts."""
    return Cap(doc["scope"], doc["scopeId"], doc["period"], doc["maxVolume"], doc["id"])


def enabled(config: TenantConfig) -> list[Cap]:
    """Return the caps that recommendations obey."""
    items = config.of_kind(FREQUENCY_CAP.name).values()
    return [cap_of(item.doc) for item in items if item.live and item.doc["enabled"]]


def shown(doc: Doc, count: int, now_ms: int) -> dict[str, Any]:
    """Return a cap as it is answered: with what it has counted in its period, and when that ends."""
    return {**doc, "currentCount": count, "resetAt": iso(reset_ms(doc["period"], now_ms))}
