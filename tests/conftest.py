"""What tests share: a real Redis on a unix socket, a running service, unique tenants so that no test needs none."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pytest
from redis.asyncio import Redis
from threadpoolctl import threadpool_limits

from storage import client, installation
from storage.embedded import EmbeddedRedis
from tests.redis_ha import cluster, watched
from tests.service import Service, running


class RedisServer(Protocol):
    """A Redis that runs, of one process or of several."""

    @property
    def url(self) -> str: ...


RedisIn: TypeAlias = Callable[[Path], AbstractContextManager[RedisServer]]


@contextmanager
def embedded(folder: Path) -> Iterator[EmbeddedRedis]:
    """Run the embedded Redis while the block lasts."""
    server = EmbeddedRedis(folder)
    server.start()
    yield server
    server.stop()


RUNS: Final[Mapping[str, RedisIn]] = {
    "embedded": embedded,
    "sentinel": watched,
    "cluster": partial(cluster, replicas=3),
}
SLOW: Final = ("faults", "cluster", "browser", "clients", "published", "contract")
"""Folders whose tests take long, longest first."""
_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> None:
    """Matrix products round as they do in a learner."""
    threadpool_limits(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests take minutes, so that the workers end together."""
    items.sort(key=lambda item: (*SLOW, folder_of(item)).index(folder_of(item)))


def folder_of(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--redis",
        choices=RUNS,
        default="embedded",
        help="what tests of store and application run on; all but the embedded one with replicas waited for",
    )


@pytest.fixture(scope="session")
def redis_in(pytestconfig: pytest.Config) -> RedisIn:
    """How a Redis is run in a folder, for modules that need one of their own."""
    return RUNS[pytestconfig.getoption("--redis")]


@pytest.fixture(scope="session")
def redis_server(redis_in: RedisIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_in(tmp_path_factory.mktemp("data")) as running_redis:
        yield running_redis


@pytest.fixture
def redis_replicas(pytestconfig: pytest.Config) -> int:
    """Replicas that commits wait for."""
    return 0 if pytestconfig.getoption("--redis") == "embedded" else 1


@pytest.fixture
async def redis(redis_server: RedisServer, redis_replicas: int) -> AsyncIterator[Redis]:
    async with client.writer(redis_server.url, redis_replicas) as connected:
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
