"""The bulk client's patience, on a clock of its own."""

import asyncio
from collections.abc import Callable, Sequence

import httpx
import pytest

from serve.cli.bulk import DEADLINE_S, LONGEST_WAIT_S, THROTTLED_S, BulkClient, Patience
from serve.cli.errors import CommandError
from serve.cli.items import Batch, Item, Result, Tally

BATCH = Batch([Item(3, b'{"idempotencyKey":"a"}'), Item(4, b'{"idempotencyKey":"b"}')], end_line=5)
DONE = {"results": [{"index": 1, "status": 404, "error": "gone"}, {"index": 0, "status": 201}]}

Handler = Callable[[httpx.Request], httpx.Response]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.now_s += wait_s


def send(handler: Handler, clock: Clock, told: list[str] | None = None) -> Sequence[Result]:
    async def sending() -> Sequence[Result]:
        async with httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(handler)) as http:
            patience = Patience(clock.sleep, lambda: clock.now_s, lambda: 1.0)
            return await BulkClient(http, patience, (told or []).append).send(BATCH)

    return asyncio.run(sending())


def answering(*answers: httpx.Response | Exception) -> tuple[Handler, list[bytes]]:
    bodies: list[bytes] = []
    left = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, bodies


def test_results_come_in_the_order_of_the_items() -> None:
    handler, bodies = answering(httpx.Response(207, json=DONE))

    results = send(handler, Clock())

    assert [result.status for result in results] == [201, 404]
    assert results[1].reason() == "gone"
    assert bodies == [b'{"outcomes":[{"idempotencyKey":"a"},{"idempotencyKey":"b"}]}']


def test_an_empty_batch_is_not_sent() -> None:
    async def sending() -> Sequence[Result]:
        handler, _ = answering(httpx.ConnectError("must not be asked"))
        async with httpx.AsyncClient(base_url="http://x", transport=httpx.MockTransport(handler)) as http:
            clock = Clock()
            patience = Patience(clock.sleep, lambda: 0.0, lambda: 1.0)
            return await BulkClient(http, patience, print).send(Batch(end_line=3, decisions=3))

    assert asyncio.run(sending()) == []


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_the_service_asks_for_is_kept(status: int) -> None:
    refusal = httpx.Response(status, headers={"Retry-After": "7"})
    handler, bodies = answering(refusal, httpx.Response(207, json=DONE))
    clock = Clock()

    send(handler, clock)

    assert clock.waits == [7.0]
    assert len(set(bodies)) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(502),
        httpx.Response(404, text="Path '/x' not found. Ping http://.../-/routes for available routes."),
    ],
)
def test_trouble_is_met_with_growing_waits_the_same_body_and_one_warning(
    trouble: httpx.Response | Exception,
) -> None:
    handler, bodies = answering(*[trouble] * 8, httpx.Response(207, json=DONE))
    clock = Clock()
    told = [""]

    send(handler, clock, told)

    assert clock.waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT_S, LONGEST_WAIT_S])
    assert len(bodies) == 9
    assert len(set(bodies)) == 1
    assert len(told) == 2


def test_half_of_a_wait_is_random() -> None:
    async def sleep(_: float) -> None:
        """Wait not at all."""

    least = Patience(sleep, lambda: 0.0, lambda: 0.0)
    most = Patience(sleep, lambda: 0.0, lambda: 1.0)

    assert [least.backoff_s(9), most.backoff_s(9)] == [LONGEST_WAIT_S / 2, LONGEST_WAIT_S]
    assert most.backoff_s(10_000) == LONGEST_WAIT_S


def test_trouble_without_end_is_given_up() -> None:
    handler, _ = answering(httpx.ConnectError("refused"))
    clock = Clock()

    with pytest.raises(CommandError, match=r"gave up on lines 3 to 4: no answer from http://x.*refused"):
        send(handler, clock)

    assert DEADLINE_S - LONGEST_WAIT_S <= clock.now_s <= DEADLINE_S


def test_being_throttled_is_no_trouble_but_not_endless() -> None:
    handler, _ = answering(httpx.Response(429, headers={"Retry-After": "50"}))
    clock = Clock()

    with pytest.raises(CommandError, match="429 Too Many Requests"):
        send(handler, clock)

    assert THROTTLED_S - 50 <= clock.now_s <= THROTTLED_S


@pytest.mark.parametrize("status", [400, 401, 403, 413, 415])
def test_a_refusal_is_not_repeated(status: int) -> None:
    handler, bodies = answering(httpx.Response(status, json={"error": {"message": "because"}}))

    with pytest.raises(CommandError, match=f"{status} because"):
        send(handler, Clock())

    assert len(bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"results": []},
        {"results": [{"index": 0, "status": 201}] * 2},
        {"other": 1},
        {"results": [{"index": 0}]},
    ],
)
def test_an_answer_that_leaves_items_out_is_refused(body: object) -> None:
    handler, _ = answering(httpx.Response(207, json=body))

    with pytest.raises(CommandError, match="the service answered"):
        send(handler, Clock())


def test_a_tally_adds_up_and_keeps_the_first_failures() -> None:
    batch = Batch([Item(line, b"{}") for line in range(1, 31)], end_line=33, decisions=2, bad=1)
    results = [Result(0, 201), Result(1, 200)] + [Result(index, 400, "bad") for index in range(2, 30)]

    tally = Tally().plus(batch, results)

    assert (tally.recorded, tally.duplicates, tally.failed, tally.items) == (1, 1, 28, 30)
    assert (tally.lines, tally.decisions, tally.bad) == (33, 2, 1)
    assert [failure.line for failure in tally.failures] == list(range(3, 13))
