"""What the checker looks at: the clients' own histories, the log, and what was found out of order.

All times are seconds of one monotonic clock, that of the process in which all clients run.
"""

from dataclasses import dataclass
from typing import Final

ACKNOWLEDGED: Final = (200, 201)
REFUSED: Final = (400, 404, 409, 422)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as its client saw it.

    `status` is None where there was no answer, or one that does not say what happened (a 5xx, a 429, the ingress's
    own pages): the request may have been carried out, and may still be. `number` marks the operation: the log
    keeps it as the feature `op`. `value` is what a write wrote.
    """

    client: int
    kind: str
    key: str
    number: int
    customer: str
    sent_at: float
    answered_at: float
    status: int | None
    creative: str = ""
    outcome: str = ""
    interaction_id: str = ""
    position: int = 0
    value: int = 0

    @property
    def acknowledged(self) -> bool:
        return self.status in ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log. Those that are neither outcome nor decision have number 0."""

    position: int
    number: int = 0
    kind: str = ""
    customer: str = ""
    creative: str = ""
    offer: str = ""
    outcome: str = ""
    classification: str = ""
    delivery: bool = False
    value: float = 0.0
    interaction_id: str = ""
    touches: int | None = None
    """Of a conversion."""
    date: str = ""
    """Of the event, YYYY-MM-DD."""
    time_ms: int = 0
    """Of the event."""


@dataclass(frozen=True, slots=True)
class Away:
    """A time in which a part of the service certainly did not work."""

    part: str
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was injected, and when the service was ready again (None: it was not)."""

    name: str
    began_at: float
    healed_at: float
    ready_at: float | None


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: its kind, whose operations show it, and how."""

    kind: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class History:
    """All that clients saw and the log holds."""

    attempts: tuple[Attempt, ...]
    log: tuple[Logged, ...]
