"""A call's way to its answer, without any I/O: when to send, how long to wait, when to give up, and why.

Who carries it out sends what `Send` asks for and waits as `Wait` says, in threads or in an event loop.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from serve.client.answers import ErrorAnswer
from serve.client.errors import (
    BY_STATUS,
    InvalidRequest,
    RateLimited,
    RewardloopError,
    Unavailable,
    UnexpectedAnswer,
)

T = TypeVar("T")

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0
"""Waits double from the first to the longest, which keeps a service that comes back from being stormed."""
REFUSED_UNDONE: Final = frozenset({429, 503})
"""Answers after which nothing was done, so that anything may be sent again."""
IN_TROUBLE: Final = frozenset({500, 502, 504})
"""What is said while a replica dies; whether it did its work is unknown."""

NO_ROUTE: Final = b"/-/routes"
"""What Ray Serve's ingress points to when it has nowhere to send a request."""

_error: Final = msgspec.json.Decoder(ErrorAnswer)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """There was no answer. `unsent`: the service cannot have got the request."""

    error: Exception
    unsent: bool


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how its answer is read. `repeatable`: sending it twice does no more than sending it once."""

    method: str
    path: str
    read: Callable[[Reply], T]
    repeatable: bool
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, and wait for nothing longer than `timeout_s`."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait before the next attempt."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take: one attempt, and all attempts together."""

    timeout_s: float
    deadline_s: float

    def backoff_s(self, attempt: int, jitter: float) -> float:
        """Return the wait after the failed attempt 0, 1, 2 …: its upper half is random, by `jitter` in 0..1."""
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 16))
        return ceiling * (0.5 + 0.5 * jitter)


Exchange: TypeAlias = Generator[Send | Wait, Reply | Broken | None, T]


def exchange(
    call: Call[T], patience: Patience, clock: Callable[[], float], jitter: Callable[[], float]
) -> Exchange[T]:
    """Carry a call to its answer.

    Args:
        call: What is asked; all attempts send the same bytes.
        patience: How long it may take.
        clock: Monotonic, in seconds.
        jitter: Evenly spread over 0..1.

    Raises:
        RewardloopError: it was refused, or there was nothing but trouble until the deadline.
    """
    until_s = clock() + patience.deadline_s
    for attempt in count():
        got = yield Send(min(patience.timeout_s, max(until_s - clock(), FIRST_WAIT_S)))
        if got is None:
            raise TypeError("an attempt has an answer, or is broken")
        if isinstance(got, Reply) and 200 <= got.status < 300:
            return call.read(got)
        error = error_of(got)
        wait_s = patience.backoff_s(attempt, jitter())
        if isinstance(error, RateLimited | Unavailable):
            wait_s = max(wait_s, error.retry_after_s or 0.0)
        if not may_repeat(call, got) or clock() + wait_s >= until_s:
            raise error from (got.error if isinstance(got, Broken) else None)
        yield Wait(wait_s)
    raise AssertionError("attempts are endless")


def may_repeat(call: Call[T], got: Reply | Broken) -> bool:
    """Whether a call may be sent again after this."""
    if isinstance(got, Broken):
        return got.unsent or call.repeatable
    undone = got.status in REFUSED_UNDONE or is_unrouted(got.status, got.content)
    return undone or (got.status in IN_TROUBLE and call.repeatable)


def is_unrouted(status: int, content: bytes) -> bool:
    """Whether the ingress itself says 404: its last replica died, the next is not there yet, nothing was done."""
    return status == 404 and NO_ROUTE in content


def error_of(got: Reply | Broken) -> RewardloopError:
    """Return what a failed attempt is told as."""
    if isinstance(got, Broken):
        return Unavailable(f"no answer: {got.error or type(got.error).__name__}")
    if got.status < 400:
        return UnexpectedAnswer("the service answers no such thing", status=got.status)
    if is_unrouted(got.status, got.content):
        return Unavailable("the ingress has no replica to send this to", status=got.status)
    kind = BY_STATUS.get(got.status, InvalidRequest if got.status < 500 else Unavailable)
    try:
        body = _error.decode(got.content).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        error = kind("there was no explanation", status=got.status, request_id=got.headers.get("x-request-id"))
    else:
        error = kind(
            body.message, status=got.status, code=body.code, details=body.details, request_id=body.request_id
        )
    if isinstance(error, RateLimited | Unavailable):
        error.retry_after_s = _retry_after_s(got)
    return error


def _retry_after_s(reply: Reply) -> float | None:
    told = reply.headers.get("retry-after", "")
    # A date is allowed too; such a service is waited for as if it had said nothing.
    return float(told) if told.isascii() and told.isdecimal() else None
