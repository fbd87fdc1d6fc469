"""Load for a service over real HTTP: keep-alive connections that send outcomes until each is acknowledged."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

ACKNOWLEDGED = (200, 201)
BACKOFF_S = 0.05


@dataclass
class Load:
    """What callers saw: for each idempotency key the acknowledgement, and how many answers of each status."""

    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0

    def saw(self, key: str, status: int, body: dict[str, Any]) -> bool:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status in ACKNOWLEDGED:
            self.acknowledged[key] = body
        return status in ACKNOWLEDGED


class Connection:
    """One keep-alive connection, opened anew when it breaks."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port = port
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.fields: dict[str, str] = {}
        """Headers of the last answer, names in lower case."""

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        return await self.send("POST", path, body)

    async def send(self, method: str, path: str, body: bytes, deadline_s: float = 30) -> tuple[int, bytes]:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{self._head}"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return await asyncio.wait_for(self._answer(reader), deadline_s)
        except (OSError, EOFError, TimeoutError, ValueError):
            await self.close()
            raise

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.fields = fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        content = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            await self.close()
        return int(head[0].split(" ")[1]), content

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def send_all(
    port: int,
    headers: dict[str, str],
    outcomes: Sequence[dict[str, Any]],
    connections: int = 32,
    deadline_s: float = 120.0,
    at: tuple[int, Callable[[], Coroutine[Any, Any, None]]] | None = None,
) -> Load:
    """Send each outcome until it is acknowledged; `at` = (n, act): after n acknowledgements, act."""
    load, queue, deadline = Load(), list(reversed(outcomes)), time.monotonic() + deadline_s
    acting: list[asyncio.Task[None]] = []

    async def one(connection: Connection, outcome: dict[str, Any]) -> None:
        body = json.dumps(outcome).encode()
        while time.monotonic() < deadline:
            try:
                status, content = await connection.post("/api/v1/respond", body)
                acknowledged = load.saw(outcome["idempotencyKey"], status, json.loads(content or b"{}"))
            except (OSError, EOFError, TimeoutError, ValueError):
                load.broken += 1
                acknowledged = False
            if acknowledged:
                if at is not None and not acting and len(load.acknowledged) >= at[0]:
                    acting.append(asyncio.ensure_future(at[1]()))
                return
            await asyncio.sleep(BACKOFF_S)
        raise AssertionError(f"{outcome['idempotencyKey']} was never acknowledged: {load.statuses}")

    async def work() -> None:
        connection = Connection(port, headers)
        try:
            while queue:
                await one(connection, queue.pop())
        finally:
            await connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    await asyncio.gather(*acting)
    return load
