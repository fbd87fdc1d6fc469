"""What a call of the client may raise: one tree under `RewardloopError`. No error holds the API key."""

from collections.abc import Sequence

from serve.client.answers.outcomes import FieldError


class RewardloopError(Exception):
    """A call did not succeed.

    Attributes:
        message: What went wrong, in a sentence that names the field and the rule where there are such.
        status: The answer's HTTP status; None without an answer.
        code: The answer's code, such as `NOT_FOUND`.
        details: Each field with the rule it breaks.
        request_id: Finds the request in the service's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        details: Sequence[FieldError] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = details
        self.request_id = request_id

    def __str__(self) -> str:
        """Return the message with all that helps to find the cause."""
        head = "" if self.status is None else f"{self.status} {self.code or ''}".rstrip() + ": "
        tail = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{head}{self.message}{tail}"


class Misconfigured(RewardloopError):
    """The client was not told address, tenant or key, or was told something that cannot be one."""


class InvalidRequest(RewardloopError):
    """The request breaks a rule: 400, 413 and the like. Repeating it is no use."""


class Unauthorized(RewardloopError):
    """401: the key is not one of the tenant's, or was revoked, or has expired."""


class Forbidden(RewardloopError):
    """403: the key lacks the scope."""


class NotFound(RewardloopError):
    """404: there is no such creative, recommendation, model … of the tenant."""


class Conflict(RewardloopError):
    """409: it exists already, with other content."""


class KeyReused(RewardloopError):
    """422: the idempotency key was used for another outcome, and the tenant has such rejected."""


class UnexpectedAnswer(RewardloopError):
    """Something answered that does not speak as the service does: a proxy's page, say."""


class _Passing(RewardloopError):
    """It may be otherwise a moment later.

    Attributes:
        retry_after_s: The wait that the service asked for; None where it did not.
    """

    retry_after_s: float | None = None


class RateLimited(_Passing):
    """429, and the wait asked for is longer than the call's deadline. Nothing was recorded."""


class Unavailable(_Passing):
    """No answer, or one of a service in trouble (500, 502, 503, 504), until the call's deadline."""


BY_STATUS: dict[int, type[RewardloopError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: KeyReused,
    429: RateLimited,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""The rest from 400 on is `InvalidRequest` below 500, `Unavailable` above."""
