"""A batch for threads: one of its own sends what others add."""

import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

from serve.client import calls
from serve.client.answers import BulkAnswer
from serve.client.batching import BatchFailed, Ledger, OnFailure
from serve.client.exchange import Call
from serve.client.outcomes import Outcome
from serve.client.signatures import with_arguments_of

P = ParamSpec("P")


def _adds(make: Callable[P, Outcome]) -> "Callable[Concatenate[Batch, P], None]":
    def respond(self: "Batch", /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Add an outcome; see `Outcome` for the arguments and `add` for the rest."""
        self.add(make(*args, **kwargs))

    return with_arguments_of(make, respond)


class Batch:
    """Sends outcomes together; made by `Client.batch`, used in a `with` block, shared between threads at will.

    The block ends when all is answered. It raises `BatchFailed` if anything was not recorded.
    """

    def __init__(
        self,
        send: Callable[[Call[BulkAnswer]], BulkAnswer],
        on_failure: OnFailure | None,
        size: int,
        max_age_s: float,
    ) -> None:
        self._send = send
        self._on_failure = on_failure
        self._ledger = Ledger(size, max_age_s, keeps_failures=on_failure is None)
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._work, name="rewardloop-batch", daemon=True)

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
        with self._changed:
            return self._ledger.unacknowledged

    respond = _adds(Outcome)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome; waits while two requests' worth are waiting.

        Raises:
            InvalidRequest: it cannot be sent.
            BatchFailed: the batch was given up; what it could not send, this outcome too, is in the error.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ledger.has_room or self._ledger.error is not None)
            self._ledger.check(outcome)
            self._ledger.add(outcome, time.monotonic())
            self._changed.notify_all()

    def flush(self) -> None:
        """Send what waits, whatever its age, and return when it is answered.

        Raises:
            BatchFailed: the batch was given up.
        """
        with self._changed:
            ledger = self._ledger
            target = ledger.answered + len(ledger.unacknowledged)
            ledger.hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: ledger.answered >= target or ledger.error is not None)
            ledger.hurried = self._closing
            ledger.check()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = self._ledger.hurried = True
            self._changed.notify_all()
        self._thread.join()
        if not isinstance(error, BatchFailed):
            self._ledger.check(final=True)

    def _work(self) -> None:
        try:
            while encoded := self._next():
                answer = self._send(calls.bulk(encoded))
                with self._changed:
                    refused = self._ledger.settle(answer)
                    self._changed.notify_all()
                if self._on_failure is not None:
                    for failure in refused:
                        self._on_failure(failure)
                if self._ledger.error is not None:
                    return
        except Exception as error:  # noqa: BLE001 - whatever ends a thread is raised where the batch is used
            with self._changed:
                self._ledger.error = error
                self._changed.notify_all()

    def _next(self) -> Sequence[bytes]:
        """Wait until something is due and return it; nothing once the batch is closed and empty."""
        with self._changed:
            while (due_in_s := self._ledger.due_in_s(time.monotonic())) != 0:
                if due_in_s is None and self._closing:
                    return ()
                self._changed.wait(due_in_s)
            return self._ledger.take()
