"""What is decided once, when a store is first used."""

from typing import TYPE_CHECKING

from storage.errors import InstallationMismatch
from storage.keys import INSTALLATION
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def ensure(redis: "Redis", partitions: int | None, default: int = 64) -> int:
    """Return the installation's number of partitions, which is `partitions` (or `default`) for a new store.

    Raises:
        InstallationMismatch: the store was made with another number than the one asked for.
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        await redis.hsetnx(INSTALLATION, "partitions", str(partitions or default))
        stored = int(await redis.hget(INSTALLATION, "partitions") or 0)
    if partitions is not None and partitions != stored:
        raise InstallationMismatch(
            f"the store was made with {stored} partitions, not {partitions}; start with --partitions {stored}"
        )
    return stored
