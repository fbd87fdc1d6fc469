"""Tenants: what a new one starts with, and the register of them all."""

import re
from typing import TYPE_CHECKING, Final

from storage import apikeys, config
from storage.audit import COMMAND, Author
from storage.clock import iso
from storage.config import Doc, Write
from storage.entry import Classification, ModelChange
from storage.errors import ConfigConflict, UnknownTenant
from storage.keys import SYSTEM_TENANT, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from storage.apikeys import ApiKey, Scope

TENANT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""No `_` in front, for the system's own tenant, and no `:`, which ends a tenant's part of a Redis key."""

SYSTEM_OUTCOME_TYPES: Final[tuple[tuple[str, Classification, str], ...]] = (
    ("impression", "neutral", "impression"),
    ("delivery", "neutral", "impression"),
    ("not_presented", "neutral", "impression"),
    ("expired", "neutral", "impression"),
    ("view", "neutral", "response"),
    ("click", "positive", "response"),
    ("accept", "positive", "response"),
    ("convert", "positive", "response"),
    ("purchase", "positive", "response"),
    ("renewed", "positive", "response"),
    ("dismiss", "negative", "response"),
    ("not_interested", "negative", "response"),
    ("unsubscribe", "negative", "response"),
    ("unsubscribed", "negative", "response"),
    ("requested_info", "neutral", "response"),
    ("deferred", "neutral", "response"),
)

DEFAULT_SETTINGS: Final[Doc] = {
    "rateLimits": {"respond": 1_000, "bulk": 1_000, "recommend": 6_000, "default": 600},
    "idempotency": {"ttlHours": 24, "onMismatch": "ignore"},
    "holdoutPercent": 0,
    "retentionDays": 400,
    "recommendationTtlDays": 30,
    "halfLife": None,
}
"""What a tenant starts with, and what holds for settings that it was made without."""

DEFAULT_MODEL_ID: Final = "model_default"


async def create(
    redis: "Redis", partitions: int, tenant: str, name: str, now_ms: int, author: Author = COMMAND
) -> Doc:
    """Make a tenant with the system's outcome types, default settings and one champion model.

    Creating is finished by a repetition if it was cut off between the tenant and the register.

    Raises:
        ConfigConflict: the tenant is there already.
        StorageUnavailable: Redis did not answer.
    """
    doc = {"id": tenant, "name": name, "status": "active", "createdAt": iso(now_ms)}
    writes = [Write("tenant", tenant, None, doc), Write("settings", "settings", None, DEFAULT_SETTINGS)]
    writes += _system_outcome_types(tenant, now_ms)
    champion = ModelChange(tenant, DEFAULT_MODEL_ID, "default", "thompson_bandit", "champion", "{}")
    writes.append(Write("model", champion.model_id, None, _model_doc(champion, now_ms), name=champion.key))
    try:
        await config.write(redis, partition_of(tenant, partitions), tenant, writes, [champion], author)
    except ConfigConflict:
        stored = (await _tenant_doc(redis, partitions, tenant)).doc
        if await _register(redis, partitions, stored):
            return stored
        raise
    await _register(redis, partitions, doc)
    return doc


async def disable(redis: "Redis", partitions: int, tenant: str, author: Author = COMMAND) -> Doc:
    """Shut a tenant out: from now on each of its keys is refused.

    Raises:
        UnknownTenant: there is no such tenant.
        ConfigConflict: somebody else changed the tenant at the same moment.
        StorageUnavailable: Redis did not answer.
    """
    item = await _tenant_doc(redis, partitions, tenant)
    doc = {**item.doc, "status": "disabled"}
    write = Write("tenant", tenant, item.version, doc)
    await config.write(redis, partition_of(tenant, partitions), tenant, [write], author=author)
    return doc


async def registered(redis: "Redis", partitions: int) -> list[Doc]:
    """Return `id` and `createdAt` of all tenants.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    system = await config.read(redis, partition_of(SYSTEM_TENANT, partitions), SYSTEM_TENANT)
    return [item.doc for item in system.of_kind("registered").values()]


async def create_key(
    redis: "Redis",
    partitions: int,
    tenant: str,
    name: str,
    scopes: "Sequence[Scope]",
    pepper: bytes,
    now_ms: int,
    expires_at: str | None = None,
    author: Author = COMMAND,
) -> "tuple[ApiKey, Doc]":
    """Make a key; return it, to be shown once, and what is stored of it.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    key = apikeys.generate()
    doc = {
        "id": key.id,
        "name": name,
        "scopes": list(scopes),
        "createdAt": iso(now_ms),
        "expiresAt": expires_at,
        "sealed": apikeys.seal(pepper, key),
    }
    write = Write("apiKey", key.id, None, doc)
    await config.write(redis, partition_of(tenant, partitions), tenant, [write], author=author)
    return key, doc


async def exists(redis: "Redis", partitions: int, tenant: str) -> bool:
    """Return whether there is such a tenant.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    stored = await config.read(redis, partition_of(tenant, partitions), tenant)
    return stored.get("tenant", tenant) is not None


async def _tenant_doc(redis: "Redis", partitions: int, tenant: str) -> config.Item:
    stored = (await config.read(redis, partition_of(tenant, partitions), tenant)).get("tenant", tenant)
    if stored is None:
        raise UnknownTenant(tenant)
    return stored


async def _register(redis: "Redis", partitions: int, tenant: Doc) -> bool:
    """Put a tenant into the register; return whether it was new there."""
    write = Write("registered", tenant["id"], None, {name: tenant[name] for name in ("id", "createdAt")})
    try:
        await config.write(redis, partition_of(SYSTEM_TENANT, partitions), SYSTEM_TENANT, [write])
    except ConfigConflict:
        return False
    return True


def _system_outcome_types(tenant: str, now_ms: int) -> list[Write]:
    writes = []
    for ordinal, (key, classification, category) in enumerate(SYSTEM_OUTCOME_TYPES):
        doc: Doc = {
            "id": f"outcome_{key}",
            "tenantId": tenant,
            "key": key,
            "name": key.replace("_", " ").capitalize(),
            "description": "",
            "classification": classification,
            "category": category,
            "isSystem": True,
            "ordinal": ordinal,
            "status": "active",
            "version": 1,
            "deletedAt": None,
            "createdAt": iso(now_ms),
            "updatedAt": iso(now_ms),
        }
        writes.append(Write("outcomeType", doc["id"], None, doc, name=key))
    return writes


def _model_doc(model: ModelChange, now_ms: int) -> Doc:
    return {
        "id": model.model_id,
        "key": model.key,
        "name": "Default",
        "modelType": model.model_type,
        "status": model.status,
        "config": {},
        "outcomeWeights": dict(model.outcome_weights),
        "version": 1,
        "createdAt": iso(now_ms),
        "updatedAt": iso(now_ms),
    }
