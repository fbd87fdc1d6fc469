"""Faults, by name: each is done to a running service and undone before it returns."""

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import anyio
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.service import Service

Fault = Callable[[Service, float], Awaitable[None]]
PARTS: Final = {
    "replica": "ray::ServeReplica",
    "learner": "ray::LearnerActor",
    "controller": "ray::ServeController",
    "haproxy": "haproxy",
    "redis": "redis-server",
}


def killed(title: str) -> Fault:
    """Return the fault that ends one process of that title by kill -9."""

    async def fault(service: Service, _: float) -> None:
        for process in service.processes(title)[:1]:
            process.kill()

    return fault


def stopped(title: str) -> Fault:
    """Return the fault that holds one process of that title for some seconds."""

    async def fault(service: Service, seconds: float) -> None:
        for process in service.processes(title)[:1]:
            try:
                process.send_signal(signal.SIGSTOP)
                await anyio.sleep(seconds)
                process.send_signal(signal.SIGCONT)
            except psutil.NoSuchProcess:  # it was ended, for it did not answer
                continue

    return fault


def commanded(*command: str, then: tuple[str, ...] = ()) -> Fault:
    """Return the fault that a command of Redis is, and what undoes it after some seconds."""

    async def fault(service: Service, seconds: float) -> None:
        async with Redis.from_url(service.redis_url) as connected:
            redis: Any = connected
            with suppress(RedisError):  # it is busy with that
                await redis.execute_command(*command)
            if then:
                await anyio.sleep(seconds)
                await redis.execute_command(*then)

    return fault


BUSY = "local t = redis.call('TIME')[1] + 1; while tonumber(redis.call('TIME')[1]) <= t do end"
FAULTS: Final[dict[str, Fault]] = {
    **{f"kill {name}": killed(title) for name, title in PARTS.items()},
    **{f"stop {name}": stopped(title) for name, title in PARTS.items()},
    "redis out of memory": commanded("CONFIG", "SET", "maxmemory", "1mb", then=("CONFIG", "SET", "maxmemory", "0")),
    "redis busy": commanded("EVAL", BUSY, "0"),
    "redis slow": commanded("CLIENT", "PAUSE", "1500", "ALL"),
    "connections cut": commanded("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    "redis read-only": commanded("REPLICAOF", "127.0.0.1", "1", then=("REPLICAOF", "NO", "ONE")),
}
