"""Addresses of Redis: one server, a primary that Sentinels name, or a cluster.

    redis://[user:password@]host[:port][/db]            rediss://… over TLS
    unix://[user:password@]/path/to/socket
    redis+sentinel://[user:password@]host[:port],host…/service[/db]
    redis+cluster://[user:password@]host[:port],host…

The last two as `rediss+…` over TLS. User and password are those of Redis; what Sentinels ask for is given as
`?sentinel_username=…&sentinel_password=…`. Other options behind the `?` are redis-py's, `ssl_ca_certs` say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import parse_url

HostPort: TypeAlias = tuple[str, int]

PORTS: Final = {"sentinel": 26379, "cluster": 6379}
SENTINELS_OWN: Final = "sentinel_"
"""Options of this beginning are for the Sentinels."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where Redis is. It has no text of its own, for it may hold passwords.

    Args:
        kind: what answers there.
        options: what connections to a server that holds data are made with.
        hosts: the Sentinels, or some of the cluster's nodes.
        service: what the Sentinels call the primary.
        sentinel_options: what connections to Sentinels are made with.
    """

    kind: Literal["single", "sentinel", "cluster"]
    options: Mapping[str, Any]
    hosts: tuple[HostPort, ...] = ()
    service: str = ""
    sentinel_options: Mapping[str, Any] | None = None


def parsed(url: str) -> Address:
    """Return the address that `url` tells.

    Raises:
        ValueError: it tells none. The message may hold a part of the password.

    >>> found = parsed("redis+sentinel://:secret@one,two:5000/shop/1?sentinel_password=other")
    >>> found.hosts, found.service
    ((('one', 26379), ('two', 5000)), 'shop')
    >>> found.options, found.sentinel_options
    ({'password': 'secret', 'db': 1}, {'password': 'other'})
    """
    scheme, _, kind = url.partition("://")[0].partition("+")
    if kind not in PORTS:
        return Address("single", dict(parse_url(url)))
    told = urlsplit(url)
    user, _, hosts = told.netloc.rpartition("@")
    found = tuple(_host(one, PORTS[kind]) for one in hosts.split(","))
    path = [unquote(part) for part in told.path.split("/")[1:]]
    given: dict[str, Any] = dict(parse_url(f"{scheme}://{user}@/?{told.query}"))
    own = {
        name.removeprefix(SENTINELS_OWN): given.pop(name) for name in list(given) if name.startswith(SENTINELS_OWN)
    }
    if kind == "cluster":
        if own or any(path):
            raise ValueError("a cluster has neither Sentinels nor databases")
        return Address("cluster", given, found)
    service, *db = path or [""]
    if not service or len(db) > 1:
        raise ValueError("behind the Sentinels stand the service and, perhaps, a database")
    tls = {name: value for name, value in given.items() if name.startswith("ssl_")}
    return Address("sentinel", given | {"db": int(*db)}, found, service, own | tls)


def _host(text: str, port: int) -> HostPort:
    told = urlsplit(f"//{text}")
    if not told.hostname or told.path:
        raise ValueError("a host is missing")
    return told.hostname, told.port or port
