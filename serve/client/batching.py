"""What a batch holds and when it is due, without any I/O. Thread and task around it lie elsewhere.

Memory is bounded: at most two requests' worth wait while a third is under way, and refused outcomes are kept only
up to `MAX_FAILURES`. The order is kept: one request is under way at a time.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import msgspec

from serve.client.answers import BulkAnswer
from serve.client.errors import InvalidRequest, RewardloopError
from serve.client.outcomes import Outcome

MAX_OUTCOMES: Final = 1_000
MAX_BYTES: Final = 8 * 1024 * 1024 - 64
"""The bulk route takes 8 MiB; the rest is for the envelope."""
MAX_AGE_S: Final = 1.0
"""An outcome is learned from a second later at most, and a busy caller still sends hundreds at a time."""
BATCH_DEADLINE_S: Final = 120.0
"""Two windows of the rate limit: a batch waits where a person would not."""
MAX_FAILURES: Final = 1_000
"""As many as one request may hold; a batch that is refused this often has something wrong with all it sends."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An outcome that the service refused, and why."""

    outcome: Outcome
    status: int
    code: str
    message: str


OnFailure: TypeAlias = Callable[[Failure], None]


class BatchFailed(RewardloopError):
    """Not every outcome of a batch was recorded.

    Attributes:
        unacknowledged: Outcomes that the service has not acknowledged, oldest first; `__cause__` says why. Sent
            again they are recorded once, for they keep their idempotency keys.
        failures: Outcomes that the service refused; sent again they would be refused again.
    """

    def __init__(self, message: str, unacknowledged: Sequence[Outcome], failures: Sequence[Failure]) -> None:
        super().__init__(message)
        self.unacknowledged = unacknowledged
        self.failures = failures


class Waiting(NamedTuple):
    """An outcome as it will be sent, and when it was added."""

    outcome: Outcome
    body: bytes
    since_s: float


class Ledger:
    """The outcomes of a batch: those that wait, those under way, and what became of the others."""

    def __init__(self, size: int, max_age_s: float, *, keeps_failures: bool) -> None:
        if not 1 <= size <= MAX_OUTCOMES:
            raise InvalidRequest(f"size must be 1 to {MAX_OUTCOMES}")
        self.recorded = 0
        self.duplicates = 0
        self.failed = 0
        self.error: Exception | None = None
        self.hurried = False
        """What waits is due whatever its age."""
        self._size = size
        self._max_age_s = max_age_s
        self._keeps_failures = keeps_failures
        self._failures: list[Failure] = []
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._under_way: Sequence[Waiting] = ()

    @property
    def has_room(self) -> bool:
        """Whether one more may wait."""
        return len(self._waiting) < 2 * self._size and self._bytes < 2 * MAX_BYTES

    @property
    def answered(self) -> int:
        """Outcomes that the service has answered, in whatever way."""
        return self.recorded + self.duplicates + self.failed

    @property
    def unacknowledged(self) -> list[Outcome]:
        """What the service has not acknowledged, oldest first."""
        return [one.outcome for one in (*self._under_way, *self._waiting)]

    def add(self, outcome: Outcome, now_s: float) -> None:
        """Take an outcome in.

        Raises:
            InvalidRequest: it is larger than a request may be.
        """
        body = msgspec.json.encode(outcome)
        if len(body) >= MAX_BYTES:
            raise InvalidRequest(f"an outcome must have at most {MAX_BYTES} bytes, it has {len(body)}")
        self._waiting.append(Waiting(outcome, body, now_s))
        self._bytes += len(body) + 1

    def due_in_s(self, now_s: float) -> float | None:
        """Return how long until something is to be sent: 0 for now, None if there is nothing."""
        if not self._waiting:
            return None
        if self.hurried or len(self._waiting) >= self._size or self._bytes >= MAX_BYTES:
            return 0.0
        return max(0.0, self._waiting[0].since_s + self._max_age_s - now_s)

    def take(self) -> Sequence[bytes]:
        """Return the outcomes of the next request, which is under way from now on."""
        taken: list[Waiting] = []
        room = MAX_BYTES
        while self._waiting and len(taken) < self._size and len(self._waiting[0].body) < room:
            taken.append(self._waiting.popleft())
            room -= len(taken[-1].body) + 1
        self._bytes -= MAX_BYTES - room
        self._under_way = taken
        return [one.body for one in taken]

    def settle(self, answer: BulkAnswer) -> list[Failure]:
        """Take in the answer to what was under way; return what was refused."""
        refused = []
        for one, result in zip(self._under_way, answer.results, strict=True):
            if result.status == 201:
                self.recorded += 1
            elif result.status == 200:
                self.duplicates += 1
            else:
                code, message = (
                    (result.error.code, result.error.message) if result.error else ("", "no reason given")
                )
                refused.append(Failure(one.outcome, result.status, code, message))
        self._under_way = ()
        self.failed += len(refused)
        if self._keeps_failures:
            self._failures += refused
            if len(self._failures) >= MAX_FAILURES:
                self.error = InvalidRequest(f"{len(self._failures)} outcomes were refused")
        return refused

    def check(self, late: Outcome | None = None, *, final: bool = False) -> None:
        """Hold the batch against what went wrong.

        Args:
            late: An outcome that comes when the batch has been given up.
            final: Refused outcomes count, too.

        Raises:
            BatchFailed: something did.
        """
        if self.error is None and not (final and self._failures):
            return
        unacknowledged = [*self.unacknowledged, *([] if late is None else [late])]
        parts = []
        if unacknowledged:
            parts.append(f"{len(unacknowledged)} outcomes were not acknowledged: {self.error}")
        if self._failures:
            parts.append(f"{len(self._failures)} were refused, the first: {self._failures[0].message}")
        raise BatchFailed(
            "; ".join(parts) or str(self.error), unacknowledged, tuple(self._failures)
        ) from self.error
