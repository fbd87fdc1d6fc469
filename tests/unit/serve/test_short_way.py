"""The short way of hot requests: who takes it, and how many may."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serve.app import HOT
from serve.edge import Edge
from serve.short_way import ShortWay

pytestmark = pytest.mark.anyio

HOT_PATH = next(iter(HOT))


def scope(method: str, path: str, kind: str = "http", tenant: str = "hot") -> dict[str, Any]:
    headers = [(b"x-tenant-id", tenant.encode())]
    return {"type": kind, "method": method, "path": path, "headers": headers, "query_string": b""}


@pytest.mark.parametrize(
    ("method", "path", "kind", "same_loop", "short"),
    [
        ("POST", HOT_PATH, "http", True, True),
        ("GET", HOT_PATH, "http", True, False),
        ("POST", "/api/v1/offers", "http", True, False),
        ("POST", HOT_PATH, "websocket", True, False),
        ("POST", HOT_PATH, "http", False, False),
    ],
)
async def test_who_takes_it(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, kind: str, *, same_loop: bool, short: bool
) -> None:
    taken = []

    async def application(*_: Any) -> None:
        taken.append("short")

    async def wrapped(*_: Any) -> None:
        taken.append("long")

    monkeypatch.setattr(ShortWay, "app", staticmethod(application))
    monkeypatch.setattr(ShortWay, "loop", asyncio.get_running_loop() if same_loop else None)
    unused: Any = None
    await ShortWay(wrapped)(scope(method, path, kind), unused, unused)
    assert taken == ["short" if short else "long"]


async def test_what_is_too_much_is_refused_and_the_rest_answered() -> None:
    answered, go_on = asyncio.Event(), asyncio.Event()

    async def endpoint(_: Request) -> Response:
        answered.set()
        await go_on.wait()
        return Response(status_code=201)

    app: Any = FastAPI()
    edge = Edge(app, app, {HOT_PATH: endpoint}, 2)

    async def ask(tenant: str) -> tuple[int, dict[bytes, bytes]]:
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        unused: Any = None
        await edge(scope("POST", HOT_PATH, tenant=tenant), unused, send)
        return messages[0]["status"], dict(messages[0]["headers"])

    first = asyncio.create_task(ask("hot"))
    await answered.wait()
    status, headers = await ask("hot")
    assert status == 503
    assert int(headers[b"retry-after"]) >= 1
    other = asyncio.create_task(ask("other"))
    await asyncio.sleep(0)
    assert not other.done(), "one tenant's load takes no place from another"
    go_on.set()
    assert [(await first)[0], (await other)[0]] == [201, 201]
    assert (await ask("hot"))[0] == 201, "there is room again"
