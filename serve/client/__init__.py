"""The Python client of the HTTP API: `Client` for threads, `AsyncClient` for event loops.

It needs httpx and msgspec, neither Ray nor Redis.
"""

from serve.client.answers import Decision, Event, ModelState, Offer, OfferState
from serve.client.async_batch import AsyncBatch
from serve.client.asynchronous import AsyncClient
from serve.client.batch import Batch
from serve.client.batching import BatchFailed, Failure
from serve.client.calls import Acknowledged, Recommended
from serve.client.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    KeyReused,
    Misconfigured,
    NotFound,
    RateLimited,
    RewardloopError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from serve.client.outcomes import Outcome, Shown
from serve.client.sync import Client

__all__ = [
    "Acknowledged",
    "AsyncBatch",
    "AsyncClient",
    "Batch",
    "BatchFailed",
    "Client",
    "Conflict",
    "Decision",
    "Event",
    "Failure",
    "Forbidden",
    "InvalidRequest",
    "KeyReused",
    "Misconfigured",
    "ModelState",
    "NotFound",
    "Offer",
    "OfferState",
    "Outcome",
    "RateLimited",
    "Recommended",
    "RewardloopError",
    "Shown",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
