"""All models of the tenants of one partition, as one fold."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np

from learners.answers import CHAMPION, ModelOf
from learners.errors import ConfigError, HistoryNeeded
from learners.features import compact
from learners.model import NO_FEATURES, ArmState, Model, Rewards
from learners.models import make_config, make_model
from learners.outcome_columns import rewards_in
from learners.snapshot import Snapshot
from learners.training import Training
from storage.entry import Entry, ModelChange, OfferRemoved, Outcome
from storage.outcomes import Outcomes

REWARDING: Final = frozenset({"positive", "negative"})
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
    metrics: dict[str, Any]
    error: str | None


@dataclass(slots=True)
class _Live:
    """A model and what the log says of it. `training` is None where this code cannot run it; `error` says why."""

    change: ModelChange
    training: Training | None
    error: str | None
    samples: int = 0
    last_trained_ms: int | None = None
    position: int = 0

    def learn(self, outcomes: Sequence[Entry], batch: Rewards | None = None) -> None:
        """Learn from outcomes; `batch` is what they are worth under the default weights."""
        if self.training is None or not outcomes:
            return
        weights = self.change.outcome_weights
        if weights or batch is None:
            batch = rewards_of(outcomes, weights, features=self.training.contextual)
        self.training.learn(batch)
        self.samples += len(outcomes)
        self.last_trained_ms = outcomes[-1].time_ms
        self.position = outcomes[-1].position

    def learn_columns(self, outcomes: Outcomes) -> None:
        """Learn from outcomes as columns."""
        if self.training is None or not len(outcomes):
            return
        batch = rewards_in(outcomes, self.change.outcome_weights)
        self.training.learn(batch)
        self.samples += len(outcomes)
        self.last_trained_ms = int(batch.times_ms[-1])
        self.position = int(outcomes.positions[-1])


class WarmStart:
    """A model made in the middle of a log that first learns from all before it: apply the log to it, from 1 on."""

    def __init__(self, entry: Entry) -> None:
        if not isinstance(entry.body, ModelChange):
            raise TypeError(f"entry {entry.position} changes no model")
        self._entry = entry
        self._tenant = entry.body.tenant
        self.live = _Live(entry.body, *_made(entry.body))

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take the next entries; those from the model's own on are passed over."""
        position, tenant = self._entry.position, self._tenant
        before = [entry for entry in entries if entry.position < position and entry.body.tenant == tenant]
        for outcomes, last in _runs(before):
            self.live.learn(outcomes)
            if last is not None and isinstance(last.body, OfferRemoved) and self.live.training is not None:
                self.live.training.remove(last.body.offer_id)

    def apply_columns(self, outcomes: Outcomes) -> None:
        """Take the next outcomes, which end before the model's own entry, as columns."""
        if outcomes.tenant == self._tenant:
            self.live.learn_columns(outcomes)


class BanditFold:
    """Every model of every tenant: made and changed by `model` entries, taught by `outcome` entries."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, _Live]] = {}
        self._warm: dict[int, _Live] = {}

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take the next entries.

        Raises:
            HistoryNeeded: one makes a model that starts from the log, and no `WarmStart` was handed over.
        """
        for entry in self.warm_starts(entries):
            if entry.position not in self._warm:
                raise HistoryNeeded(f"position {entry.position} makes a model that starts from the log")
        by_tenant: dict[str, list[Entry]] = {}
        for entry in entries:
            by_tenant.setdefault(entry.body.tenant, []).append(entry)
        for tenant, own in by_tenant.items():
            for outcomes, last in _runs(own):
                self._learn(tenant, outcomes)
                if last is not None:
                    self._change(last)

    def apply_columns(self, outcomes: Outcomes) -> None:
        """Take the next outcomes as columns: the same as to apply their entries, bit for bit."""
        for live in self._tenants.get(outcomes.tenant, {}).values():
            if live.change.status in LEARNING:
                live.learn_columns(outcomes)

    def warm_starts(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries that make a model which starts from the log; each wants `warm` before `apply`."""
        return [entry for entry in entries if isinstance(entry.body, ModelChange) and entry.body.warm]

    def warm(self, entry: Entry, start: WarmStart) -> None:
        """Hand over what a model has learned from the log before its entry."""
        self._warm[entry.position] = start.live

    @property
    def tenants(self) -> list[str]:
        """The tenants that have, or had, a model."""
        return list(self._tenants)

    def trained(self) -> dict[ModelOf, int]:
        """Return when each model last learned, ms since 1970; 0 if it never did."""
        return {
            (tenant, model_id): live.last_trained_ms or 0
            for tenant, models in self._tenants.items()
            for model_id, live in models.items()
        }

    def models(self, tenant: str) -> list[ModelView]:
        """Return the tenant's models, in the order they were made."""
        return [_view(live) for live in self._tenants.get(tenant, {}).values()]

    def model(self, tenant: str, model_id: str) -> ModelView | None:
        """Return a model, None if the tenant has none of this id."""
        live = self._tenants.get(tenant, {}).get(model_id)
        return None if live is None else _view(live)

    def reading(self, tenant: str, model_id: str) -> Model | None:
        """Return a model with all it has learned, for reading only; None if it is unknown or cannot run."""
        live = self._tenants.get(tenant, {}).get(model_id)
        return None if live is None or live.training is None else live.training.model

    def arms(self, tenant: str, model_id: str, offer_id: str | None = None) -> list[ArmState]:
        """Return what a model believes of each offer it has met, or of one; nothing without such a model."""
        model = self.reading(tenant, model_id)
        return [] if model is None else model.arms(offer_id)

    def digest(self, tenant: str, model_id: str) -> str:
        """Return the SHA-256 of a model's whole state, in hex.

        Raises:
            KeyError: the tenant has no such model.
        """
        return sha256(msgspec.msgpack.encode(_state(self._tenants[tenant][model_id]))).hexdigest()

    def moved_at(self, tenant: str, model_id: str = CHAMPION) -> int | None:
        """Return the last entry that moved a model, or the champion; None if there is none that can run."""
        live = self._running(tenant, model_id)
        return None if live is None else live.position

    def snapshot(self, tenant: str, model_id: str = CHAMPION) -> Snapshot | None:
        """Return a model, or the champion, as replicas need it; None if there is none that can run."""
        live = self._running(tenant, model_id)
        if live is None or live.training is None:
            return None
        change = live.change
        return Snapshot(
            change.model_id, change.key, change.model_type, change.config, live.samples, live.training.model.state()
        )

    def state(self) -> Any:
        """Return all models with their states."""
        return {
            tenant: [_state(live) for live in models.values()] for tenant, models in sorted(self._tenants.items())
        }

    def restore(self, state: Any) -> None:
        """Become what `state` was taken from."""
        self._tenants = {
            tenant: {live.change.model_id: live for live in map(_restored, models)}
            for tenant, models in state.items()
        }

    def _running(self, tenant: str, model_id: str) -> _Live | None:
        lives = [one for one in self._tenants.get(tenant, {}).values() if one.training is not None]
        if model_id == CHAMPION:
            return next((one for one in lives if one.change.status == "champion"), None)
        return next((one for one in lives if one.change.model_id == model_id), None)

    def _change(self, entry: Entry) -> None:
        models = self._tenants.setdefault(entry.body.tenant, {})
        match entry.body:
            case OfferRemoved(offer_id=offer):
                for live in models.values():
                    if live.training is not None:
                        live.training.remove(offer)
                        live.position = entry.position
            case ModelChange() as change:
                warm = self._warm.pop(entry.position) if change.warm else None
                live = warm or _changed(models.get(change.model_id), change)
                live.position = entry.position
                models[change.model_id] = live

    def _learn(self, tenant: str, outcomes: Sequence[Entry]) -> None:
        learners = [one for one in self._tenants.get(tenant, {}).values() if one.change.status in LEARNING]
        if not outcomes or not learners:
            return
        contextual = any(one.training is not None and one.training.contextual for one in learners)
        batch = rewards_of(outcomes, {}, features=contextual)
        for live in learners:
            live.learn(outcomes, batch)


def _runs(entries: Sequence[Entry]) -> Iterator[tuple[list[Entry], Entry | None]]:
    """Yield one tenant's rewarding outcomes up to each change of its models, with that change; at the end None."""
    outcomes: list[Entry] = []
    for entry in entries:
        body = entry.body
        if isinstance(body, Outcome):
            if body.classification in REWARDING:
                outcomes.append(entry)
        elif isinstance(body, ModelChange | OfferRemoved):
            yield outcomes, entry
            outcomes = []
    yield outcomes, None


def _changed(live: _Live | None, change: ModelChange) -> _Live:
    """Return the model after a change: with what it learned, unless the change has it start anew."""
    fresh = _Live(change, *_made(change))
    if live is None or live.training is None or fresh.training is None or change.reset:
        return fresh
    before = live.change
    if change.model_type != before.model_type:
        return fresh
    if change.config != before.config:
        kept = make_config(change.model_type, json.loads(change.config))
        if not kept.keeps(make_config(before.model_type, json.loads(before.config))):
            return fresh
        fresh.training.restore(live.training.state())
        live.training = fresh.training
    live.change = change
    return live


def rewards_of(outcomes: Sequence[Entry], weights: Mapping[str, float], *, features: bool = True) -> Rewards:
    """Return what outcomes teach, with or without the features of their customers.

    `weights` say what some are worth to a model, by outcome.
    """
    bodies = [entry.body for entry in outcomes if isinstance(entry.body, Outcome)]
    resolutions = [entry.resolution for entry in outcomes if entry.resolution is not None]
    worth = [weights.get(b.outcome, b.worth) for b in bodies] if weights else [b.worth for b in bodies]
    return Rewards(
        offers=[one.offer_id for one in resolutions],
        categories=[one.category_id for one in resolutions],
        weights=np.array(worth, np.float64),
        values=np.array([b.value for b in bodies], np.float64),  # None becomes NaN
        times_ms=np.array([entry.time_ms for entry in outcomes], np.int64),
        features=[compact(entry.learning_features) if features else NO_FEATURES for entry in outcomes],
    )


def _made(change: ModelChange) -> tuple[Training | None, str | None]:
    """Return the model; a configuration that this code does not know, written by newer code say, is no disaster."""
    config = json.loads(change.config)
    try:
        return Training(lambda: make_model(change.model_type, config)), None
    except ConfigError as error:
        return None, str(error)


def _view(live: _Live) -> ModelView:
    change, training = live.change, live.training
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
        summary={} if training is None else training.model.summary(),
        metrics={} if training is None else training.metrics.report(),
        error=live.error,
    )


def _state(live: _Live) -> list[Any]:
    learned = None if live.training is None else live.training.state()
    return [msgspec.to_builtins(live.change), live.samples, live.last_trained_ms, live.position, learned]


def _restored(state: Sequence[Any]) -> _Live:
    change = msgspec.convert(state[0], ModelChange)
    training, error = _made(change)
    if training is not None and state[4] is not None:
        training.restore(state[4])
    return _Live(change, training, error, *state[1:4])
