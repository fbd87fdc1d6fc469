"""More outcomes than a service can take, from a process of its own: sent when they are due, answered or not.

`python -m tests.flood JSON` takes a `Plan` and prints what `Flooded` holds.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

PATH = "/api/v1/respond"


@dataclass(frozen=True)
class Plan:
    """What is sent: `rate` requests a second, or without one as many as `connections` have answered."""

    port: int
    headers: Mapping[str, str]
    keys: str
    """What idempotency keys start with."""
    seconds: float
    rate: float | None = None
    connections: int = 32
    items: int = 0
    """Of a bulk request; none: single outcomes."""


@dataclass
class Flooded:
    """What came of it."""

    sent: int
    statuses: dict[int, int]
    without_retry_after: int
    """Refusals that do not say when to come back."""
    accepted_s: list[float]
    """What requests that were accepted took, in order of their answers."""
    acknowledged: list[str]
    """Interaction ids."""
    seconds: float
    longest_lag_s: float
    """By which a request was sent later than it was due, for want of a connection or of processor time."""

    @property
    def rate(self) -> float:
        return self.sent / self.seconds


def flood(plan: Plan) -> Flooded:
    """Send it all; return what came of it."""
    with flooding(plan) as process:
        out, _ = process.communicate(timeout=plan.seconds + 120)
    assert process.returncode == 0
    told = json.loads(out)
    told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
    return Flooded(**told)


@contextmanager
def flooding(plan: Plan) -> Iterator["subprocess.Popen[bytes]"]:
    """Send it while the block lasts; what is under way at its end is not waited for."""
    command = [sys.executable, "-m", "tests.flood", json.dumps(asdict(plan))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


class Caller(asyncio.Protocol):
    """One connection, which sends a request when it is given one."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._answer = b""
        self._sent_at = 0.0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        self._answer = b""
        self._crowd.answered(self, head, body, time.perf_counter() - self._sent_at)


@dataclass
class Crowd:
    """All connections; what is due waits here for a free one."""

    plan: Plan
    free: list[Caller] = field(default_factory=list)
    opened: int = 0
    opening: set["asyncio.Task[None]"] = field(default_factory=set)
    due: deque[float] = field(default_factory=deque)
    sent: int = 0
    lag_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    accepted_s: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    closed: bool = False

    def answered(self, caller: Caller, head: bytes, body: bytes, took_s: float) -> None:
        status = int(head[9:12])
        self.statuses[status] += 1
        if status < 300:
            self.accepted_s.append(took_s)
            told = json.loads(body)
            results = told.get("results", [told])
            self.acknowledged += [one["interactionId"] for one in results if "interactionId" in one]
        elif status in (429, 503) and b"\r\nretry-after: " not in head.lower():
            self.without_retry_after += 1
        if self.plan.rate is None and not self.closed:
            self.due.append(time.perf_counter())
        self.free.append(caller)
        self.go_on()

    def go_on(self) -> None:
        """Send what is due over what is free, opening connections while there may be more."""
        while self.due and self.free:
            self.lag_s = max(self.lag_s, time.perf_counter() - self.due.popleft())
            self.free.pop().send(self._request())
            self.sent += 1
        while len(self.opening) < len(self.due) and self.opened < self.plan.connections:
            self.opened += 1
            task = asyncio.create_task(self._open())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: Caller(self), "127.0.0.1", self.plan.port)
        self.free.append(caller)
        self.go_on()

    def _request(self) -> bytes:
        outcomes = [self._outcome(f"{self.sent}-{i}") for i in range(max(1, self.plan.items))]
        bulk = self.plan.items > 0
        body = json.dumps({"outcomes": outcomes} if bulk else outcomes[0]).encode()
        named = "".join(f"{name}: {value}\r\n" for name, value in self.plan.headers.items())
        head = f"POST {PATH}{'/bulk' * bulk} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{named}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _outcome(self, number: str) -> dict[str, Any]:
        key = f"{self.plan.keys}-{number}"
        return {"customerId": f"c{hash(key) % 997}", "creativeId": "cr1", "outcome": "click", "idempotencyKey": key}


async def run(plan: Plan) -> Flooded:
    crowd = Crowd(plan)
    started = time.perf_counter()
    if plan.rate is None:
        crowd.due.extend([started] * plan.connections)
        crowd.go_on()
        await asyncio.sleep(plan.seconds)
    else:
        for at in started + np.arange(int(plan.rate * plan.seconds)) / plan.rate:
            while at > time.perf_counter():
                await asyncio.sleep(0.001)
            crowd.due.append(at)
            crowd.go_on()
            if len(crowd.due) % 100 == 99:
                await asyncio.sleep(0)
    took_s, crowd.closed = time.perf_counter() - started, True
    crowd.due.clear()
    while crowd.opening or len(crowd.free) < crowd.opened:  # whoever started us ends us if this never ends
        await asyncio.sleep(0.01)
    return Flooded(
        crowd.sent,
        dict(crowd.statuses),
        crowd.without_retry_after,
        crowd.accepted_s,
        crowd.acknowledged,
        took_s,
        crowd.lag_s,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(run(Plan(**json.loads(sys.argv[1])))))))  # noqa: T201
