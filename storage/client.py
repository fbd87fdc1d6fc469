"""Redis clients, with time-outs and retries chosen for what they are used for."""

from typing import TYPE_CHECKING, Any, Final

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage.addresses import Address, HostPort, parsed
from storage.redis_cluster import ClusterClient
from storage.replicas import Confirming, ConfirmingCluster

COMMAND_TIMEOUT_S = 3.0
"""A commit takes about a millisecond; after 3 s its caller is better served by a 503 and a retry."""
CONNECT_TIMEOUT_S = 1.0
POOL_WAIT_S = 1.0
"""How long a call may wait for a free connection before it counts as storage being away."""
READ_RETRIES = 3


def is_address(url: str) -> bool:
    """Return whether `url` is an address of Redis that can be made sense of.

    >>> is_address("redis://:secret@127.0.0.1:6379/0"), is_address("http://127.0.0.1")
    (True, False)
    """
    try:
        parsed(url)
    except ValueError:  # its message may hold a part of the password
        return False
    return True


def writer(url: str, replicas: int = 0, connections: int = 8) -> Redis:
    """Return a client for writes: never repeats a command, for a repeated append would be a second outcome.

    The caller's idempotency key is the retry. With `replicas`, what is acknowledged to callers is on so many.
    """
    return _client(url, connections, Retry(NoBackoff(), 0), replicas)


def reader(url: str, connections: int = 8) -> Redis:
    """Return a client for commands that change nothing; it repeats them a few times when a connection breaks."""
    return _client(url, connections, Retry(ExponentialBackoff(cap=0.5, base=0.02), READ_RETRIES), 0)


class _Ours(AbstractConnection if TYPE_CHECKING else object):  # type: ignore[misc]
    """Packs commands by hiredis, five times as fast as redis-py's connections do it; leaves a demoted primary."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as the protocol writes it; a name of two words is two arguments."""
        name, *rest = args
        return [hiredis.pack_command((*name.split(), *rest))]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Return an answer; that of a primary which is none any more is a broken connection.

        The next use connects anew, to whoever is the primary then. A script's error does not begin with READONLY.
        """
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if "READONLY" not in str(error):
                raise
            await self.disconnect()
            raise RedisConnectionError("this Redis is the primary no more") from error


class _Tcp(_Ours, Connection):
    """A connection over TCP."""


class _Tls(_Ours, SSLConnection):
    """A connection over TLS."""


class _Unix(_Ours, UnixDomainSocketConnection):
    """A connection over a Unix socket."""


class _PrimaryTcp(_Ours, SentinelManagedConnection):
    """A connection over TCP to whoever the Sentinels call the primary when it is made."""


class _PrimaryTls(_Ours, SentinelManagedSSLConnection):
    """The same over TLS."""


class _PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary, which are waited for."""

    async def get_master_address(self) -> Any:
        """Return where the primary is, as the first Sentinel says that answers."""
        try:
            return await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:  # its message shows each Sentinel's client with all its options
            raise RedisConnectionError(f"no Sentinel names a primary of {self.service_name}") from error

    async def aclose(self) -> None:
        """Close them, and those to the Sentinels."""
        await super().aclose()
        await self.sentinel_manager.aclose()


_KINDS: Final = {None: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def _client(url: str, connections: int, retry: Retry, replicas: int) -> Redis:
    address = parsed(url)
    common = _common(connections, retry)
    if address.kind == "cluster":

        def connect(node: HostPort) -> Redis:
            host, port = node
            return Redis.from_pool(_pool({**address.options, "host": host, "port": port}, common))

        if replicas:
            return ConfirmingCluster(address.hosts, connect, replicas)
        return ClusterClient(address.hosts, connect)
    pool = _primary_pool(address, common) if address.kind == "sentinel" else _pool(address.options, common)
    if not replicas:
        return Redis.from_pool(pool)
    confirming = Confirming(connection_pool=pool)
    confirming.auto_close_connection_pool = True
    confirming.replicas = replicas
    return confirming


def _common(connections: int, retry: Retry) -> dict[str, Any]:
    return {
        "max_connections": connections,
        "timeout": POOL_WAIT_S,
        "socket_timeout": COMMAND_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": retry,
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
        "decode_responses": False,
        "protocol": 3,
    }


def _pool(options: Any, common: dict[str, Any]) -> ConnectionPool:
    kind = _KINDS[options.get("connection_class")]
    return BlockingConnectionPool(**{**options, "connection_class": kind}, **common)


def _primary_pool(address: Address, common: dict[str, Any]) -> ConnectionPool:
    tls = address.options.get("connection_class") is SSLConnection
    asking = {
        "socket_timeout": CONNECT_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "ssl": tls,
        **(address.sentinel_options or {}),
    }
    sentinels = Sentinel(address.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    options = {**address.options, "connection_class": _PrimaryTls if tls else _PrimaryTcp}
    return _PrimaryPool(address.service, sentinels, **options, **common)  # type: ignore[no-untyped-call]
