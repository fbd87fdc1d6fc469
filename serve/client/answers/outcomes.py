"""Acknowledgements of outcomes, and the one shape of errors."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from serve.client.answers.base import Answer, Count, Time

Classification: TypeAlias = Literal["positive", "negative", "neutral"]


class Acknowledgement(Answer, frozen=True):
    """An outcome as it was first recorded under its idempotency key."""

    interaction_id: str
    recommendation_id: str | None
    customer_id: str
    outcome: str
    classification: Classification
    rank: int | None
    offer_name: str
    creative_name: str
    channel_name: str
    category_name: str | None
    status: Literal["recorded", "already_recorded"]
    timestamp: Time


class BulkError(Answer, frozen=True):
    """Why an outcome of a bulk request was not taken."""

    code: str
    message: str


class BulkResult(Answer, frozen=True, omit_defaults=True):
    """What became of one outcome of a bulk request."""

    index: Count
    status: Annotated[int, Meta(description="201 recorded, 200 recorded before; else it was not taken.")]
    interaction_id: str | None = None
    error: BulkError | None = None


class BulkAnswer(Answer, frozen=True):
    """What became of a bulk request, outcome by outcome."""

    processed: Count
    recorded: Count
    duplicates: Count
    failed: Count
    results: list[BulkResult]


class FieldError(Answer, frozen=True):
    """A field and the rule it breaks."""

    field: str
    message: str


class ErrorBody(Answer, frozen=True, omit_defaults=True):
    """What went wrong."""

    code: str
    message: str
    status: int
    request_id: str
    details: list[FieldError] = []


class ErrorAnswer(Answer, frozen=True):
    """The one shape of errors."""

    error: ErrorBody
