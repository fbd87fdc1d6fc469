"""Tenants as a replica sees them: configuration held in memory, checked for freshness by every request.

No clock decides how old a copy may be: each admission and each commit names the configuration version it was
decided on, and the store refuses an old one. So a revoked key or a deleted creative is gone with the next request.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from serve import behavioral_metrics, caps, contact_policies, experiments
from serve.candidates import Candidates, candidates
from serve.resolution import resolve
from storage import apikeys, config
from storage.caps import reset_ms
from storage.clock import now_ms, parse_iso
from storage.entry import pack
from storage.keys import Partition, partition_of
from storage.tenants import DEFAULT_SETTINGS, TENANT_ID

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from storage.caps import Cap
    from storage.config import Doc, TenantConfig
    from storage.metrics import Metric

TENANTS_HELD: Final = 4096
"""Configurations a replica keeps; at some 20 KiB each, under 100 MiB."""
REACHED_MS: Final = 1_000
"""A cap that is reached is asked for again after this time, so that clocks that differ do no harm."""
RECHECK_S: Final = 0.25
"""A refused key is looked up in the store again after this time: new keys work at once, floods cost little."""


class Tenant:
    """One tenant at one version of its configuration; nothing here changes but caches of what was derived."""

    def __init__(self, config: "TenantConfig", partition: Partition) -> None:
        self.config = config
        self.partition = partition
        self._resolutions: dict[str, bytes | None] = {}
        self._candidates: dict[tuple[str | None, str | None], Candidates] = {}
        self._reached: dict[Cap, int] = {}
        """Caps that were found reached, and until when that is taken for granted, ms."""

    @property
    def id(self) -> str:
        """The tenant's id."""
        return self.config.tenant

    @cached_property
    def active(self) -> bool:
        """Whether the tenant exists and is not disabled."""
        item = self.config.get("tenant", self.id)
        return item is not None and item.doc["status"] == "active"

    @cached_property
    def settings(self) -> "Doc":
        """The tenant's settings, complete."""
        item = self.config.get("settings", "settings")
        return {**DEFAULT_SETTINGS, **item.doc} if item is not None else {}

    @cached_property
    def outcome_types(self) -> "Mapping[str, Doc]":
        """The active outcome types by key."""
        items = self.config.of_kind("outcomeType").values()
        return {item.doc["key"]: item.doc for item in items if item.live and item.doc["status"] == "active"}

    @cached_property
    def caps(self) -> "Sequence[Cap]":
        """The caps that recommendations obey."""
        return caps.enabled(self.config)

    @cached_property
    def policies(self) -> "Sequence[contact_policies.Policy]":
        """The contact policies that recommendations obey, the most important first."""
        return contact_policies.active(self.config)

    @cached_property
    def categories(self) -> "Mapping[str, str | None]":
        """The category of each offer, by its id."""
        return {item_id: item.doc.get("categoryId") for item_id, item in self.config.of_kind("offer").items()}

    @cached_property
    def metrics(self) -> "Sequence[Metric]":
        """The behavioural metrics that outcomes move."""
        return behavioral_metrics.active(self.config)

    @cached_property
    def experiment(self) -> "Doc | None":
        """The experiment that is active."""
        return experiments.running(self.config)

    def seat(self, customer_id: str) -> experiments.Seat:
        """Return the part that a customer takes in the experiment, or in the tenant's control group."""
        percent = self.settings.get("holdoutPercent", 0)
        return experiments.seat(self.config, percent, self.experiment, customer_id)

    def reached(self, now_ms: int) -> "list[Cap]":
        """Return the caps that were found reached a moment ago."""
        return [cap for cap, until_ms in self._reached.items() if now_ms < until_ms]

    def note_reached(self, found: "Iterable[Cap]", now_ms: int) -> None:
        """Remember that caps are reached: within a period they stay so."""
        for cap in found:
            self._reached[cap] = min(now_ms + REACHED_MS, reset_ms(cap.period, now_ms))

    def limit(self, route: str) -> int:
        """Return how many requests in 60 s the route admits."""
        limits: Mapping[str, int] = self.settings.get("rateLimits", {})
        return limits.get(route, limits.get("default", 600))

    def resolution(self, creative_id: str) -> bytes | None:
        """Return what an outcome of the creative counts for, packed; None if there is no such creative."""
        if creative_id not in self._resolutions:
            resolved = resolve(self.config, creative_id)
            self._resolutions[creative_id] = None if resolved is None else pack(resolved)
        return self._resolutions[creative_id]

    def candidates(self, channel_id: str | None, placement_id: str | None, now_ms: int) -> Candidates:
        """Return the offers that can be shown on the channel and placement (None: on any) at `now_ms`."""
        key = (channel_id, placement_id)
        held = self._candidates.get(key)
        if held is None or held.valid_until_ms <= now_ms:
            held = self._candidates[key] = candidates(self.config, channel_id, placement_id, now_ms)
        return held

    def scopes_of(self, key: apikeys.ApiKey, pepper: bytes) -> frozenset[str] | None:
        """Return what the key's holder may do, None if the key opens nothing here."""
        item = self.config.get("apiKey", key.id)
        if item is None or not apikeys.matches(pepper, key, item.doc["sealed"]):
            return None
        expires_at = item.doc["expiresAt"]
        if expires_at is not None and parse_iso(expires_at) <= now_ms():
            return None
        return frozenset(item.doc["scopes"])


class Directory:
    """The tenants that a replica has met lately."""

    def __init__(self, redis: "Redis", partitions: int) -> None:
        self.partitions = partitions
        self._redis = redis
        self._held: OrderedDict[str, Tenant] = OrderedDict()
        self._rechecked_at: dict[str, float] = {}
        self._reading: dict[str, asyncio.Task[Tenant]] = {}

    def held(self) -> "Sequence[Tenant]":
        """Return the tenants that are held now."""
        return list(self._held.values())

    async def get(self, tenant_id: str) -> Tenant:
        """Return the tenant as it is held, reading it if it is not.

        Raises:
            StorageUnavailable: Redis did not answer.
        """
        held = self._held.get(tenant_id)
        if held is None:
            return await self.refresh(tenant_id)
        self._held.move_to_end(tenant_id)
        return held

    async def refresh(self, tenant_id: str) -> Tenant:
        """Read what changed and return the tenant as it is now; requests that ask at one time share the read.

        Raises:
            StorageUnavailable: Redis did not answer.
        """
        reading = self._reading.get(tenant_id)
        if reading is None:
            reading = asyncio.ensure_future(self._read(tenant_id))
            self._reading[tenant_id] = reading
            reading.add_done_callback(lambda _: self._reading.pop(tenant_id, None))
        return await asyncio.shield(reading)

    async def recheck(self, tenant_id: str) -> Tenant:
        """Refresh for a key that is not known, but not more often than every RECHECK_S.

        Raises:
            StorageUnavailable: Redis did not answer.
        """
        now = time.monotonic()
        if tenant_id in self._held and now - self._rechecked_at.get(tenant_id, float("-inf")) < RECHECK_S:
            return await self.get(tenant_id)
        tenant = await self.refresh(tenant_id)
        if tenant_id in self._held:
            self._rechecked_at[tenant_id] = now
        return tenant

    async def _read(self, tenant_id: str) -> Tenant:
        partition = partition_of(tenant_id, self.partitions)
        held = self._held.get(tenant_id)
        known = held.config if held is not None else None
        fresh = await config.read(self._redis, partition, tenant_id, known)
        tenant = held if held is not None and fresh is known else Tenant(fresh, partition)
        if fresh.version == 0:  # made-up names must not push tenants out
            return tenant
        self._held[tenant_id] = tenant
        self._held.move_to_end(tenant_id)
        while len(self._held) > TENANTS_HELD:
            dropped, _ = self._held.popitem(last=False)
            self._rechecked_at.pop(dropped, None)
        return tenant


def is_tenant_id(text: str) -> bool:
    """Return whether `text` can be the id of a tenant."""
    return TENANT_ID.fullmatch(text) is not None
