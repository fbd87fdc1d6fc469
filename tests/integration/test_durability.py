"""A Redis that somebody else runs is asked whether it keeps what it acknowledges."""

from pathlib import Path

import pytest

from storage import client, durability
from storage.errors import StorageUnavailable
from tests.redis_server import external_redis

pytestmark = pytest.mark.anyio


async def test_a_redis_that_loses_nothing_raises_no_doubt(tmp_path: Path) -> None:
    with external_redis(tmp_path) as server:
        async with client.writer(server.url) as redis:
            assert await durability.doubts(redis) == []


async def test_each_setting_that_may_lose_something_is_named(tmp_path: Path) -> None:
    options = {
        "appendonly": "no",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "allkeys-lru",
    }
    with external_redis(tmp_path, **options) as server:
        async with client.writer(server.url) as redis:
            assert await durability.doubts(redis) == [
                "Redis may lose acknowledged outcomes: appendonly is no, and should be yes",
                "Redis may lose acknowledged outcomes: appendfsync is everysec, and should be always",
                "Redis may lose acknowledged outcomes: aof-load-truncated is yes, and should be no",
                "Redis may lose acknowledged outcomes: maxmemory-policy is allkeys-lru, and should be noeviction",
            ]


async def test_a_redis_that_does_not_tell_is_said_to_be_unchecked(tmp_path: Path) -> None:
    with external_redis(tmp_path) as server:
        with server.connect() as admin:
            admin.acl_setuser("app", enabled=True, passwords=["+app"], commands=["+@all", "-config"], keys=["*"])
        async with client.writer(f"redis://app:app@127.0.0.1:{server.port}/0") as redis:
            [doubt] = await durability.doubts(redis)
    assert doubt.endswith("CONFIG GET is refused")


async def test_a_redis_that_is_away_is_away(tmp_path: Path) -> None:
    with external_redis(tmp_path) as server:
        pass
    async with client.writer(server.url) as redis:
        with pytest.raises(StorageUnavailable):
            await durability.doubts(redis)
