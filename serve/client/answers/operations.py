"""How the service itself is."""

from typing import Annotated, Literal

from msgspec import Meta

from serve.client.answers.base import Answer, Count


class Alive(Answer, frozen=True):
    """The process runs."""

    status: Literal["alive"]


class Learner(Answer, frozen=True):
    """Where a learner stands."""

    name: str
    partitions: Count
    behind: Count
    lag_ms: Count
    position: Annotated[Count, Meta(description="Sum of the log positions that it has learned.")]
    archive_error: str | None


class Readiness(Answer, frozen=True):
    """Whether outcomes can be recorded and are learned from at once."""

    status: Literal["ready", "unready"]
    reasons: list[str]
    learners: list[Learner]
