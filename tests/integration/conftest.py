"""The whole application in this process: ASGI, a real Redis, one learner, no Ray."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from learners.local import LocalLearners, local_learners
from serve.app import build_app
from serve.plan import Plan
from serve.services import open_services
from storage import config, keys, log, tenants
from storage.apikeys import Scope
from storage.archive import Archive
from storage.entry import Outcome
from tests.catalog import CATALOG
from tests.conftest import RedisServer
from tests.integration.source import Source

PEPPER = b"a pepper for tests, of 32 bytes."


LONGEST_S = 60
DAY_S = 86_400


@pytest.fixture(autouse=True)
def now(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where modules tell of NOW it is the moment in which a test begins; none begins in a day's last minute."""
    if hasattr(request.module, "NOW"):
        left = DAY_S - time.time() % DAY_S
        if left < LONGEST_S:
            time.sleep(left)
        moment = datetime.now(UTC).replace(microsecond=0)
        for module in [one for name, one in sys.modules.items() if name.startswith(__package__ or "")]:
            if hasattr(module, "NOW"):
                monkeypatch.setattr(module, "NOW", moment)


@dataclass
class Api:
    """A tenant's client: an HTTP client with its key, and ways to look behind the scene."""

    http: httpx.AsyncClient
    tenant: str
    partition: int
    redis: Redis
    learners: LocalLearners
    app: FastAPI

    async def post(self, path: str, json: Any, **more: Any) -> httpx.Response:
        return await self.http.post(f"/api/v1{path}", json=json, **more)

    async def put(self, path: str, json: Any, **more: Any) -> httpx.Response:
        return await self.http.put(f"/api/v1{path}", json=json, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(f"/api/v1{path}", **more)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(f"/api/v1{path}")

    async def respond(self, key: str, **changed: Any) -> httpx.Response:
        body = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key, **changed}
        return await self.post("/respond", {name: value for name, value in body.items() if value is not ...})

    async def key(self, *scopes: Scope, expires_at: str | None = None) -> str:
        key, _ = await tenants.create_key(self.redis, 64, self.tenant, "k", scopes, PEPPER, 0, expires_at)
        return str(key)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The archive that belongs to the one Redis of all tests."""
    return str(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def segment_entries() -> int:
    """Entries of a segment; a test that wants small ones overrides it."""
    return 20_000


@pytest.fixture
async def app(
    redis_server: RedisServer, partitions: int, archive: str, segment_entries: int, redis_replicas: int
) -> AsyncIterator[tuple[FastAPI, LocalLearners]]:
    plan = Plan(redis_server.url, partitions, PEPPER, 4096, archive, {}, redis_replicas=redis_replicas)
    options = {"archive": Archive(archive), "segment_entries": segment_entries, "checkpoint_interval_s": 0.2}
    async with local_learners(redis_server.url, partitions, **options) as learners:
        built = build_app(partial(open_services, plan, learners))
        async with built.router.lifespan_context(built):
            async with asyncio.timeout(10):
                while learners.learner.status().lag_ms > 1000:
                    await asyncio.sleep(0.005)
            yield built, learners


@pytest.fixture
async def api(
    app: tuple[FastAPI, LocalLearners], redis: Redis, partitions: int, tenant_id: str
) -> AsyncIterator[Api]:
    built, learners = app
    await tenants.create(redis, partitions, tenant_id, "T", 0)
    key, _ = await tenants.create_key(redis, partitions, tenant_id, "admin", ["admin"], PEPPER, 0)
    headers = {"X-Tenant-Id": tenant_id, "Authorization": f"Bearer {key}"}
    async with client_of(built, headers) as http:
        partition = keys.partition_of(tenant_id, partitions)
        made = Api(http, tenant_id, partition, redis, learners, built)
        assert (await made.put("/catalog", CATALOG)).status_code == 200
        yield made


async def recorded(api: Api) -> list[str]:
    """Return the interaction ids in the tenant's part of the log."""
    [head] = await log.heads(api.redis, [api.partition])
    batches = [batch async for batch in log.follow(api.redis, api.partition, 0, head)]
    bodies = [entry.body for batch in batches for entry in batch if entry.body.tenant == api.tenant]
    return [body.interaction_id for body in bodies if isinstance(body, Outcome)]


def client_of(app: FastAPI, headers: dict[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


@pytest.fixture
async def source(redis: Redis, partitions: int, tenant_id: str) -> Source:
    await tenants.create(redis, partitions, tenant_id, "T", 0)
    partition = keys.partition_of(tenant_id, partitions)
    return Source(redis, tenant_id, partition, (await config.read(redis, partition, tenant_id)).version)
