"""Whether a Redis that is not ours keeps what it acknowledged: asked once, at the start."""

from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from storage.redis_cluster import ClusterClient
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

WANTED: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "aof-load-truncated": "no",
    "maxmemory-policy": "noeviction",
}
"""Settings of Redis without which an acknowledged outcome may be gone after a crash, or evicted."""


async def doubts(redis: "Redis", replicas: int = 0) -> list[str]:
    """Return why this Redis may lose what it acknowledged, a sentence for each reason; none where all is well.

    Args:
        redis: one Redis, or a cluster, whose primaries are asked, all of them.
        replicas: how many replicas are waited for.

    Raises:
        StorageUnavailable: Redis did not answer.
    """

    async def of_one(server: "Redis") -> list[str]:
        return await _doubts(server, replicas)

    with wrapped_errors():
        try:
            if isinstance(redis, ClusterClient):
                found = [*(await redis.everywhere(of_one)).values()]
            else:
                found = [await of_one(redis)]
        except ResponseError:  # an ACL forbids CONFIG, or a hosted Redis does not have it
            return ["it could not be checked whether Redis may lose acknowledged outcomes: CONFIG GET is refused"]
    return list(dict.fromkeys(doubt for some in found for doubt in some))


async def _doubts(server: "Redis", replicas: int) -> list[str]:
    told = [
        f"Redis may lose acknowledged outcomes: {name} is {value}, and should be {wanted}"
        for name, wanted in WANTED.items()
        if (value := await _setting(server, name)) != wanted
    ]
    replication: Any = await server.info("replication")
    connected = int(replication["connected_slaves"])
    if connected < replicas:
        told.append(f"nothing can be recorded: {replicas} replicas are waited for, and {connected} are connected")
    if connected > 0 and replicas == 0:
        told.append("Redis may lose acknowledged outcomes in a fail-over: no replica is waited for")
    return told


async def _setting(redis: "Redis", name: str) -> str:
    found = await redis.config_get(name)
    value = next(iter(found.values()), b"unknown")
    return value.decode() if isinstance(value, bytes) else str(value)
