"""Acknowledged only when replicas have it: a script's answer waits for them, in the same round trip.

The script is followed by a write of one byte and by WAIT, which waits for what the connection has written, so for
the byte and all that was written before it. The byte is there for answers that wrote nothing: a duplicate tells of
an entry that somebody else has written a moment ago, and must not be told before replicas have that.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from storage import keys
from storage.addresses import HostPort
from storage.redis_cluster import ClusterClient
from storage.scripts import script

WAIT_MS: Final = 1_000
"""A replica that is well answers within milliseconds: once its disk has it, where `appendfsync` is `always`."""
TELLING: Final = ("commit", "decide", "recommendation", "config_write", "erase")
"""The scripts whose answers tell a caller that something is kept. Others only count, or are a learner's own."""


class TooFewReplicas(RedisConnectionError):
    """Fewer replicas than wanted said in time that they have what was written; it may be lost, or not."""


class Confirming(Redis):
    """A client whose acknowledging scripts wait until `replicas` replicas have what they wrote."""

    replicas = 0

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script by its hash.

        Raises:
            TooFewReplicas: it ran, but too few replicas are known to have it.
        """
        if sha not in _telling():
            return await super().evalsha(sha, numkeys, *keys_and_args)
        return await self._confirmed("EVALSHA", sha, numkeys, *keys_and_args)

    async def eval(self, source: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that Redis may not know; see `evalsha`."""
        if source not in _telling():
            return await super().eval(source, numkeys, *keys_and_args)
        return await self._confirmed("EVAL", source, numkeys, *keys_and_args)

    async def _confirmed(self, command: str, text: str, numkeys: int, *rest: Any) -> Any:
        pipeline = self.pipeline(transaction=False)
        pipeline.execute_command(command, text, numkeys, *rest)
        pipeline.set(keys.replicated_key(rest[0]), b"1")
        pipeline.execute_command("WAIT", self.replicas, WAIT_MS)
        answer, written, waited = await pipeline.execute(raise_on_error=False)
        for one in (answer, written, waited):
            if isinstance(one, Exception):
                raise one
        if waited < self.replicas:
            raise TooFewReplicas(f"{waited} of {self.replicas} replicas have it after {WAIT_MS} ms")
        return answer


class ConfirmingCluster(Confirming, ClusterClient):  # type: ignore[misc]  # redis-py's own bases disagree
    """Such a client of a cluster."""

    def __init__(self, seeds: Sequence[HostPort], connect: Callable[[HostPort], Redis], replicas: int) -> None:
        super().__init__(seeds, connect)
        self.replicas = replicas


@cache
def _telling() -> frozenset[str]:
    """Return hashes and sources of the scripts that tell a caller."""
    found = [script(name) for name in TELLING]
    return frozenset(text for one in found for text in (one.sha, one.source))
