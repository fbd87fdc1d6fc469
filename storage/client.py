"""Redis clients, with time-outs and retries chosen for what they are used for."""

from typing import Any, Final

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

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
        parse_url(url)
    except ValueError:  # its message may hold a part of the password
        return False
    return True


def writer(url: str, connections: int = 8) -> Redis:
    """Return a client for writes: never repeats a command, for a repeated append would be a second outcome.

    The caller's idempotency key is the retry.
    """
    return _client(url, connections, Retry(NoBackoff(), 0))


def reader(url: str, connections: int = 8) -> Redis:
    """Return a client for commands that change nothing; it repeats them a few times when a connection breaks."""
    return _client(url, connections, Retry(ExponentialBackoff(cap=0.5, base=0.02), READ_RETRIES))


class _Packing:
    """Packs commands by hiredis: redis-py's asyncio connections do it in Python, five times as slow."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as the protocol writes it; a name of two words is two arguments."""
        name, *rest = args
        return [hiredis.pack_command((*name.split(), *rest))]


class _Tcp(_Packing, Connection):
    """A connection over TCP."""


class _Tls(_Packing, SSLConnection):
    """A connection over TLS."""


class _Unix(_Packing, UnixDomainSocketConnection):
    """A connection over a Unix socket."""


_KINDS: Final = {None: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def _client(url: str, connections: int, retry: Retry) -> Redis:
    options: dict[str, Any] = dict(parse_url(url))
    pool = BlockingConnectionPool(
        **options | {"connection_class": _KINDS[options.get("connection_class")]},
        max_connections=connections,
        timeout=POOL_WAIT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=retry,
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        decode_responses=False,
        protocol=3,
    )
    return Redis.from_pool(pool)
