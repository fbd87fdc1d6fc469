"""Commands that work on the store itself: those of whoever runs the installation, so they ask for no key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from redis.asyncio import Redis

from serve.cli.errors import warn
from serve.secretfile import pepper
from serve.settings import Settings
from storage import client, installation
from storage.embedded import UNFINISHED, EmbeddedRedis

T = TypeVar("T")


class Store:
    """The installation's store, open."""

    def __init__(self, redis: Redis, partitions: int, pepper_bytes: bytes) -> None:
        self.redis = redis
        self.partitions = partitions
        self.pepper = pepper_bytes


def with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do `work` on the store, starting the embedded Redis for its time if none runs.

    Raises:
        StorageError: the store cannot be reached, or `work` failed there.
    """

    async def opened() -> T:
        async with _store(settings) as store:
            return await work(store)

    return asyncio.run(opened())


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    embedded = None if settings.redis_url is not None else EmbeddedRedis(settings.data_dir)
    adopted = embedded.start() if embedded is not None else True
    if embedded is not None and embedded.cut:
        warn(UNFINISHED)
    url = settings.redis_url or (embedded.url if embedded is not None else "")
    try:
        async with client.writer(url, settings.redis_replicas) as redis:
            partitions = await installation.ensure(redis, settings.partitions)
            yield Store(redis, partitions, pepper(settings))
    finally:
        if embedded is not None and not adopted:
            embedded.stop()
