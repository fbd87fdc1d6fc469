"""The regression behind the reward model, never asked about a row it was fitted on.

It brings scikit-learn along, which takes a second: who needs no reward model does not load it.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from learners.errors import EvaluationError
from learners.evaluation.logged import Indices, Logged
from learners.evaluation.reward_model import OfferFeatures, Predicted, RewardModelConfig
from learners.features import indicator, number
from learners.model import Features, Floats

_MISSING: Final = ""
"""Stands for the value of an indicator that a row does not have; it sorts first, so it is the base level."""


def predict_rewards(log: Logged, config: RewardModelConfig, offers: OfferFeatures | None = None) -> Predicted:
    """Return the reward to expect of each candidate of each row, cross-fitted (Chernozhukov et al. 2018).

    Each rank has a regression of its own on the features of the situation and those of the offer, which are its
    name unless `offers` gives others. A text is an indicator for each of its values but the first in the alphabet.

    Args:
        log: n rows with m candidates.
        config: Which regression; `auto` is logistic where every reward is 0 or 1, else ridge.
        offers: Features of each offer, by its name.

    Raises:
        EvaluationError: an offer has no features, or rewards are no classes.
    """
    binary = bool(np.isin(log.rewards, (0.0, 1.0)).all())
    kind = ("logistic" if binary else "ridge") if config.kind == "auto" else config.kind
    if kind == "logistic" and not binary:
        raise EvaluationError("--reward-model logistic wants rewards of 0 and 1; take ridge")
    table = _Table(
        encode(log.features, scale=config.scale), encode(_offer_features(log, offers), scale=config.scale), log
    )
    rewards, converged = np.zeros(len(log.candidates)), True
    for train, test in _folds(len(log), config):
        for rank in np.unique(log.ranks[test]):
            own, asked = train[log.ranks[train] == rank], test[log.ranks[test] == rank]
            line, ended = _fit(table, own if len(own) else train, kind, config)
            table.ask(line, asked, rewards)
            converged &= ended
    return Predicted(rewards, kind, converged)


def _folds(rows: int, config: RewardModelConfig) -> Iterable[tuple[Indices, Indices]]:
    """Return which rows to fit on and which to ask about; a row that is alone has none to learn from."""
    everything = np.arange(rows)
    if config.folds == 1:
        return [(everything, everything)]
    if rows == 1:
        return []
    folds: Iterable[tuple[Indices, Indices]] = KFold(
        min(config.folds, rows), shuffle=True, random_state=config.seed
    ).split(everything)
    return folds


@dataclass(frozen=True, slots=True)
class _Line:
    """A linear predictor; `logistic` says whether it is one of log-odds."""

    weights: Floats
    bias: float
    logistic: bool


@dataclass(frozen=True, slots=True)
class _Table:
    """Features of n situations and of all offers, as sparse matrices, and the log that they belong to."""

    situations: Any
    offers: Any
    log: Logged

    def shown(self, rows: Indices) -> Any:
        """Return the features of situations with those of the offer shown."""
        return sparse.hstack([self.situations[rows], self.offers[self.log.shown[rows]]], format="csr")

    def ask(self, line: _Line, rows: Indices, into: Floats) -> None:
        """Write the prediction for each candidate of the rows; situation and offer add up, each is asked once."""
        split = self.situations.shape[1]
        situation = self.situations[rows] @ line.weights[:split] + line.bias
        offer = self.offers @ line.weights[split:]
        starts, sizes = self.log.offsets[rows], self.log.sizes[rows]
        places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        scores = np.repeat(situation, sizes) + offer[self.log.candidates[places]]
        into[places] = expit(scores) if line.logistic else scores


def _fit(table: _Table, rows: Indices, kind: str, config: RewardModelConfig) -> tuple[_Line, bool]:
    rewards = table.log.rewards[rows]
    width = table.situations.shape[1] + table.offers.shape[1]
    if kind == "logistic" and len(np.unique(rewards)) < 2:
        # One class has no log-odds that are finite; its share is what one can say.
        return _Line(np.zeros(width), float(rewards.mean()), logistic=False), True
    model = (
        LogisticRegression(C=config.c, max_iter=config.max_iter)
        if kind == "logistic"
        else Ridge(alpha=1 / config.c, max_iter=config.max_iter)
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(table.shown(rows), rewards)
    converged = not any(issubclass(one.category, ConvergenceWarning) for one in told)
    bias = float(np.ravel(model.intercept_)[0])
    return _Line(np.ravel(model.coef_).astype(np.float64), bias, logistic=kind == "logistic"), converged


def _offer_features(log: Logged, offers: OfferFeatures | None) -> Sequence[Features]:
    if offers is None:
        return [{"offer": name} for name in log.offers]
    lacking = next((name for name in log.offers if name not in offers), None)
    if lacking is not None:
        raise EvaluationError(f"--offer-features: has none of offer {lacking}")
    return [offers[name] for name in log.offers]


def encode(rows: Sequence[Features], *, scale: bool) -> Any:
    """Return features as a sparse matrix, (n, d) float64, columns by name.

    A number is a column, its mean where it is missing; a text or a boolean is an indicator for each value but the
    first in the alphabet ("missing" comes before all).
    """
    names = sorted({name for row in rows for name in row})
    columns = [column for name in names for column in _columns(name, [row.get(name) for row in rows], scale=scale)]
    if not columns:
        return sparse.csr_matrix((len(rows), 0))
    return sparse.csr_matrix(sparse.hstack(columns))


def _columns(name: str, values: Sequence[Any], *, scale: bool) -> list[Any]:
    numbers = [number(value) for value in values]
    columns = []
    if any(one is not None for one in numbers):
        given = np.array([np.nan if one is None else one for one in numbers])
        given = np.where(np.isnan(given), np.nanmean(given), given)
        if scale:
            deviation = given.std()
            given = (given - given.mean()) / (deviation or 1.0)
        columns.append(sparse.csr_matrix(given[:, None]))
    texts = [
        _MISSING if value is None or one is not None else indicator(name, value)
        for value, one in zip(values, numbers, strict=True)
    ]
    levels, codes = np.unique(texts, return_inverse=True)
    if len(levels) > 1:
        rows = np.flatnonzero(codes > 0)
        shape = (len(texts), len(levels) - 1)
        columns.append(sparse.csr_matrix((np.ones(len(rows)), (rows, codes[rows] - 1)), shape=shape))
    return columns
