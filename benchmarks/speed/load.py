"""Load on a server of this machine: as fast as it answers, or at a rate that is given."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from tests.load import Connection

CONNECTIONS: Final = 32
LUA: Final = Path(__file__).with_name("load.lua")
_runs = count(1)


@dataclass(frozen=True, slots=True)
class Target:
    """Where load goes: a path of a server on loopback, and a body with `%d` where a number of its own goes."""

    port: int
    path: str
    body: str
    tenant: str = "none"
    key: str = "none"

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        return {"X-Tenant-Id": self.tenant, "Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load met: requests answered, those answered with anything but 2xx or not at all, seconds."""

    answered: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests answered well in a second."""
        return (self.answered - self.failed) / self.seconds


def saturate(target: Target, seconds: float) -> Loaded:
    """Send requests over 32 connections, each as soon as the last is answered."""
    if shutil.which("wrk") is not None:
        return _wrk(target, seconds)
    return asyncio.run(_closed(target, seconds))


def _wrk(target: Target, seconds: float) -> Loaded:
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:.0f}s",
        "-s",
        str(LUA),
        f"http://127.0.0.1:{target.port}",
    ]
    command += ["--", target.path, target.tenant, target.key, target.body, str(next(_runs))]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s|m)\b", text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    took = float(found[2]) * {"s": 1, "ms": 1e-3, "m": 60}[found[3]]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = int(bad[1]) if bad else 0
    failed += sum(map(int, broken.groups())) if broken else 0
    return Loaded(int(found[1]), failed, took)


async def _closed(target: Target, seconds: float) -> Loaded:
    numbers, deadline, failed = count(next(_runs) * 10_000_000), time.monotonic() + seconds, 0
    answered, started = 0, time.monotonic()

    async def work() -> None:
        nonlocal answered, failed
        connection = Connection(target.port, target.headers)
        while time.monotonic() < deadline:
            status, _ = await connection.post(target.path, target.body.replace("%d", str(next(numbers))).encode())
            answered += 1
            failed += status >= 300
        await connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return Loaded(answered, failed, time.monotonic() - started)


def paced(target: Target, rate: float, seconds: float) -> np.ndarray:
    """Send requests at a rate; return what each took, in ms, from when it was due: (n,) float64.

    A server that lags is not spared: a request that waits for a free connection has begun to wait when it was due.
    """
    return asyncio.run(_paced(target, rate, seconds))


async def _paced(target: Target, rate: float, seconds: float) -> np.ndarray:
    number, took = next(_runs) * 10_000_000, []
    due = iter(np.arange(int(rate * seconds)) / rate)
    started = time.perf_counter()

    async def work() -> None:
        nonlocal number
        connection = Connection(target.port, target.headers)
        for at in due:
            wait = started + at - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            number += 1
            await connection.post(target.path, target.body.replace("%d", str(number)).encode())
            took.append(1000 * (time.perf_counter() - started - at))
        await connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return np.array(took)
