"""Which history of writes a Redis goes on with.

After a restart or a fail-over it is another one. Replication and the AOF keep the order of writes, so what was lost
is the end of the one before: entries whose positions are given out again, to others. Whoever has learned from the
log starts from the checkpoint then, which came into Redis after the entries that it was made from.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage import keys
from storage.redis_cluster import ClusterClient
from storage.scripts import wrapped_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def timelines(redis: "Redis", partitions: Sequence[int]) -> dict[int, str]:
    """Return the timeline of each partition, as `storage/lua/timeline.lua` does.

    Raises:
        StorageUnavailable: Redis did not answer.
    """
    with wrapped_errors():
        if not isinstance(redis, ClusterClient):
            return dict.fromkeys(partitions, await _timeline(redis))
        known = await redis.everywhere(_timeline)
        return {one: known.get(await redis.node_of(keys.prefix(one)), "") for one in partitions}


async def _timeline(redis: "Redis") -> str:
    told: Any = await redis.info("replication")
    return str(told["master_replid"])
