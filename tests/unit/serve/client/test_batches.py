"""Batches of both clients over a transport of the test's own: nothing is lost without a word."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from serve.client import AsyncClient, BatchFailed, Client, Failure, InvalidRequest, Outcome, Unauthorized
from serve.client.batching import MAX_BYTES, MAX_FAILURES

Answer = Callable[[list[dict[str, Any]]], httpx.Response]


def outcome(number: int, **fields: Any) -> Outcome:
    return Outcome(customer_id=f"c{number}", outcome="click", idempotency_key=f"k{number}", **fields)


class Service:
    """Records each key once, refuses customers called "unknown"."""

    def __init__(self, *troubles: httpx.Response | Exception) -> None:
        self.requests: list[list[str]] = []
        self.sizes: list[int] = []
        self.recorded: list[str] = []
        self.troubles = list(troubles)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["outcomes"]
        self.requests.append([item["idempotencyKey"] for item in items])
        self.sizes.append(len(request.content))
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, Exception):
            raise trouble
        return trouble or httpx.Response(207, json=self.answer(items))

    def answer(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            key = item["idempotencyKey"]
            if item["customerId"] == "unknown":
                error = {"code": "NOT_FOUND", "message": "creativeId was not found"}
                results.append({"index": index, "status": 404, "error": error})
                continue
            status = 200 if key in self.recorded else 201
            if status == 201:
                self.recorded.append(key)
            results.append({"index": index, "status": status, "interactionId": "int_1"})
        statuses = [row["status"] for row in results]
        return {
            "processed": len(items),
            "recorded": statuses.count(201),
            "duplicates": statuses.count(200),
            "failed": statuses.count(404),
            "results": results[::-1],
        }

    def run(self, outcomes: list[Outcome], **options: Any) -> "dict[str, int]":
        """Put outcomes through a batch of each client, each with a service's memory of its own."""
        client = Client("http://x.test", "t", "k", transport=httpx.MockTransport(self))
        with client.batch(**options) as batch:
            for one in outcomes:
                batch.add(one)
        return {"recorded": batch.recorded, "duplicates": batch.duplicates, "failed": batch.failed}

    def run_async(self, outcomes: list[Outcome], **options: Any) -> "dict[str, int]":
        async def running() -> dict[str, int]:
            transport = httpx.MockTransport(self)
            async with AsyncClient("http://x.test", "t", "k", transport=transport) as client:
                async with client.batch(**options) as batch:
                    for one in outcomes:
                        await batch.add(one)
                return {"recorded": batch.recorded, "duplicates": batch.duplicates, "failed": batch.failed}

        return asyncio.run(running())


Run = Callable[..., "dict[str, int]"]
RUNS = pytest.mark.parametrize("run", [Service.run, Service.run_async], ids=["sync", "async"])


@RUNS
def test_outcomes_go_together_in_their_order(run: Run) -> None:
    service = Service()
    told = run(service, [outcome(number) for number in range(2_500)])
    assert told == {"recorded": 2_500, "duplicates": 0, "failed": 0}
    assert service.recorded == [f"k{number}" for number in range(2_500)]
    assert max(map(len, service.requests)) <= 1_000
    assert len(service.requests) <= 5


@RUNS
def test_large_outcomes_go_in_requests_that_the_service_takes(run: Run) -> None:
    service = Service()
    large = {"text": "x" * 1_000_000}
    run(service, [outcome(number, context=large) for number in range(20)])
    assert service.recorded == [f"k{number}" for number in range(20)]
    assert max(service.sizes) <= 8 * 1024 * 1024
    assert len(service.sizes) == 3


@RUNS
def test_a_repeated_request_has_the_same_outcomes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(_: float) -> None:
        """Wait not at all."""

    monkeypatch.setattr("serve.client.sync.time.sleep", lambda _: None)
    monkeypatch.setattr("serve.client.asynchronous.asyncio.sleep", sleep)
    service = Service(httpx.ReadTimeout("slow"), httpx.Response(502), httpx.Response(429))
    assert run(service, [outcome(1), outcome(2)])["recorded"] == 2
    assert service.requests == [["k1", "k2"]] * 4


@RUNS
def test_refused_outcomes_end_the_block_with_an_error_that_has_them(run: Run) -> None:
    refused = outcome(3)
    service = Service()
    unknown = Outcome(customer_id="unknown", outcome="click")
    with pytest.raises(BatchFailed, match="1 were refused, the first: creativeId was not found") as caught:
        run(service, [outcome(1), unknown, refused])
    assert caught.value.failures == (Failure(unknown, 404, "NOT_FOUND", "creativeId was not found"),)
    assert caught.value.unacknowledged == []
    assert service.recorded == ["k1", "k3"]


@RUNS
def test_who_asks_is_told_of_refused_outcomes_and_nothing_is_raised(run: Run) -> None:
    told: list[Failure] = []
    unknown = Outcome(customer_id="unknown", outcome="click")
    assert run(Service(), [outcome(1), unknown], on_failure=told.append)["failed"] == 1
    assert [failure.outcome for failure in told] == [unknown]


@RUNS
def test_a_batch_that_cannot_be_sent_says_what_was_not_acknowledged(run: Run) -> None:
    outcomes = [outcome(number) for number in range(5)]
    service = Service(httpx.Response(401, json={}))
    with pytest.raises(BatchFailed, match=r"5 outcomes were not acknowledged: 401") as caught:
        run(service, outcomes)
    assert caught.value.unacknowledged == outcomes
    assert isinstance(caught.value.__cause__, Unauthorized)
    assert run(service, list(caught.value.unacknowledged))["recorded"] == 5


@RUNS
def test_adding_to_a_batch_that_was_given_up_says_so_and_forgets_nothing(run: Run) -> None:
    outcomes = [outcome(number) for number in range(5_000)]
    service = Service(httpx.Response(401, json={}))
    with pytest.raises(BatchFailed) as caught:
        run(service, outcomes, size=10)
    unacknowledged = list(caught.value.unacknowledged)
    assert unacknowledged == outcomes[: len(unacknowledged)]
    assert 10 <= len(unacknowledged) <= 31


@RUNS
def test_memory_is_bounded_when_everything_is_refused(run: Run) -> None:
    service = Service()
    unknown = [Outcome(customer_id="unknown", outcome="click") for _ in range(10 * MAX_FAILURES)]
    with pytest.raises(BatchFailed, match="were refused") as caught:
        run(service, unknown, size=100)
    assert len(caught.value.failures) == MAX_FAILURES
    known = len(caught.value.failures) + len(caught.value.unacknowledged)
    assert {id(one) for one in caught.value.unacknowledged} <= {id(one) for one in unknown[:known]}


@RUNS
def test_an_error_of_the_callback_is_not_lost(run: Run) -> None:
    def broken(_: Failure) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(BatchFailed, match="mine") as caught:
        run(Service(), [Outcome(customer_id="unknown", outcome="click")], on_failure=broken)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@RUNS
def test_an_outcome_too_large_for_any_request_is_refused_at_once(run: Run) -> None:
    with pytest.raises(InvalidRequest, match=f"must have at most {MAX_BYTES} bytes"):
        run(Service(), [outcome(1, context={"text": "x" * MAX_BYTES})])


@pytest.mark.parametrize("size", [0, 1_001])
def test_a_size_that_the_service_does_not_take_is_refused(size: int) -> None:
    client = Client("http://x.test", "t", "k")
    with pytest.raises(InvalidRequest, match="size must be 1 to 1000"):
        client.batch(size=size)


def test_an_error_in_the_block_loses_nothing() -> None:
    service = Service()
    client = Client("http://x.test", "t", "k", transport=httpx.MockTransport(service))

    def fail() -> None:
        with client.batch() as batch:
            batch.respond(customer_id="c1", outcome="click", idempotency_key="k1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert service.recorded == ["k1"]


def test_what_waits_is_sent_when_it_is_old_enough_or_somebody_flushes() -> None:
    service = Service()
    sent = threading.Event()

    def noting(request: httpx.Request) -> httpx.Response:
        sent.set()
        return service(request)

    client = Client("http://x.test", "t", "k", transport=httpx.MockTransport(noting))
    with client.batch(max_age_s=0.01) as batch:
        batch.add(outcome(1))
        assert sent.wait(30)
        batch.flush()
        assert (batch.recorded, batch.unacknowledged) == (1, [])
    with client.batch(max_age_s=1e9) as batch:
        batch.add(outcome(2))
        batch.flush()
        assert batch.recorded == 1
        batch.add(outcome(3))
    assert service.recorded == ["k1", "k2", "k3"]


def test_the_same_in_an_event_loop() -> None:
    async def running() -> list[str]:
        service = Service()
        transport = httpx.MockTransport(service)
        async with AsyncClient("http://x.test", "t", "k", transport=transport) as client:
            async with client.batch(max_age_s=0.01) as batch:
                await batch.respond(customer_id="c1", outcome="click", idempotency_key="k1")
                async with asyncio.timeout(30):
                    while not batch.recorded:
                        await asyncio.sleep(0.005)
            async with client.batch(max_age_s=1e9) as batch:
                await batch.add(outcome(2))
                await batch.flush()
                assert batch.recorded == 1
                await batch.add(outcome(3))
        return service.recorded

    assert asyncio.run(running()) == ["k1", "k2", "k3"]


def test_threads_may_share_a_batch() -> None:
    service = Service()
    client = Client("http://x.test", "t", "k", transport=httpx.MockTransport(service))
    with client.batch(size=7) as batch:

        def add(start: int) -> None:
            for number in range(start, start + 200):
                batch.add(outcome(number))

        threads = [threading.Thread(target=add, args=(start,)) for start in range(0, 1_600, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(service.recorded) == sorted(f"k{number}" for number in range(1_600))


def test_a_cancelled_block_still_knows_what_is_open() -> None:
    async def running() -> list[Outcome]:
        async def never(_: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

        async with AsyncClient("http://x.test", "t", "k", transport=httpx.MockTransport(never)) as client:
            batch = client.batch(max_age_s=0)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05), batch:
                    await batch.add(outcome(1))
            return list(batch.unacknowledged)

    assert asyncio.run(running()) == [outcome(1)]
