"""Clients under torture: a seeded mixture of requests, and of each attempt what the client saw."""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.faults.torture.history import ACKNOWLEDGED, REFUSED, Attempt
from tests.load import Connection

DEADLINE_S: Final = 8.0
"""A client gives up on an answer, and asks again, before a stopped process would go on."""
BACKOFF_S: Final = 0.1
PAUSE_S: Final = 0.02
"""Between two actions of a client: some hundred requests a second in all, so that two cores cope."""
TRIES: Final = 400
ERASE_TRIES: Final = 6
ERASE_BACKOFF_S: Final = 1.0
"""An erasure that died with its replica holds up others for twenty seconds; clients have more to do meanwhile."""
ABANDONED: Final = 0.1
"""Share of the operations without an answer that their client does not repeat while faults go on."""
OUTCOMES: Final = ("impression", "impression", "click", "dismiss", "view", "purchase")
CUSTOMERS, ERASABLE = 3_000, 60
ROUTES: Final = {"respond": "/respond", "recommend": "/recommend", "erase": "/gdpr/erasure"}


@dataclass
class Book:
    """All attempts of all clients, and the numbers of their operations."""

    attempts: list[Attempt] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    internal: list[str] = field(default_factory=list)
    """Requests that were answered with 500, by whomever: when, headers and body tell whose answer it was."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An outcome to be sent, always the same under its key."""

    number: int
    body: dict[str, Any]
    creative: str

    @property
    def key(self) -> str:
        return str(self.body["idempotencyKey"])


Send = Callable[[str, str, bytes], Awaitable[tuple[int, bytes, dict[str, str]]]]


class Client:
    """One client: it does one thing after another, chosen by its generator."""

    def __init__(self, number: int, seed: int, send: Sequence[Send], book: Book) -> None:
        self._id = number
        self._rng = random.Random(f"{seed}-{number}")  # noqa: S311 - a choice that can be repeated
        self._send, *self._others = send
        self._book = book
        self._done: list[Operation] = []
        self._open: dict[int, Operation] = {}
        """Outcomes whose fate is not known."""
        self._written = 0
        self.stopping = False

    async def run(self) -> None:
        """Do one thing after another until told to stop."""
        actions = (self._respond, self._duplicate, self._at_once, self._bulk, self._recommend, self._write)
        while not self.stopping:
            [action] = self._rng.choices((*actions, self._erase), weights=(50, 14, 6, 10, 14, 5, 0.3))
            await action()
            await asyncio.sleep(PAUSE_S)

    async def ask_again(self) -> None:
        """Send once more, until it is answered, a half of what was sent and never answered."""
        self.stopping = False
        for operation in [one for one in self._open.values() if self._rng.random() < 0.5]:
            await self._until_answered(operation, self._send, abandoning=0.0)

    async def _respond(self) -> None:
        operation = self._new()
        await self._until_answered(operation, self._send)
        self._done = [*self._done[-200:], operation]

    async def _duplicate(self) -> None:
        if self._done:
            await self._until_answered(self._rng.choice(self._done), self._send)

    async def _at_once(self) -> None:
        operation = self._new()
        await asyncio.gather(*(self._until_answered(operation, one) for one in (self._send, *self._others)))

    async def _bulk(self) -> None:
        known = self._rng.sample(self._done, min(2, len(self._done)))
        operations = [*(self._new() for _ in range(self._rng.randint(2, 20))), *known]
        body = json.dumps({"outcomes": [one.body for one in operations]}).encode()
        for _ in range(TRIES):
            sent_at = time.monotonic()
            status, content, _ = await self._ask(self._send, "POST", "/respond/bulk", body)
            rows = content.get("results") if status == 207 else None
            for index, one in enumerate(operations):
                row = rows[index] if rows else {}
                self._note("bulk", one, sent_at, row.get("status"), row)
            if rows is not None or self.stopping or self._rng.random() < ABANDONED:
                break
            await asyncio.sleep(BACKOFF_S)

    async def _recommend(self) -> None:
        customer, number = self._customer(), next(self._book.numbers)
        body = {"customerId": customer, "limit": 2, "attributes": {"op": number}}
        sent_at = time.monotonic()
        status, content, _ = await self._ask(self._send, "POST", ROUTES["recommend"], json.dumps(body).encode())
        # each decision has its own interaction; what marks the recommendation is its id
        made = {"interactionId": content.get("recommendationId", "")}
        operation = Operation(number, {"customerId": customer, "idempotencyKey": f"rec-{number}"}, "")
        self._note("recommend", operation, sent_at, status, made)
        if status == 200 and content["decisions"]:
            shown = self._rng.choice(content["decisions"])
            answer = {"recommendationId": content["recommendationId"], "rank": shown["rank"]}
            await self._until_answered(self._new(customer, shown["creativeId"], answer), self._send)

    async def _write(self) -> None:
        self._written += 1
        value, name = self._written, f"register-{self._id}"
        body = json.dumps({"businessValue": value}).encode()
        for _ in range(TRIES):
            sent_at = time.monotonic()
            status, _, _ = await self._ask(self._send, "PUT", f"/offers/{name}", body)
            self._note_plain("write", name, "", sent_at, status, value)
            if status is not None or self.stopping or self._rng.random() < ABANDONED:
                return
            await asyncio.sleep(BACKOFF_S)

    async def _erase(self) -> None:
        customer = f"e{self._rng.randrange(ERASABLE)}"
        body = json.dumps({"customerId": customer}).encode()
        for _ in range(ERASE_TRIES):
            sent_at = time.monotonic()
            status, _, _ = await self._ask(self._send, "POST", ROUTES["erase"], body)
            self._note_plain("erase", customer, customer, sent_at, status, 0)
            if status is not None or self.stopping:
                return
            await asyncio.sleep(ERASE_BACKOFF_S)

    def _customer(self) -> str:
        if self._rng.random() < 0.05:
            return f"e{self._rng.randrange(ERASABLE)}"
        return f"c{self._rng.randrange(CUSTOMERS)}"

    def _new(self, customer: str = "", creative: str = "", answer: dict[str, Any] | None = None) -> Operation:
        number = next(self._book.numbers)
        creative = creative or self._rng.choice(("cr1", "cr2"))
        body: dict[str, Any] = {
            "customerId": customer or self._customer(),
            "outcome": self._rng.choice(OUTCOMES),
            "idempotencyKey": f"key-{number}",
            "attributes": {"op": number, "age": self._rng.randrange(18, 90)},
            **(answer or {"creativeId": creative}),
        }
        if body["outcome"] == "purchase":
            body["conversionValue"] = self._rng.randrange(1, 100)
        return Operation(number, body, creative)

    async def _until_answered(self, operation: Operation, send: Send, abandoning: float = ABANDONED) -> None:
        body = json.dumps(operation.body).encode()
        for _ in range(TRIES):
            sent_at = time.monotonic()
            status, content, fields = await self._ask(send, "POST", ROUTES["respond"], body)
            self._note("respond", operation, sent_at, status, content, int(fields.get("x-log-position", "0")))
            if status is not None or self.stopping or self._rng.random() < abandoning:
                return
            await asyncio.sleep(BACKOFF_S)

    async def _ask(
        self, send: Send, method: str, path: str, body: bytes
    ) -> tuple[int | None, dict[str, Any], dict[str, str]]:
        """Return status, body and headers; no status where the answer does not tell what happened."""
        try:
            status, raw, fields = await send(method, f"/api/v1{path}", body)
        except (OSError, EOFError, TimeoutError):
            return None, {}, {}
        if status == 500:
            self._book.internal.append(f"{time.monotonic():.3f} s {method} {path}: {fields} {raw[:500]!r}")
        content = _parsed(raw)
        told = status in (*ACKNOWLEDGED, 207) or (status in REFUSED and "error" in content)
        return (status if told else None), content, fields

    def _note(
        self, kind: str, one: Operation, sent_at: float, status: int | None, content: Any, position: int = 0
    ) -> None:
        if kind != "recommend" and status is None:
            self._open[one.number] = one
        else:
            self._open.pop(one.number, None)
        self._book.attempts.append(
            Attempt(
                client=self._id,
                kind=kind,
                key=one.key,
                number=one.number,
                customer=one.body["customerId"],
                sent_at=sent_at,
                answered_at=time.monotonic(),
                status=status,
                creative=one.creative,
                outcome=one.body.get("outcome", ""),
                interaction_id=content.get("interactionId", ""),
                position=position,
            )
        )

    def _note_plain(
        self, kind: str, key: str, customer: str, sent_at: float, status: int | None, value: int
    ) -> None:
        number, now = next(self._book.numbers), time.monotonic()
        self._book.attempts.append(
            Attempt(self._id, kind, key, number, customer, sent_at, now, status, value=value)
        )


def _parsed(raw: bytes) -> dict[str, Any]:
    """Return the JSON of an answer; none where it is a page of somebody's on the way."""
    try:
        content = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def over_http(port: int, headers: dict[str, str], statuses: dict[str, int]) -> tuple[Connection, Send]:
    """Return a connection to the service and a way to send over it that counts what came back."""
    connection = Connection(port, headers)

    async def send(method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        try:
            status, content = await connection.send(method, path, body, DEADLINE_S)
        except (OSError, EOFError, TimeoutError, ValueError):
            statuses["none"] = statuses.get("none", 0) + 1
            raise
        statuses[str(status)] = statuses.get(str(status), 0) + 1
        return status, content, connection.fields

    return connection, send
