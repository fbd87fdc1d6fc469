"""Entries and rewards that tests of learning are made of."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from learners.model import Rewards
from storage.entry import Classification, Entry, ModelChange, ModelStatus, Outcome, Resolution, Scalar


def rewards(
    *rows: tuple[str, float], category: str | None = None, times_ms: Sequence[int] | None = None
) -> Rewards:
    """Return a batch of (offer, weight)."""
    times = np.array(times_ms if times_ms is not None else range(1, len(rows) + 1), np.int64)
    weights = np.array([weight for _, weight in rows], np.float64)
    return Rewards(
        [offer for offer, _ in rows],
        [category] * len(rows),
        weights,
        np.full(len(rows), np.nan),
        times,
        [{}] * len(rows),
    )


def outcome_entry(
    position: int,
    offer: str,
    classification: Classification,
    outcome: str = "click",
    tenant: str = "t",
    features: dict[str, Scalar] | None = None,
) -> Entry:
    body = Outcome(
        tenant, f"int_{position}", "c", outcome, classification, "inbound", delivery=False, features=features or {}
    )
    return Entry(position, 1000 * position, body, Resolution(offer, "cr", "ch", None, "cat", "", "", "", None))


def model_entry(
    position: int,
    model_id: str = "m",
    model_type: str = "thompson_bandit",
    status: ModelStatus = "champion",
    config: dict[str, Any] | None = None,
    weights: dict[str, float] | None = None,
    tenant: str = "t",
    *,
    reset: bool = False,
    warm: bool = False,
) -> Entry:
    text = json.dumps(config or {})
    change = ModelChange(tenant, model_id, "key", model_type, status, text, weights or {}, reset, warm)
    return Entry(position, 1000 * position, change)
