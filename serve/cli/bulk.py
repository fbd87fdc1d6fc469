"""The client of `POST /api/v1/respond/bulk`: sends until it is answered, always under the same keys."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec

from serve.cli.errors import CommandError
from serve.cli.items import Batch, Result
from serve.client.exchange import is_unrouted

PATH: Final = "/api/v1/respond/bulk"

RETRIED: Final = frozenset({429, 500, 502, 503, 504})
"""Answers that may be others a moment later; 500 and 502 are what an ingress says while a replica dies."""

DEADLINE_S: Final = 60.0
"""Time a batch may meet nothing but trouble: longer than a restart of the service, short for a person."""

THROTTLED_S: Final = 600.0
"""Time a batch may be told to wait for the rate limit: ten of its windows."""

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0
"""Waits double from the first to the longest, which keeps a service that comes back from being stormed."""

TIMEOUT_S: Final = 30.0
"""Time for one answer; a batch of 1,000 takes well under one second on a healthy service."""


class _Answer(msgspec.Struct):
    results: list[Result]


_answer_decoder = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Patience:
    """How waiting is done; a test brings its own clock."""

    sleep: Callable[[float], Awaitable[None]]
    clock: Callable[[], float]
    """Monotonic, in seconds."""
    jitter: Callable[[], float]
    """Evenly spread over 0..1."""

    def backoff_s(self, attempt: int) -> float:
        """Return the wait after the failed attempt 0, 1, 2 …: its upper half is random."""
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 16))
        return ceiling * (0.5 + 0.5 * self.jitter())


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why an attempt is to be repeated, and the wait that the service asked for."""

    reason: str
    throttled: bool = False
    told_s: float | None = None


class BulkClient:
    """Sends batches over the connections of one HTTP client, which knows address, tenant and key."""

    def __init__(self, http: httpx.AsyncClient, patience: Patience, warn: Callable[[str], None]) -> None:
        self._http = http
        self._patience = patience
        self._warn = warn
        self._warned = False

    async def send(self, batch: Batch) -> Sequence[Result]:
        """Return the answer to each item of the batch, in order; an empty batch is not sent.

        Raises:
            CommandError: The service refused the batch, or gave no answer in time.
        """
        if not batch.items:
            return []
        body = batch.body()
        started_s = self._patience.clock()
        throttled_s = 0.0
        attempt = 0
        while isinstance(answer := await self._post(body, len(batch.items)), _Trouble):
            wait_s = self._patience.backoff_s(attempt) if answer.told_s is None else answer.told_s
            if answer.throttled:
                throttled_s += wait_s
            troubled_s = self._patience.clock() - started_s + wait_s - throttled_s
            if troubled_s > DEADLINE_S or throttled_s > THROTTLED_S:
                lines = f"lines {batch.items[0].line} to {batch.items[-1].line}"
                raise CommandError(f"gave up on {lines}: {answer.reason}; --resume continues from there")
            self._tell(answer)
            await self._patience.sleep(wait_s)
            attempt += 1
        return answer

    async def _post(self, body: bytes, count: int) -> Sequence[Result] | _Trouble:
        try:
            response = await self._http.post(PATH, content=body, headers={"Content-Type": "application/json"})
        except httpx.RequestError as error:
            return _Trouble(f"no answer from {self._http.base_url} ({error or type(error).__name__})")
        if response.status_code == 207:
            return _results(response, count)
        reason = f"{response.status_code} {_message(response)}"
        if response.status_code not in RETRIED and not is_unrouted(response.status_code, response.content):
            raise CommandError(f"the service refused: {reason}")
        return _Trouble(reason, response.status_code == 429, _retry_after_s(response))

    def _tell(self, trouble: _Trouble) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"{trouble.reason}; trying again")


def _results(response: httpx.Response, count: int) -> Sequence[Result]:
    try:
        results = sorted(_answer_decoder.decode(response.content).results, key=lambda result: result.index)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CommandError(f"the service answered something else than a bulk result: {error}") from error
    if [result.index for result in results] != list(range(count)):
        raise CommandError(f"the service answered {len(results)} of {count} items")
    return results


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return response.reason_phrase


def _retry_after_s(response: httpx.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    # A date is allowed too; such a service is waited for as if it had said nothing.
    return float(told) if told.isdecimal() else None
