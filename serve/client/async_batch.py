"""A batch for event loops: a task of its own sends what others add."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self

from serve.client import calls
from serve.client.answers import BulkAnswer
from serve.client.batching import BatchFailed, Ledger, OnFailure
from serve.client.exchange import Call
from serve.client.outcomes import Outcome
from serve.client.signatures import with_arguments_of

P = ParamSpec("P")


def _adds(make: Callable[P, Outcome]) -> "Callable[Concatenate[AsyncBatch, P], Coroutine[Any, Any, None]]":
    async def respond(self: "AsyncBatch", /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Add an outcome; see `Outcome` for the arguments and `add` for the rest."""
        await self.add(make(*args, **kwargs))

    return with_arguments_of(make, respond)


class AsyncBatch:
    """Sends outcomes together; made by `AsyncClient.batch`, used in an `async with` block.

    The block ends when all is answered. It raises `BatchFailed` if anything was not recorded.
    """

    def __init__(
        self,
        send: Callable[[Call[BulkAnswer]], Awaitable[BulkAnswer]],
        on_failure: OnFailure | None,
        size: int,
        max_age_s: float,
    ) -> None:
        self._send = send
        self._on_failure = on_failure
        self._ledger = Ledger(size, max_age_s, keeps_failures=on_failure is None)
        self._changed = asyncio.Condition()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def recorded(self) -> int:
        """Outcomes recorded so far."""
        return self._ledger.recorded

    @property
    def duplicates(self) -> int:
        """Outcomes that had been recorded before."""
        return self._ledger.duplicates

    @property
    def failed(self) -> int:
        """Outcomes that the service refused."""
        return self._ledger.failed

    @property
    def unacknowledged(self) -> Sequence[Outcome]:
        """Outcomes that wait or are under way, oldest first."""
        return self._ledger.unacknowledged

    respond = _adds(Outcome)

    async def add(self, outcome: Outcome) -> None:
        """Add an outcome; waits while two requests' worth are waiting.

        Raises:
            InvalidRequest: it cannot be sent.
            BatchFailed: the batch was given up; what it could not send, this outcome too, is in the error.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._ledger.has_room or self._ledger.error is not None)
            self._ledger.check(outcome)
            self._ledger.add(outcome, time.monotonic())
            self._changed.notify_all()

    async def flush(self) -> None:
        """Send what waits, whatever its age, and return when it is answered.

        Raises:
            BatchFailed: the batch was given up.
        """
        async with self._changed:
            ledger = self._ledger
            target = ledger.answered + len(ledger.unacknowledged)
            ledger.hurried = True
            self._changed.notify_all()
            await self._changed.wait_for(lambda: ledger.answered >= target or ledger.error is not None)
            ledger.hurried = self._closing
            ledger.check()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work(), name="rewardloop-batch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._changed:
            self._closing = self._ledger.hurried = True
            self._changed.notify_all()
        if self._task is not None:
            await self._task
        if not isinstance(error, BatchFailed):
            self._ledger.check(final=True)

    async def _work(self) -> None:
        try:
            while encoded := await self._next():
                answer = await self._send(calls.bulk(encoded))
                async with self._changed:
                    refused = self._ledger.settle(answer)
                    self._changed.notify_all()
                if self._on_failure is not None:
                    for failure in refused:
                        self._on_failure(failure)
                if self._ledger.error is not None:
                    return
        except Exception as error:  # noqa: BLE001 - whatever ends the task is raised where the batch is used
            async with self._changed:
                self._ledger.error = error
                self._changed.notify_all()

    async def _next(self) -> Sequence[bytes]:
        """Wait until something is due and return it; nothing once the batch is closed and empty."""
        async with self._changed:
            while (due_in_s := self._ledger.due_in_s(time.monotonic())) != 0:
                if due_in_s is None and self._closing:
                    return ()
                with suppress(TimeoutError):
                    async with asyncio.timeout(due_in_s):
                        await self._changed.wait()
            return self._ledger.take()
