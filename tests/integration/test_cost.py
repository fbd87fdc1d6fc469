"""What a request costs, counted and not timed: Redis's commands, pushes to learners, functions called."""

import asyncio
import itertools
import json
import sys
from types import FrameType
from typing import Any

import pytest

from learners import remote
from learners.remote import PUSH_INTERVAL_S, RayLearners
from tests.integration.conftest import Api

pytestmark = pytest.mark.anyio

REQUESTS = 200
WARM = 20
BOUNDS = {"/api/v1/respond": 1_080, "/api/v1/recommend": 1_110}
"""Functions of Python and C that a lone request calls, commit included; an eighth above what was counted."""
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def one_redis(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--redis") != "embedded":
        pytest.skip("the counts are those of one Redis without replicas")


def body(path: str) -> bytes:
    number = next(_numbers)
    if path.endswith("/respond"):
        told: dict[str, Any] = {"creativeId": "cr1", "outcome": "click", "idempotencyKey": f"cost-{number}"}
    else:
        told = {"channel": "ch1", "limit": 1, "attributes": {"age": 30.5, "tier": "gold"}}
    return json.dumps({"customerId": f"c{number}", **told}).encode()


async def ask(api: Api, path: str) -> int:
    """Send one request to the application as a server does; return the status."""
    raw, status = body(path), 0
    headers = {**api.http.headers, "content-type": "application/json", "content-length": str(len(raw))}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await api.app(scope, receive, send)
    return status


@pytest.mark.parametrize("path", BOUNDS)
async def test_a_request_takes_one_round_trip(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(WARM):
        assert await ask(api, path) < 300
    trips = 0
    services = api.app.state.services
    for redis in (services.redis, services.reader):
        execute = redis.execute_command

        async def counted(*args: Any, execute: Any = execute, **options: Any) -> Any:
            nonlocal trips
            trips += 1
            return await execute(*args, **options)

        monkeypatch.setattr(redis, "execute_command", counted)
    for _ in range(REQUESTS):
        assert await ask(api, path) < 300
    assert trips == REQUESTS


@pytest.mark.parametrize("path", BOUNDS)
async def test_a_request_calls_so_many_functions(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the learner in this process does is left out: elsewhere it has a process of its own.

    The least of all counts, for the others hold what happened to come between: a reply in two pieces, a task begun.
    """
    monkeypatch.setattr(api.learners, "push", lambda *_: None)
    for _ in range(WARM):
        await ask(api, path)
    counted = []
    for _ in range(REQUESTS):
        calls, others = 0, asyncio.all_tasks() - {asyncio.current_task()}

        def seen(_frame: FrameType, event: str, _argument: object, others: set[Any] = others) -> None:
            nonlocal calls
            if event in ("call", "c_call"):
                calls += asyncio.current_task() not in others

        sys.setprofile(seen)
        try:
            await ask(api, path)
        finally:
            sys.setprofile(None)
        counted.append(calls)
    assert min(counted) < BOUNDS[path]


class Actor:
    """What a learner's handle looks like to those who push; it counts."""

    def __init__(self) -> None:
        self.calls, self.entries = 0, 0

    @property
    def push(self) -> "Actor":
        return self

    async def remote(self, batches: dict[int, list[bytes]]) -> None:
        self.calls += 1
        self.entries += sum(map(len, batches.values()))
        await asyncio.sleep(0)


async def test_a_learner_is_called_once_for_many_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Actor()
    monkeypatch.setattr("ray.get_actor", lambda *_, **__: actor)
    learners = RayLearners(1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(1_000):  # a request each, answered one after the other
        learners.push(0, [b"e" * 400])
        await asyncio.sleep(0)
    while actor.entries < 1_000:
        await asyncio.sleep(PUSH_INTERVAL_S)
    intervals = (loop.time() - started) / PUSH_INTERVAL_S
    assert actor.calls <= intervals + 1 + 1_000 * 400 / remote.PUSH_BYTES
    one, other = actor.calls, actor.entries
    learners.push(0, [b"e"] * 10_000)  # a flood leaves in as few calls as their size allows
    while actor.entries < other + 10_000:
        await asyncio.sleep(0)
    assert actor.calls == one + 1
