"""A Redis Cluster, used as one Redis is.

redis-py's own client of a cluster is not used, for three reasons. It follows ASK for scripts: while a slot is on
its way to another node, a script would not find there the idempotency keys which are still to come, and record an
outcome twice. Its asyncio transactions start a thread for each command. And its connections are not waited for.

Here a command goes to the node that has its key's slot, over a client as for a single Redis. MOVED is followed, for
what it answers did not run; a slot on its way (ASK) is storage that is away.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, ClusterError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage.addresses import HostPort

REDIRECTIONS: Final = 5
REFRESH_S: Final = 0.1
"""While nodes do not answer, each call would ask the others for the slots: no sooner than this again."""

Command: TypeAlias = tuple[Sequence[Any], Mapping[str, Any]]
T = TypeVar("T")


class ClusterClient(Redis):
    """A client of a cluster. Each command, each transaction and each script has keys of one slot.

    Args:
        seeds: nodes that are asked for all others.
        connect: makes a client of one node.
    """

    def __init__(self, seeds: Sequence[HostPort], connect: Callable[[HostPort], Redis]) -> None:
        super().__init__()  # whose own connections are never used
        self._seeds = tuple(seeds)
        self._connect = connect
        self._nodes: dict[HostPort, Redis] = {}
        self._slots: dict[int, HostPort] = {}
        self._failed: set[HostPort] = set()
        self._stale = True
        self._asked_at = -REFRESH_S
        self._refreshing = asyncio.Lock()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - redis-py's signature
        """Close the connections to all nodes."""
        for node in self._nodes.values():
            await node.aclose(close_connection_pool)
        await super().aclose(close_connection_pool)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command where its key is; one without a key on any primary."""
        return await self.at(key_of(args), lambda node: node.execute_command(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "ClusterPipeline":  # noqa: ARG002, FBT001, FBT002
        """Return a pipeline. Without `transaction` its commands may have keys of many slots."""
        return ClusterPipeline(self, transaction)

    async def at(self, key: Any, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do `work` on the node that has `key`, again on another if the key was moved there.

        Raises:
            ClusterError: no node has the key.
            RedisError: the node did not answer, or refused.
        """
        for _ in range(REDIRECTIONS):
            address = await self.node_of(key)
            try:
                return await work(self.node(address))
            except MovedError as moved:
                self.note(moved, address[0])
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError):
                self._failed.add(address)
                self._stale = True
                raise
        raise ClusterError("a slot was moved again and again")

    def note(self, moved: MovedError, host: str) -> None:
        """Remember where a node, on `host`, says that a slot is now."""
        self._slots[moved.slot_id] = (moved.host or host, int(moved.port))
        self._stale = True

    async def ping(self, **options: Any) -> bool:
        """Return true when all primaries answer."""
        return all((await self.everywhere(lambda node: node.ping(**options))).values())

    async def everywhere(self, work: Callable[[Redis], Awaitable[T]]) -> dict[HostPort, T]:
        """Do `work` on each primary that has slots."""
        await self.node_of(None)
        primaries = sorted(set(self._slots.values()))
        try:
            answers = await asyncio.gather(*(work(self.node(address)) for address in primaries))
        except RedisError:
            self._stale = True
            raise
        return dict(zip(primaries, answers, strict=True))

    async def node_of(self, key: Any) -> HostPort:
        """Return the node that has the slot of `key`; of any slot, if that is None."""
        if self._stale and time.monotonic() - self._asked_at >= REFRESH_S:
            await self._refresh()
        if not self._slots:
            raise RedisConnectionError("no node of the cluster answers")
        if key is None:
            return next(iter(self._slots.values()))
        try:
            return self._slots[slot_of(key)]
        except KeyError:
            self._stale = True
            raise ClusterError("no node has this slot") from None

    def node(self, address: HostPort) -> Redis:
        """Return the client of one node."""
        if address not in self._nodes:
            self._nodes[address] = self._connect(address)
        return self._nodes[address]

    async def _refresh(self) -> None:
        began = time.monotonic()
        async with self._refreshing:
            if self._asked_at > began:  # somebody else has asked meanwhile
                return
            try:
                await self._learn(*await self._told())
            finally:
                self._asked_at = time.monotonic()

    async def _told(self) -> tuple[HostPort, list[Any]]:
        """Return which node has which slots, and who says so: the first that answers."""
        known = random.sample(list(self._nodes), len(self._nodes))
        asked = sorted(dict.fromkeys([*known, *self._seeds]), key=lambda address: address in self._failed)
        error: Exception | None = None
        for address in asked:
            try:
                return address, await self.node(address).execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as failed:
                self._failed.add(address)
                error = failed
        raise RedisConnectionError(f"no node of the cluster answers: {error}") from error

    async def _learn(self, asked: HostPort, rows: list[Any]) -> None:
        slots: dict[int, HostPort] = {}
        addresses = {asked, *self._seeds}
        for first, last, *nodes in rows:
            found = [(_text(host) or asked[0], int(port)) for host, port, *_ in nodes]
            slots.update(dict.fromkeys(range(first, last + 1), found[0]))
            addresses.update(found)
        self._slots, self._stale = slots, not slots
        self._failed.clear()
        for gone in [address for address in self._nodes if address not in addresses]:
            await self._nodes.pop(gone).aclose()
        for replica in addresses:
            self.node(replica)  # it can be asked when its primary is gone


class ClusterPipeline(Pipeline):
    """Commands that leave together: one round trip to each node that has keys of them.

    A command without a key goes with the one before it.
    """

    def __init__(self, client: ClusterClient, transaction: bool) -> None:  # noqa: FBT001 - as redis-py's
        super().__init__(client.connection_pool, client.response_callbacks, transaction, None)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        """Run the commands and return their answers in order; raise the first error, if so asked.

        Raises:
            ClusterError: a transaction has keys of several slots.
        """
        stack: list[Command] = list(self.command_stack)
        await self.reset()  # type: ignore[no-untyped-call]
        placed = await self._placed(stack)
        if self.is_transaction and len({slot_of(key) for _, key in placed}) > 1:
            raise ClusterError("a transaction has keys of one slot")
        groups: defaultdict[HostPort, list[int]] = defaultdict(list)
        for place, (address, _) in enumerate(placed):
            groups[address].append(place)
        done = await asyncio.gather(
            *(
                self._client.at(placed[places[0]][1], self._sending(address, [stack[place] for place in places]))
                for address, places in groups.items()
            ),
            return_exceptions=True,
        )
        results: list[Any] = [None] * len(stack)
        for places, answers in zip(groups.values(), done, strict=True):
            if isinstance(answers, BaseException):
                raise answers
            for place, answer in zip(places, answers, strict=True):
                results[place] = answer
        failed = next((one for one in results if isinstance(one, Exception)), None)
        if raise_on_error and failed is not None:
            raise failed
        return results

    async def _placed(self, stack: Sequence[Command]) -> list[tuple[HostPort, Any]]:
        """Return for each command the node it goes to, and the key that it goes there for."""
        placed: list[tuple[HostPort, Any]] = []
        for args, _ in stack:
            key = key_of(args)
            placed.append(placed[-1] if key is None and placed else (await self._client.node_of(key), key))
        return placed

    def _sending(self, address: HostPort, commands: Sequence[Command]) -> Callable[[Redis], Awaitable[list[Any]]]:
        async def send(node: Redis) -> list[Any]:
            pipeline = node.pipeline(transaction=self.is_transaction)
            for args, options in commands:
                pipeline.execute_command(*args, **options)
            answers: list[Any] = await pipeline.execute(raise_on_error=self.is_transaction)
            if isinstance(answers[0], MovedError):  # none has run; where the first has, it must not run again
                raise answers[0]
            for moved in (one for one in answers if isinstance(one, MovedError)):
                self._client.note(moved, address[0])
            return answers

        return send


def key_of(args: Sequence[Any]) -> Any:
    """Return a key that tells where a command belongs, None if it belongs nowhere.

    >>> key_of(["EVALSHA", "9f2…", 2, "{p07}:log", "{p07}:seq", "…"]), key_of(["SCAN", 0, b"MATCH", "{p07}:s*"])
    ('{p07}:log', '{p07}:s*')
    """
    match args[0]:
        case "EVALSHA" | "EVAL":
            return args[3]
        case "SCAN":  # for keys of one partition, all of them on one node
            return args[args.index(b"MATCH") + 1]
        case "PING" | "INFO" | "TIME" | "CONFIG GET" | "WAIT":
            return None
        case _:
            return args[1] if len(args) > 1 else None


def slot_of(key: bytes | str) -> int:
    """Return the slot of a key: that of its hash tag, if it has one."""
    slot: int = key_slot(key if isinstance(key, bytes) else key.encode())
    return slot


def _text(host: bytes | str | None) -> str:
    return host.decode() if isinstance(host, bytes) else host or ""
