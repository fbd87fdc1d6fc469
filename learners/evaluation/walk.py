"""Models that walk through a log: at each decision they know what came before it, and nothing else.

A model decides as of its last learned chunk (`learners.training`: an eighth of what was learned at most), since to
solve it anew after every reward would take hours and change little.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from learners.evaluation.logged import Indices, Logged, segments
from learners.model import Floats, Model, Rewards
from learners.models import make_config, make_model
from learners.policy import Policy
from learners.spec import ModelSpec
from learners.training import Training, chunk_size

Advance: TypeAlias = Callable[[int], None]


def walk(log: Logged, spec: ModelSpec, advance: Advance) -> tuple[Floats, Floats]:
    """Return what a model does at each row while it learns from every outcome of the log.

    Returns:
        The probability of each candidate at the row's rank, (m,), and the reward expected of what was shown, (n,).
    """
    training = _training(spec)
    probabilities, predictions = np.empty(len(log.candidates)), np.empty(len(log))
    for segment in segments(log):
        rows = np.arange(segment.rows.start, segment.rows.stop)
        model = training.model
        decide = _Deciding(log, model, _seed(spec), segment.start)
        for row in segment.rows:
            probabilities[log.offsets[row] : log.offsets[row + 1]] = decide.at(row)
        if len(rows):
            predictions[rows] = model.predict(_asked(log, rows))
        training.learn(log.outcomes.part(segment.start, segment.end))
        if segment.removed is not None:
            training.remove(segment.removed)
        advance(len(rows))
    return probabilities, predictions


def run_on_matches(log: Logged, spec: ModelSpec, rng: np.random.Generator, advance: Advance) -> Floats:
    """Return at which rows a model shows what the log shows, when these are all it learns from, (n,) of 0 and 1.

    Li, Chu, Langford & Wang 2011 (arXiv:1003.5956), algorithm 3: what does not match is as if it had not been.
    """
    training, learned = _training(spec), 0
    matched = np.zeros(len(log))
    waiting: list[int] = []
    decide = _Deciding(log, training.model, _seed(spec), learned)
    chances = rng.random(len(log))
    for row, outcome, removed in _events(log):
        if row >= 0:
            matched[row] = chances[row] < decide.at(row)[log.chosen[row] - log.offsets[row]]
            advance(1)
        elif outcome >= 0 and log.outcome_rows[outcome] >= 0 and matched[log.outcome_rows[outcome]]:
            waiting.append(outcome)
        if waiting and (removed is not None or len(waiting) == chunk_size(learned)):
            training.learn(_picked(log.outcomes, waiting))
            learned, waiting = learned + len(waiting), []
            decide = _Deciding(log, training.model, _seed(spec), learned)
        if removed is not None:
            training.remove(removed)
            decide = _Deciding(log, training.model, _seed(spec), learned)
    return matched


def _events(log: Logged) -> list[tuple[int, int, str | None]]:
    """Return the log's events in order: each a row, an outcome or a removed offer, -1, -1 or None where not."""
    events: list[tuple[int, int, int, str | None]] = [
        *((int(event), row, -1, None) for row, event in enumerate(log.events)),
        *((int(event), -1, outcome, None) for outcome, event in enumerate(log.outcome_events)),
        *((event, -1, -1, offer) for event, offer in log.removals),
    ]
    events.sort(key=lambda one: one[:3])
    return [(row, outcome, removed) for _, row, outcome, removed in events]


class _Deciding:
    """One state of a model, asked about rows; what does not hang on features is worked out once."""

    def __init__(self, log: Logged, model: Model, seed: int, version: int) -> None:
        self._log = log
        self._policy = Policy(model, seed, version)
        self._contextual = model.contextual
        self._known: dict[tuple[int, bytes], Floats] = {}

    def at(self, row: int) -> Floats:
        """Return the probability of each of the row's candidates at its rank, (k,)."""
        log = self._log
        rank = min(int(log.ranks[row]), int(log.sizes_at(row)))
        if self._contextual:
            return self._policy.at_rank(log.features[row], *log.names(row), rank)
        key = rank, log.candidates[log.offsets[row] : log.offsets[row + 1]].tobytes()
        if key not in self._known:
            self._known[key] = self._policy.at_rank({}, *log.names(row), rank)
        return self._known[key]


def _training(spec: ModelSpec) -> Training:
    return Training(lambda: make_model(spec.model_type, spec.config))


def _seed(spec: ModelSpec) -> int:
    return make_config(spec.model_type, spec.config).seed


def _asked(log: Logged, rows: Indices) -> Rewards:
    """Return the offers shown at some rows with their features, as a batch to be predicted."""
    shown = log.shown[rows].tolist()
    return Rewards(
        offers=[log.offers[code] for code in shown],
        categories=[log.categories[code] for code in shown],
        weights=np.ones(len(rows)),
        values=np.full(len(rows), np.nan),
        times_ms=np.zeros(len(rows), np.int64),
        features=[log.features[row] for row in rows],
    )


def _picked(rewards: Rewards, places: Sequence[int]) -> Rewards:
    return Rewards(
        [rewards.offers[i] for i in places],
        [rewards.categories[i] for i in places],
        rewards.weights[places],
        rewards.values[places],
        rewards.times_ms[places],
        [rewards.features[i] for i in places],
    )
