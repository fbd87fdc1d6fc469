"""What tests share: a real Redis on a unix socket, a running service, unique tenants so that no test needs none."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from threadpoolctl import threadpool_limits

from storage import client, installation
from storage.embedded import EmbeddedRedis
from tests.service import Service, running

_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> None:
    """Matrix products round as they do in a learner."""
    threadpool_limits(1)


def started(folder: Path) -> Iterator[EmbeddedRedis]:
    """Yield a Redis that runs meanwhile; for modules that need one of their own."""
    server = EmbeddedRedis(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    yield from started(tmp_path_factory.mktemp("data"))


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with client.writer(redis_server.url) as connected:
        yield connected


@pytest.fixture
async def partitions(redis: Redis) -> int:
    return await installation.ensure(redis, None)


@pytest.fixture
def tenant_id() -> str:
    return f"t{next(_numbers)}"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests that need one: starting it takes some fifteen seconds."""
    with running(tmp_path_factory.mktemp("service"), "--demo") as started:
        yield started
