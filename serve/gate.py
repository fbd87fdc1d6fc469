"""The gate in front of every route: who is it, may they, how big is it, how often — in that order."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import random
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from serve.errors import ApiError, unauthorized, unavailable
from serve.tenancy import Directory, Tenant, is_tenant_id
from storage import apikeys
from storage.commit import admit
from storage.keys import SYSTEM_TENANT

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from starlette.requests import Request

    from storage.apikeys import ApiKey, Scope

BODY_BYTES: Final = 256 * 1024
BULK_BODY_BYTES: Final = 8 * 1024 * 1024
STALE_RETRIES: Final = 40
"""Each means that somebody changed the configuration between our read and our write; so many in a row, a storm."""
STALE_PAUSE_S: Final = 0.01
"""At most; whoever was overtaken waits by chance, so that not all come back at once."""
WINDOW_S: Final = 60


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: a key of a tenant, as the tenant's newest known configuration has it.

    `key` is None for who has logged in to Ray's dashboard, and so may read of every tenant.
    """

    tenant: Tenant
    key: "ApiKey | None"
    scope: "Scope"


class Gate:
    """Lets requests in, or raises what they are answered with."""

    def __init__(self, redis: "Redis", directory: Directory, pepper: bytes) -> None:
        self._redis = redis
        self._directory = directory
        self._pepper = pepper

    async def identify(self, headers: Mapping[str, str], scope: "Scope") -> Caller:
        """Return the caller, who has `scope`. Operator keys belong to no tenant, so no header names theirs.

        Raises:
            ApiError: 401 or 403.
            StorageUnavailable: the key could not be looked up.
        """
        tenant_id = SYSTEM_TENANT if scope == "operator" else headers.get("x-tenant-id", "")
        key = _presented_key(headers)
        if key is None or (scope != "operator" and not is_tenant_id(tenant_id)):
            raise unauthorized()
        tenant = await self._directory.get(tenant_id)
        try:
            return self._checked(Caller(tenant, key, scope))
        except ApiError:
            fresh = await self._directory.recheck(tenant_id)
            if fresh is tenant:
                raise
            return self._checked(Caller(fresh, key, scope))

    async def vouched(self, headers: Mapping[str, str], scope: "Scope", granted: "Scope") -> Caller:
        """Return the caller that somebody else has let in for the scope `granted`.

        Raises:
            ApiError: 403, the route asks for another scope; 401, there is no such tenant or it is disabled.
            StorageUnavailable: Redis did not answer.
        """
        if scope != granted:
            raise ApiError(403, f"The dashboard's login lacks the scope {scope!r}")
        tenant_id = SYSTEM_TENANT if scope == "operator" else headers.get("x-tenant-id", "")
        if scope != "operator" and not is_tenant_id(tenant_id):
            raise unauthorized()
        return self._checked(Caller(await self._directory.refresh(tenant_id), None, scope))

    async def renew(self, caller: Caller) -> Caller:
        """Return the caller under the tenant's newest configuration.

        Raises:
            ApiError: 401 or 403, the key has been revoked or the tenant disabled meanwhile.
            StorageUnavailable: Redis did not answer.
        """
        return self._checked(Caller(await self._directory.refresh(caller.tenant.id), caller.key, caller.scope))

    async def admit(self, caller: Caller, route: str, limit_name: str) -> tuple[Caller, dict[str, str]]:
        """Take a place in the route's window; return the caller, renewed, and the headers that tell of the limit.

        Raises:
            ApiError: 429, or 401 and 403 as in `renew`.
            StorageUnavailable: Redis did not answer.
        """
        for attempt in range(STALE_RETRIES):
            tenant = caller.tenant
            limit = tenant.limit(limit_name)
            result = await admit(self._redis, tenant.partition, tenant.id, tenant.config.version, route, limit)
            if result.status == "admitted":
                return caller, limit_headers(limit_name, limit, result.remaining)
            if result.status == "limited":
                raise limited(limit_name, limit, result.wait_ms)
            await asyncio.sleep(attempt * random() * STALE_PAUSE_S / STALE_RETRIES)  # noqa: S311 - no secret
            caller = await self.renew(caller)
        raise unavailable()

    def _checked(self, caller: Caller) -> Caller:
        tenant = caller.tenant
        scopes = {caller.scope} if caller.key is None else tenant.scopes_of(caller.key, self._pepper)
        if scopes is None or not (tenant.active or tenant.id == SYSTEM_TENANT):
            raise unauthorized()
        if caller.scope not in scopes and not ("admin" in scopes and caller.scope != "operator"):
            raise ApiError(403, f"The key lacks the scope {caller.scope!r}")
        return caller


def limit_headers(name: str, limit: int, remaining: int, wait_s: int = WINDOW_S) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10: policy, places left, seconds."""
    return {
        "RateLimit-Policy": f'"{name}";q={limit};w={WINDOW_S}',
        "RateLimit": f'"{name}";r={remaining};t={wait_s}',
    }


def limited(name: str, limit: int, wait_ms: int) -> ApiError:
    """Return the 429: nothing was recorded, a place is free after `wait_ms`."""
    wait_s = max(1, math.ceil(wait_ms / 1000))
    headers = {**limit_headers(name, limit, 0, wait_s), "Retry-After": str(wait_s)}
    return ApiError(429, f"More than {limit} requests in {WINDOW_S} seconds", headers=headers)


async def read_body(request: "Request", max_bytes: int, content_types: tuple[str, ...]) -> bytes:
    """Return the request's body.

    Raises:
        ApiError: 415, it is of another type than `content_types`; 413, it is larger than `max_bytes`.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in content_types:
        raise ApiError(415, f"Content-Type must be {' or '.join(content_types)}")
    too_large = ApiError(413, f"body must have at most {max_bytes} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    while True:  # request.stream() does the same, as a generator that costs more than the rest of this function
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _presented_key(headers: Mapping[str, str]) -> "ApiKey | None":
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return apikeys.parse(token.strip())
    return apikeys.parse(headers.get("x-api-key", ""))
