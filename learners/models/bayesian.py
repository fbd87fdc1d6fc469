"""Naive Bayes: how likely a response is positive, from counts of each feature's values."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from learners.features import checked, number, short
from learners.intervals import wilson
from learners.model import ArmState, Categories, Features, Floats, ModelConfig, Rewards
from learners.models.arm_model import ArmModel
from storage.entry import Scalar

MAX_FIELDS: Final = 128
MAX_VALUES: Final = 64
"""Values told apart of a field; those met later count as one, so that a field of ids cannot grow for ever."""
OTHER: Final = "\0other"

Edges = Annotated[list[float], Field(min_length=1, max_length=63)]


class BayesianConfig(ModelConfig):
    """Configuration of `bayesian`."""

    free = frozenset({"laplace", "pooling"})

    laplace: float = Field(1.0, gt=0, le=1e6, description="Pseudo-count of every class and value, above 0.")
    bins: dict[str, Edges] = Field(
        {}, description="{field: edges[]}: ascending edges that cut a number into classes."
    )
    pooling: float = Field(
        0.0, ge=0, le=1e6, description="Pseudo-counts that each offer takes from all offers together; 0 is off."
    )

    @field_validator("bins")
    @classmethod
    def _ascending(cls, bins: dict[str, list[float]]) -> dict[str, list[float]]:
        for field, edges in bins.items():
            if any(upper <= lower for lower, upper in pairwise(edges)):
                raise ValueError(f"{field} must be ascending")
        return bins


class NaiveBayes(ArmModel):
    """The probability of a positive response under Bayes' rule with independent features, for each offer.

    P(positive | x) ∝ P(positive) Π P(x_f | positive) with Laplace's smoothing (Manning, Raghavan & Schütze 2008,
    "Introduction to Information Retrieval", sec. 13.2; the categorical form): each class and each value of a field
    gets `laplace` pseudo-counts. A reward counts by the size of its weight. Numbers are cut at the field's `bins`,
    else by powers of two; a missing field says nothing. With `pooling` an offer takes that many pseudo-counts from
    what all offers together have shown.

    >>> model = NaiveBayes(BayesianConfig())
    >>> model.score({"tier": "gold"}, ["new"], [None])
    array([0.5])

    Warning: dependent features are counted twice, which pushes probabilities towards 0 and 1. The first 128 fields
    and 64 values a field are told apart.
    """

    contextual = True

    def __init__(self, config: BayesianConfig) -> None:
        super().__init__(config, ())
        self._config = config
        self._fields: dict[str, dict[str, int]] = {}
        """field → value → column of the counts; column 0 counts the responses themselves."""
        self._columns: list[tuple[str, str]] = [("", "")]
        """The field and value of each column."""
        self._counts = np.zeros((0, 2, 1))
        """(offers, negative and positive, columns), with room to grow."""

    def update(self, batch: Rewards) -> None:
        """Learn from rewards one by one, so a batch equals the sequence, bit for bit."""
        for features in batch.features:
            checked(features)
        rows = self._arms.met_rows(batch)
        for i, row in enumerate(rows.tolist()):
            columns = [0, *self._met_columns(batch.features[i])]
            self._grow(len(self._arms), len(self._columns))
            self._clock.advance(batch.only(i))
            if self._fades:
                self._counts[row] *= self._clock.kept(float(self._arms["stamp"][row]))
                self._arms["stamp"][row] = self._clock.stamp
            weight = float(batch.weights[i])
            self._counts[row, int(weight > 0), columns] += abs(weight)
        self._arms.tally(rows, batch)

    def predict(self, batch: Rewards) -> Floats:
        """Return the probability of a positive response for each of n rewards, (n,) float64."""
        counts = self._now()
        pooled = counts.sum(axis=0, keepdims=True)
        rows = self._arms.rows_of(batch.offers)
        result = np.empty(len(batch))
        for i, features in enumerate(batch.features):
            result[i] = self._probability(features, _at(counts, rows[i : i + 1]), pooled)[0]
        return result

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the probability of a positive response for each of k offers, (k,) float64."""
        del categories
        counts = self._now()
        rows = self._arms.rows_of(offers)
        return self._probability(checked(features), _at(counts, rows), counts.sum(axis=0, keepdims=True))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's share of positive responses, smoothed, with Wilson's 95 % interval."""
        offers = self._arms.met(offer_id)
        counts = self._now()
        states = []
        for offer, (lost, won) in zip(offers, _at(counts, self._arms.rows_of(offers))[:, :, 0], strict=True):
            mean = (won + self._config.laplace) / (won + lost + 2 * self._config.laplace)
            interval = wilson(mean, won + lost)
            states.append(
                self._arms.describe(offer, mean, *interval, {"positive": float(won), "negative": float(lost)})
            )
        return states

    def remove(self, offer: str) -> None:
        """Forget an offer."""
        row = self._arms.row(offer)
        if row is not None:
            self._counts = np.delete(self._counts, row, axis=0)
        self._arms.remove(offer)

    def state(self) -> dict[str, Any]:
        """Return all that was learned."""
        counts = self._counts[: len(self._arms), :, : len(self._columns)]
        columns = [list(column) for column in self._columns[1:]]
        return {**super().state(), "columns": columns, "counts": counts.astype("<f8").tobytes()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        super().restore(state)
        self._fields, self._columns = {}, [("", "")]
        for field, value in state["columns"]:
            self._add(field, value)
        shape = (len(self._arms), 2, len(self._columns))
        self._counts = np.frombuffer(state["counts"], "<f8").reshape(shape).copy()

    def _probability(self, features: Features, counts: Floats, pooled: Floats) -> Floats:
        """Return P(positive), (k,), from the counts of k offers, (k, 2, columns), and of all, (1, 2, columns)."""
        log_odds = _prior_ratio(counts[:, :, 0], pooled[:, :, 0], self._config)
        for field, value in self._labelled(features):
            values = self._fields.get(field, {})
            column = values.get(value)
            if column is not None:  # a value that nobody has shown says nothing
                inside = [column, *(one for one in values.values() if one != column)]
                log_odds = log_odds + _value_ratio(counts[:, :, inside], pooled[:, :, inside], self._config)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -700, 700))), np.float64)

    def _labelled(self, features: Features) -> list[tuple[str, str]]:
        return [(short(field), self._label(short(field), value)) for field, value in features.items()]

    def _label(self, field: str, value: Scalar) -> str:
        one = number(value)
        if one is None:
            label = str(value).lower() if isinstance(value, bool) else short(str(value))
        elif field in self._config.bins:
            label = f"#{int(np.searchsorted(self._config.bins[field], one, side='right'))}"
        else:
            mantissa, exponent = np.frexp(one)
            label = f"{'-' if mantissa < 0 else '+'}2^{int(exponent)}" if one else "0"
        values = self._fields.get(field, {})
        return OTHER if label not in values and len(values) >= MAX_VALUES else label

    def _met_columns(self, features: Features) -> list[int]:
        columns = []
        for field, value in self._labelled(features):
            if field not in self._fields and len(self._fields) >= MAX_FIELDS:
                continue
            column = self._fields.get(field, {}).get(value)
            columns.append(self._add(field, value) if column is None else column)
        return columns

    def _add(self, field: str, value: str) -> int:
        column = len(self._columns)
        self._fields.setdefault(field, {})[value] = column
        self._columns.append((field, value))
        return column

    def _grow(self, offers: int, columns: int) -> None:
        rows, _, width = self._counts.shape
        if offers > rows or columns > width:
            wider = np.zeros((max(rows, 2 * offers), 2, max(width, 2 * columns)))
            wider[:rows, :, :width] = self._counts
            self._counts = wider

    def _now(self) -> Floats:
        """Return the counts as faded by now, (offers, 2, columns)."""
        counts = self._counts[: len(self._arms), :, : len(self._columns)]
        return counts * self._clock.kept_of(self._arms["stamp"])[:, None, None] if self._fades else counts


def _at(counts: Floats, rows: NDArray[np.intp]) -> Floats:
    """Return the counts of k offers, zeros for those never met (row -1)."""
    result = np.zeros((len(rows), *counts.shape[1:]))
    result[rows >= 0] = counts[rows[rows >= 0]]
    return result


def _prior_ratio(counts: Floats, pooled: Floats, config: BayesianConfig) -> Floats:
    """Return log P(positive) / P(negative), (k,), from the responses of k offers, (k, 2), and of all, (1, 2)."""
    all_together = (pooled + config.laplace) / (pooled.sum() + 2 * config.laplace)
    shares = counts + config.laplace + config.pooling * all_together
    return np.asarray(np.log(shares[:, 1] / shares[:, 0]), np.float64)


def _value_ratio(counts: Floats, pooled: Floats, config: BayesianConfig) -> Floats:
    """Return log P(value | positive) / P(value | negative), (k,): of the first of a field's m values.

    `counts`, (k, 2, m), are those of k offers, `pooled`, (1, 2, m), of all.
    """
    smoothing, m = config.laplace, counts.shape[2]
    all_together = (pooled[:, :, 0] + smoothing) / (pooled.sum(axis=2) + m * smoothing)
    shares = (counts[:, :, 0] + smoothing + config.pooling * all_together) / (
        counts.sum(axis=2) + m * smoothing + config.pooling
    )
    return np.asarray(np.log(shares[:, 1] / shares[:, 0]), np.float64)
