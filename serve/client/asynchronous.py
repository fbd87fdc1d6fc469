"""The client for event loops: carries out exchanges without blocking."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from serve.client import calls
from serve.client.access import Access, Bearer
from serve.client.answers import Page
from serve.client.async_batch import AsyncBatch
from serve.client.batching import BATCH_DEADLINE_S, MAX_AGE_S, MAX_OUTCOMES, OnFailure
from serve.client.exchange import Broken, Call, Patience, Reply, Send, exchange
from serve.client.signatures import method_of
from serve.client.sync import DEADLINE_S, TIMEOUT_S, UNSENT

P = ParamSpec("P")
T = TypeVar("T")


def _asks(make: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """Return the method that carries out the calls that `make` makes."""

    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(make(*args, **kwargs))

    return method_of(make, method)


def _lists(make: Callable[P, Call[Page[T]]]) -> "Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]":
    """Return the method that walks through all pages."""

    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.pages(make(*args, **kwargs))

    return method_of(make, method)


class AsyncClient:
    """Talks to the service as one tenant; safe to share between tasks of one event loop.

    Calls that meet trouble are repeated where that cannot do anything twice, with growing waits or those that the
    service asks for, until the deadline. An outcome is always repeated under its one idempotency key.

    Args:
        url: Address of the service; None: REWARDLOOP_URL, else http://127.0.0.1:8000.
        tenant: None: REWARDLOOP_TENANT.
        key: API key; None: REWARDLOOP_KEY.
        timeout_s: Seconds that one attempt may wait for the service.
        deadline_s: Seconds after which a call is given up, all its attempts and waits together.
        transport: How requests travel, for other than plain connections.

    Raises:
        Misconfigured: address, tenant or key is missing or cannot be one.
    """

    def __init__(
        self,
        url: str | None = None,
        tenant: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._access = access = Access.given(url, tenant, key)
        self._patience = Patience(timeout_s, deadline_s)
        self._http = httpx.AsyncClient(
            base_url=access.base_url,
            headers=access.headers,
            auth=Bearer(access.key),
            trust_env=access.trusts_environment,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"AsyncClient(url={self._access.url!r}, tenant={self._access.tenant!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, call: Call[T], *, deadline_s: float | None = None) -> T:
        """Carry out a call of `serve.client.calls`.

        Raises:
            RewardloopError: it was refused, or there was nothing but trouble until the deadline.
        """
        patience = self._patience if deadline_s is None else Patience(self._patience.timeout_s, deadline_s)
        steps = exchange(call, patience, time.monotonic, random.random)
        step = next(steps)
        while True:
            got: Reply | Broken | None = None
            if isinstance(step, Send):
                got = await self._attempt(call, step.timeout_s)
            else:
                await asyncio.sleep(step.seconds)
            try:
                step = steps.send(got)
            except StopIteration as end:
                answer: T = end.value
                return answer

    async def _attempt(self, call: Call[T], timeout_s: float) -> Reply | Broken:
        try:
            response = await self._http.request(
                call.method,
                call.path,
                params=call.params,
                headers=call.headers,
                content=call.body,
                timeout=timeout_s,
            )
        except httpx.RequestError as error:
            return Broken(error, unsent=isinstance(error, UNSENT))
        return Reply(response.status_code, response.headers, response.content)

    async def pages(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield all rows of a list; pages are asked for as they are needed."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = await self.call(following)
            for row in page.data:
                yield row
            following = calls.after(following, page)

    def batch(
        self,
        *,
        on_failure: OnFailure | None = None,
        size: int = MAX_OUTCOMES,
        max_age_s: float = MAX_AGE_S,
        deadline_s: float = BATCH_DEADLINE_S,
    ) -> AsyncBatch:
        """Return a batch, which sends outcomes together; use it in an `async with` block.

        Args:
            on_failure: Is told of each outcome that the service refused; None: they are kept, and the block ends
                with `BatchFailed`.
            size: Outcomes of a request, 1..1000.
            max_age_s: Seconds that an outcome waits for others.
            deadline_s: Seconds of nothing but trouble after which the batch is given up.
        """
        return AsyncBatch(lambda call: self.call(call, deadline_s=deadline_s), on_failure, size, max_age_s)

    respond = _asks(calls.respond)
    respond_bulk = _asks(calls.respond_bulk)
    recommend = _asks(calls.recommend)
    register_recommendation = _asks(calls.register_recommendation)
    put_catalog = _asks(calls.put_catalog)
    outcome_types = _asks(calls.outcome_types)
    model = _asks(calls.model)
    model_state = _asks(calls.model_state)
    score = _asks(calls.score)
    promote = _asks(calls.promote)
    rollup = _asks(calls.rollup)
    metric_values = _asks(calls.metric_values)
    experiment_results = _asks(calls.experiment_results)
    settings = _asks(calls.settings)
    change_settings = _asks(calls.change_settings)
    models = _lists(calls.models)
    offers = _lists(calls.offers)
    creatives = _lists(calls.creatives)
    history = _lists(calls.history)
    summaries = _lists(calls.summaries)
    attributions = _lists(calls.attributions)
    suppressions = _lists(calls.suppressions)
    experiments = _lists(calls.experiments)
    metrics = _lists(calls.metrics)
