"""All models of the tenants of one partition, as one fold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from learners.errors import ConfigError
from learners.model import ArmState, Model, Rewards
from learners.models import make_model
from storage.entry import Entry, ModelChange, Outcome

DEFAULT_WEIGHTS: Final = {"positive": 1.0, "negative": -1.0}
LEARNING: Final = frozenset({"shadow", "challenger", "champion"})


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model as the log has made it; times are ms since 1970, `position` is the last entry that moved it."""

    id: str
    key: str
    model_type: str
    status: str
    config: dict[str, Any]
    outcome_weights: dict[str, float]
    training_samples: int
    last_trained_at: int | None
    position: int
    summary: dict[str, float]
    error: str | None


@dataclass(slots=True)
class _Live:
    """A model and what the log says of it. `model` is None where this code cannot run it; `error` says why."""

    change: ModelChange
    model: Model | None
    error: str | None
    samples: int = 0
    last_trained_ms: int | None = None
    position: int = 0


class BanditFold:
    """Every model of every tenant: made and changed by `model` entries, taught by `outcome` entries."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, _Live]] = {}

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take the next entries."""
        waiting: dict[str, list[Entry]] = {}
        for entry in entries:
            match entry.body:
                case ModelChange(tenant=tenant):
                    self._learn(tenant, waiting.pop(tenant, []))
                    self._change(entry.position, entry.body)
                case Outcome(tenant=tenant, classification=classification) if classification in DEFAULT_WEIGHTS:
                    waiting.setdefault(tenant, []).append(entry)
        for tenant, outcomes in waiting.items():
            self._learn(tenant, outcomes)

    def models(self, tenant: str) -> list[ModelView]:
        """Return the tenant's models, in the order they were made."""
        return [_view(live) for live in self._tenants.get(tenant, {}).values()]

    def model(self, tenant: str, model_id: str) -> ModelView | None:
        """Return a model, None if the tenant has none of this id."""
        live = self._tenants.get(tenant, {}).get(model_id)
        return None if live is None else _view(live)

    def arms(self, tenant: str, model_id: str, offer_id: str | None = None) -> list[ArmState]:
        """Return what a model believes of each offer it has met, or of one; nothing without such a model."""
        live = self._tenants.get(tenant, {}).get(model_id)
        return [] if live is None or live.model is None else live.model.arms(offer_id)

    def state(self) -> Any:
        """Return all models with their states."""
        return {tenant: [_state(live) for live in models.values()] for tenant, models in self._tenants.items()}

    def restore(self, state: Any) -> None:
        """Become what `state` was taken from."""
        self._tenants = {
            tenant: {live.change.model_id: live for live in map(_restored, models)}
            for tenant, models in state.items()
        }

    def _change(self, position: int, change: ModelChange) -> None:
        models = self._tenants.setdefault(change.tenant, {})
        live = models.get(change.model_id)
        if live is None or (live.change.model_type, live.change.config) != (change.model_type, change.config):
            models[change.model_id] = live = _Live(change, *_made(change))
        live.change = change
        live.position = position

    def _learn(self, tenant: str, outcomes: Sequence[Entry]) -> None:
        learners = [one for one in self._tenants.get(tenant, {}).values() if one.change.status in LEARNING]
        if not outcomes or not learners:
            return
        batch = _rewards(outcomes, {})
        for live in learners:
            if live.model is None:
                continue
            weights = live.change.outcome_weights
            live.model.update(batch if not weights else _rewards(outcomes, weights))
            live.samples += len(outcomes)
            live.last_trained_ms = outcomes[-1].time_ms
            live.position = outcomes[-1].position


def _rewards(outcomes: Sequence[Entry], weights: Mapping[str, float]) -> Rewards:
    bodies = [entry.body for entry in outcomes if isinstance(entry.body, Outcome)]
    resolutions = [entry.resolution for entry in outcomes]
    return Rewards(
        offers=[one.offer_id for one in resolutions if one is not None],
        categories=[one.category_id for one in resolutions if one is not None],
        weights=np.array([weights.get(b.outcome, DEFAULT_WEIGHTS[b.classification]) for b in bodies], np.float64),
        values=np.array([np.nan if b.value is None else b.value for b in bodies], np.float64),
        times_ms=np.array([entry.time_ms for entry in outcomes], np.int64),
        features=[entry.learning_features for entry in outcomes],
    )


def _made(change: ModelChange) -> tuple[Model | None, str | None]:
    """Return the model; a configuration that this code does not know, written by newer code say, is no disaster."""
    try:
        return make_model(change.model_type, json.loads(change.config)), None
    except ConfigError as error:
        return None, str(error)


def _view(live: _Live) -> ModelView:
    change = live.change
    return ModelView(
        id=change.model_id,
        key=change.key,
        model_type=change.model_type,
        status=change.status,
        config=json.loads(change.config),
        outcome_weights=dict(change.outcome_weights),
        training_samples=live.samples,
        last_trained_at=live.last_trained_ms,
        position=live.position,
        summary={} if live.model is None else live.model.summary(),
        error=live.error,
    )


def _state(live: _Live) -> list[Any]:
    learned = None if live.model is None else live.model.state()
    return [msgspec.to_builtins(live.change), live.samples, live.last_trained_ms, live.position, learned]


def _restored(state: Sequence[Any]) -> _Live:
    change = msgspec.convert(state[0], ModelChange)
    model, error = _made(change)
    if model is not None and state[4] is not None:
        model.restore(state[4])
    return _Live(change, model, error, *state[1:4])
