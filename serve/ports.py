"""Ports of this machine for what stands behind the port of HTTP, and that two services never take the same ones.

A service listens on them seconds after it chose them, and not while what listens is started again: that nobody
listens on a port tells nothing. So each service holds a place, by a name that it binds until its process ends.
"""

import socket
import sys
from functools import cache
from typing import Final

from serve.errors import ServiceError

PLACES: Final = 30
"""How many services one machine has ports for."""
REPLICA_PORTS: Final = 300
"""Ports set aside for the replicas of one service."""
REPLICAS: Final = 20_000
"""The first of them: below those that the kernel gives to outgoing connections."""
SINGLE: Final = {
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": 8500,
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": 9500,
    "RAY_SERVE_HAPROXY_METRICS_PORT": 9101,
    "RAY_SERVE_HAPROXY_STATS_PORT": 8404,
}
"""What has one port a service, by the variable that Ray reads: the port at the first place."""


@cache
def reserved(*spoken_for: int) -> dict[str, str]:
    """Return the ports of this process's service, as variables that Ray reads; nobody else gets them until it ends.

    Args:
        spoken_for: Ports that the service listens on besides.

    Raises:
        ServiceError: there is no place left.
    """
    for place in range(PLACES):
        single = {first + place for first in SINGLE.values()}
        if single.isdisjoint(spoken_for) and all(map(_free, single)) and _held(place):
            return _ports(place)
    ranges = ", ".join(f"{first} to {first + PLACES - 1}" for first in SINGLE.values())
    raise ServiceError(f"no place is left for another service: of each of the ports {ranges} it needs one")


def _ports(place: int) -> dict[str, str]:
    replicas = REPLICAS + place * REPLICA_PORTS
    return {
        **{name: str(first + place) for name, first in SINGLE.items()},
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replicas),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replicas + REPLICA_PORTS - 1),
    }


_names: Final[list[int]] = []


def _held(place: int) -> bool:
    """Take a place that nobody has, by a name in the kernel (unix(7), abstract), which goes when the process does.

    Only Linux has such names; elsewhere there is no HAProxy, and two services that start at once may meet.
    """
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0rewardloop-place-{place}")
    except OSError:
        name.close()
        return False
    _names.append(name.detach())
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
