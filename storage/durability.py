"""Whether a Redis that is not ours keeps what it acknowledged: asked once, at the start."""

from typing import TYPE_CHECKING, Final

from redis.exceptions import ResponseError

from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

WANTED: Final = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""Settings of Redis without which an acknowledged outcome may be gone after a crash, or evicted."""


async def doubts(redis: "Redis") -> list[str]:
    """Return why this Redis may lose what it acknowledged, a sentence for each reason; none where all is well.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        try:
            found = {name: await _setting(redis, name) for name in WANTED}
        except ResponseError:  # an ACL forbids CONFIG, or a hosted Redis does not have it
            return ["it could not be checked whether Redis may lose acknowledged outcomes: CONFIG GET is refused"]
    return [
        f"Redis may lose acknowledged outcomes: {name} is {found[name]}, and should be {wanted}"
        for name, wanted in WANTED.items()
        if found[name] != wanted
    ]


async def _setting(redis: "Redis", name: str) -> str:
    found = await redis.config_get(name)
    value = next(iter(found.values()), b"unknown")
    return value.decode() if isinstance(value, bytes) else str(value)
