"""Callers: each has a connection, sends outcomes one by one or in bulk, and repeats each until it is answered."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

from tests.faults.torture.history import Attempt
from tests.load import Connection

BACKOFF_S: Final = 0.05
KEPT: Final = 200
"""Keys that a caller remembers, to send them once more."""


@dataclass
class Caller:
    """One caller and all that it has seen."""

    number: int
    port: int
    headers: dict[str, str]
    rng: random.Random
    attempts: list[Attempt] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    _sent: list[dict[str, Any]] = field(default_factory=list)
    _made: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until told to stop, and end with nothing unanswered."""
        connection = Connection(self.port, self.headers)
        while not stop.is_set():
            match self.rng.random():
                case chance if chance < 0.1:
                    await self._bulk(connection, [self._outcome() for _ in range(self.rng.randint(2, 40))])
                case chance if chance < 0.2 and self._sent:
                    await self._one(connection, self.rng.choice(self._sent))
                case chance if chance < 0.4:
                    await self._one(connection, await self._recommended(connection))
                case _:
                    await self._one(connection, self._outcome())
            await asyncio.sleep(self.rng.random() * 0.01)
        await connection.close()

    def _outcome(self) -> dict[str, Any]:
        self._made += 1
        key = f"{self.number}-{self._made}"
        outcome = {
            "customerId": f"c{self.rng.randrange(50)}",
            "creativeId": self.rng.choice(["cr1", "cr2"]),
            "outcome": self.rng.choice(["click", "dismiss", "impression", "purchase"]),
            "idempotencyKey": key,
            "interactionId": key,
        }
        self._sent = [*self._sent, outcome][-KEPT:]
        return outcome

    async def _recommended(self, connection: Connection) -> dict[str, Any]:
        """Return an outcome of a recommendation that was made for it, or a plain one where none could be had."""
        outcome = self._outcome()
        body = {"customerId": outcome["customerId"], "limit": 1}
        status, answer = await self._post(connection, "/api/v1/recommend", body)
        if status == 200 and answer["decisions"]:
            del outcome["creativeId"]
            outcome |= {"recommendationId": answer["recommendationId"], "rank": 1}
        return outcome

    async def _one(self, connection: Connection, outcome: dict[str, Any]) -> None:
        while True:
            sent_s = time.monotonic()
            status, answer = await self._post(connection, "/api/v1/respond", outcome)
            self._saw(outcome, sent_s, status, answer.get("interactionId"))
            if status in (200, 201):
                return
            assert status is None or status >= 500, (status, answer)
            await asyncio.sleep(BACKOFF_S)

    async def _bulk(self, connection: Connection, outcomes: list[dict[str, Any]]) -> None:
        while outcomes:
            sent_s = time.monotonic()
            status, answer = await self._post(connection, "/api/v1/respond/bulk", {"outcomes": outcomes})
            assert status is None or status == 207 or status >= 500, (status, answer)
            rows = answer["results"] if status == 207 else [{"status": status}] * len(outcomes)
            for outcome, row in zip(outcomes, rows, strict=True):
                assert row["status"] is None or row["status"] in (200, 201) or row["status"] >= 500, row
                self._saw(outcome, sent_s, row["status"], row.get("interactionId"))
            outcomes = [o for o, row in zip(outcomes, rows, strict=True) if row["status"] not in (200, 201)]
            if outcomes:
                await asyncio.sleep(BACKOFF_S)

    async def _post(self, connection: Connection, path: str, body: Any) -> tuple[int | None, Any]:
        try:
            status, raw = await connection.post(path, json.dumps(body).encode())
            answer = json.loads(raw)
        except (OSError, EOFError, TimeoutError, ValueError):  # nobody knows, or HAProxy answered by itself
            status, answer = None, {}
        self.statuses[f"{path} {status}"] = self.statuses.get(f"{path} {status}", 0) + 1
        return status, answer

    def _saw(self, outcome: dict[str, Any], sent_s: float, status: int | None, interaction_id: str | None) -> None:
        key, customer = outcome["idempotencyKey"], outcome["customerId"]
        attempt = Attempt(self.number, key, customer, sent_s, time.monotonic(), status, interaction_id)
        self.attempts.append(attempt)
