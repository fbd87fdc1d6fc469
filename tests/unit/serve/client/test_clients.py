"""Both clients over a transport of the test's own: what they send, make of the answers, and hide."""

import asyncio
import inspect
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, assert_type, get_type_hints

import httpx
import pytest

from serve.client import (
    Acknowledged,
    AsyncBatch,
    AsyncClient,
    Client,
    Decision,
    Event,
    InvalidRequest,
    Misconfigured,
    Outcome,
    RewardloopError,
    Shown,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)

T = TypeVar("T")
KEY = "rl_id_verysecret"
URL = "http://shop.test"
ACKNOWLEDGED = {
    "interactionId": "int_1",
    "recommendationId": None,
    "customerId": "c1",
    "outcome": "click",
    "classification": "positive",
    "rank": None,
    "offerName": "Gold",
    "creativeName": "Hero",
    "channelName": "Web",
    "categoryName": None,
    "status": "recorded",
    "timestamp": "2026-03-16T14:35:00.000Z",
    "ofANewerService": {"a": 1},
}


class Service:
    """Answers in turn, the last answer for good, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.asked]

    def client(self, **options: Any) -> Client:
        return Client(URL, "shop", KEY, transport=httpx.MockTransport(self), **options)

    def both(
        self, ask: Callable[[Client], T], ask_async: Callable[[AsyncClient], Awaitable[T]], **options: Any
    ) -> tuple[T, T]:
        async def asking() -> T:
            async with AsyncClient(URL, "shop", KEY, transport=httpx.MockTransport(self), **options) as client:
                return await ask_async(client)

        with self.client(**options) as client:
            return ask(client), asyncio.run(asking())


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TENANT", "KEY"):
        monkeypatch.delenv(f"REWARDLOOP_{name}", raising=False)


def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("serve.client.sync.time.sleep", waits.append)
    monkeypatch.setattr("serve.client.asynchronous.asyncio.sleep", sleep)
    return waits


def test_an_outcome_is_sent_and_its_answer_typed() -> None:
    service = Service(httpx.Response(201, json=ACKNOWLEDGED, headers={"X-Log-Position": "7"}))
    moment = datetime(2026, 3, 16, 14, 35, tzinfo=UTC)

    one, other = service.both(
        lambda client: client.respond(customer_id="c1", outcome="click", creative_id="cr1", timestamp=moment),
        lambda client: client.respond(customer_id="c1", outcome="click", creative_id="cr1", timestamp=moment),
    )

    assert one == other
    assert (one.log_position, one.mismatch, one.status, one.timestamp) == (7, False, "recorded", moment)
    request = service.asked[0]
    assert str(request.url) == f"{URL}/api/v1/respond"
    assert (request.headers["X-Tenant-Id"], request.headers["Authorization"]) == ("shop", f"Bearer {KEY}")
    body = service.bodies[0]
    assert len(body.pop("idempotencyKey")) == 32
    assert body == {
        "customerId": "c1",
        "outcome": "click",
        "creativeId": "cr1",
        "timestamp": "2026-03-16T14:35:00Z",
    }


def test_every_attempt_of_an_outcome_has_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = no_waits(monkeypatch)
    troubles: list[httpx.Response | Exception] = [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(502),
        httpx.Response(503, headers={"Retry-After": "2"}),
    ]
    done = httpx.Response(200, json=ACKNOWLEDGED)
    service = Service(*troubles, done, *troubles, done)

    service.both(
        lambda client: client.respond(customer_id="c1", outcome="click"),
        lambda client: client.respond(customer_id="c1", outcome="click"),
    )

    keys = [body["idempotencyKey"] for body in service.bodies]
    assert len(keys) == 12
    assert len(set(keys[:6])) == len(set(keys[6:])) == 1
    assert keys[0] != keys[6]
    assert waits[4] >= 2


def test_a_recommendation_is_not_asked_for_twice_when_it_may_have_been_made() -> None:
    service = Service(httpx.ReadTimeout("slow"))
    with pytest.raises(Unavailable, match="no answer: slow"):
        service.client().recommend("c1")
    with pytest.raises(Unavailable, match="no answer: slow"):
        service.client().promote("m1", to="shadow")
    assert len(service.asked) == 2


def test_headers_that_tell_more_are_told() -> None:
    service = Service(httpx.Response(200, json=ACKNOWLEDGED, headers={"Idempotency-Mismatch": "true"}))
    answer = service.client().respond(customer_id="c1", outcome="click", idempotency_key="k")
    assert (answer.mismatch, answer.log_position) == (True, None)


def test_arguments_that_are_left_out_are_not_sent() -> None:
    decided = {
        "recommendationId": "rec_1",
        "customerId": "c1",
        "count": 0,
        "controlGroup": False,
        "modelKey": "m",
        "variant": None,
        "decisions": [],
    }
    service = Service(httpx.Response(200, json=decided, headers={"X-Log-Position": "3"}))
    answer = service.client().recommend("c1", placement="hero", segments=["new"], min_log_position=12)
    assert answer.log_position == 3
    assert service.bodies == [{"customerId": "c1", "placement": "hero", "segments": ["new"]}]
    assert service.asked[0].headers["X-Min-Log-Position"] == "12"


def test_lists_are_walked_through_page_by_page() -> None:
    def pages(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("cursor", "0"))
        rows = [event(number) for number in range(start, min(start + 2, 5))]
        following = str(start + 2) if start + 2 < 5 else None
        pagination = {"total": 5, "limit": 2, "hasMore": following is not None, "nextCursor": following}
        return httpx.Response(200, json={"data": rows, "pagination": pagination})

    async def walk() -> list[str]:
        async with AsyncClient(URL, "shop", KEY, transport=httpx.MockTransport(pages)) as client:
            return [one.id async for one in client.history(customer_id="c1")]

    expected = ["int_0", "int_1", "int_2", "int_3", "int_4"]
    client = Client(URL, "shop", KEY, transport=httpx.MockTransport(pages))
    assert [one.id for one in client.history(customer_id="c1")] == expected
    assert asyncio.run(walk()) == expected


def event(number: int) -> dict[str, Any]:
    nothing = ("placementId", "categoryId", "recommendationId", "rank", "conversionValue", "context")
    return {
        **dict.fromkeys(nothing),
        "outcomeDetails": None,
        "id": f"int_{number}",
        "customerId": "c1",
        "offerId": "o1",
        "creativeId": "cr1",
        "channelId": "ch1",
        "outcome": "click",
        "classification": "positive",
        "direction": "inbound",
        "timestamp": "2026-03-16T14:35:00.000Z",
        "recordedAt": "2026-03-16T14:35:00.000Z",
        "beforeDecision": False,
    }


@pytest.mark.parametrize("model_id", ["a/b", "ä b", "100%", "?x#y"])
def test_any_id_is_one_part_of_the_path(model_id: str) -> None:
    service = Service(httpx.Response(404, json={}))
    with pytest.raises(RewardloopError):
        service.client().model(model_id)
    raw = service.asked[0].url.raw_path.decode()
    assert raw.startswith("/api/v1/algorithm-models/")
    assert httpx.URL(f"{URL}{raw}").path == f"/api/v1/algorithm-models/{model_id}"
    assert raw.count("/") == 4


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"\xff\xfe", b'{"interactionId":1}'])
def test_an_answer_of_something_else_is_told(content: bytes) -> None:
    service = Service(httpx.Response(201, content=content))
    with pytest.raises(UnexpectedAnswer, match="is not what was asked for"):
        service.client().respond(customer_id="c1", outcome="click")
    assert len(service.asked) == 1


@pytest.mark.parametrize("results", [[], [{"index": 0, "status": 201}] * 2, [{"index": 1, "status": 201}]])
def test_a_bulk_answer_that_leaves_outcomes_out_is_told(results: list[Any]) -> None:
    answer = {"processed": 0, "recorded": 0, "duplicates": 0, "failed": 0, "results": results}
    service = Service(httpx.Response(207, json=answer))
    with pytest.raises(UnexpectedAnswer, match="outcomes"):
        service.client().respond_bulk([Outcome(customer_id="c", outcome="click")] * 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_cannot_say_is_refused_at_once(value: float) -> None:
    service = Service(httpx.Response(500))
    client = service.client()
    with pytest.raises(InvalidRequest, match="conversionValue must be a finite number"):
        client.respond(customer_id="c1", outcome="click", conversion_value=value)
    with pytest.raises(InvalidRequest, match=r"attributes\.age must be a finite number"):
        client.recommend("c1", attributes={"age": value})
    with pytest.raises(InvalidRequest, match=r"context\.a\.1 must be a finite number"):
        client.respond(customer_id="c1", outcome="click", context={"a": [1, value]})
    assert service.asked == []


def test_a_registered_recommendation_is_sent_as_the_service_takes_it() -> None:
    service = Service(httpx.Response(409, json={}))
    with pytest.raises(RewardloopError):
        service.client().register_recommendation(
            "r/1", customer_id="c1", decisions=[Shown(rank=1, creative_id="cr1", propensity=0.5)]
        )
    assert service.asked[0].url.raw_path == b"/api/v1/recommendations/r%2F1"
    assert service.bodies == [
        {"customerId": "c1", "decisions": [{"rank": 1, "creativeId": "cr1", "propensity": 0.5}]}
    ]


def test_both_clients_can_do_the_same() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, callable)
        return {name: list(inspect.signature(one).parameters) for name, one in methods if name[0] != "_"}

    blocking, waiting = public(Client), public(AsyncClient)
    assert blocking.pop("close") == waiting.pop("aclose")
    assert blocking == waiting
    assert len(blocking) > 20
    assert all(getattr(Client, name).__doc__ for name in blocking)


def test_answers_have_their_types_for_a_type_checker() -> None:
    # `make types` checks what this asserts: an ignore that is not needed is an error there.

    async def waiting(client: AsyncClient) -> None:
        assert_type(await client.respond(customer_id="c", outcome="click"), Acknowledged)
        assert_type([one async for one in client.history()], list[Event])
        async with client.batch() as batch:
            assert_type(batch, AsyncBatch)
            await batch.respond(customer_id=5, outcome="click")  # type: ignore[arg-type]

    def blocking(client: Client) -> None:
        assert_type(client.respond(customer_id="c", outcome="click"), Acknowledged)
        assert_type(client.recommend("c", limit=3).decisions, list[Decision])
        assert_type([one.timestamp for one in client.history(customer_id="c")], list[datetime])
        client.respond(customer="c", outcome="click")  # type: ignore[call-arg]
        client.recommend("c", limit="3")  # type: ignore[arg-type]

    assert get_type_hints(blocking)["client"] is Client
    assert get_type_hints(waiting)["client"] is AsyncClient


def test_settings_come_from_arguments_then_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="tenant is required, as an argument or as REWARDLOOP_TENANT"):
        Client(key=KEY)
    monkeypatch.setenv("REWARDLOOP_TENANT", "shop")
    with pytest.raises(Misconfigured, match="key is required"):
        Client()
    monkeypatch.setenv("REWARDLOOP_KEY", KEY)
    assert repr(Client()) == "Client(url='http://127.0.0.1:8000', tenant='shop')"
    monkeypatch.setenv("REWARDLOOP_URL", "https://a.test/base/")
    assert repr(AsyncClient()) == "AsyncClient(url='https://a.test/base', tenant='shop')"
    assert repr(Client("http://b.test", "other")) == "Client(url='http://b.test', tenant='other')"


@pytest.mark.parametrize("url", ["shop.test", "ftp://x", "http://", "http://x:port", "http://a:b@x"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(Misconfigured, match="url"):
        Client(url, "shop", KEY)


def test_a_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = Service(httpx.Response(401, json={}), httpx.ConnectError("refused"))
    client = service.client(deadline_s=0)
    shown = [repr(client), repr(vars(client)), str(vars(client))]
    for kind in (Unauthorized, Unavailable):
        with pytest.raises(kind) as caught:
            client.respond(customer_id="c1", outcome="click")
        shown += [repr(caught.value), str(caught.value), repr(vars(caught.value)), repr(caught.value.__cause__)]
    with pytest.raises(Misconfigured) as bad:
        Client(URL, "shop", f"{KEY}\r\nX: y")
    shown += [str(bad.value), caplog.text]
    assert service.asked[0].headers["Authorization"].endswith(KEY)
    assert "verysecret" not in "".join(shown)


def test_errors_can_be_sent_to_another_process() -> None:
    error = Unavailable("gone", status=503, code="UNAVAILABLE", request_id="req_1")
    error.retry_after_s = 1.0
    other = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (str(other), other.retry_after_s) == (str(error), 1.0)


def test_the_client_needs_neither_ray_nor_redis_nor_the_server() -> None:
    program = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"ray", "redis", "numpy", "fastapi", "starlette", "pyarrow", "pydantic", "scipy",
                                  "learners", "storage"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import httpx
from serve.client import AsyncClient, Client, Unavailable
transport = httpx.MockTransport(lambda _: httpx.Response(204))
client = Client("http://x.test", "t", "k", transport=transport)
try:
    client.outcome_types()
except Exception as error:
    print(type(error).__name__)
print(sorted(name for name in sys.modules if name.startswith("serve") and "client" not in name))
"""
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.splitlines() == ["UnexpectedAnswer", "['serve']"]
