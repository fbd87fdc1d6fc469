"""How well a model predicts what it has not seen yet: progressive validation, kept online.

Each chunk of rewards is predicted before it is learned (Blum, Kalai & Langford 1999, "Beating the Hold-Out"), so
the figures are honest without a test set.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from learners.model import Floats

LOGIT_RANGE: Final = 8.0
"""Probabilities below 0.0003 or above 0.9997 share the outermost bins."""
BINS: Final = 320
"""Twenty to a unit of log-odds: the AUC from bins is that of the scores rounded to 1 % of p (1 - p)."""
SMALLEST: Final = 1e-9
"""No prediction is held to be surer than this: one surprise must not make the log-loss infinite."""
LOSSES: Final = 512
"""Chunks whose mean loss is kept for drift: half a million rewards once chunks are at their largest."""

Counts = NDArray[np.int64]


class Metrics:
    """Predictions against what happened. A success is a weight above 0."""

    def __init__(self) -> None:
        self._bins = np.zeros((2, BINS), np.int64)
        """Failures and successes by predicted log-odds."""
        self._deciles = np.zeros((3, 10))
        """Predictions, their sum and successes by predicted decile."""
        self._loss = self._reward = 0.0
        self._count = 0
        self._chunks: list[tuple[int, float]] = []
        """Rewards seen at the end of each recent chunk, and its mean loss."""

    def observe(self, predictions: Floats, weights: Floats) -> None:
        """Take a chunk of n predictions, made before the weights, (n,), were learned."""
        won = weights > 0
        p = np.clip(predictions, SMALLEST, 1 - SMALLEST)
        losses = log_losses(predictions, weights)
        logits = np.log(p) - np.log1p(-p)
        places = np.clip((logits + LOGIT_RANGE) * BINS / (2 * LOGIT_RANGE), 0, BINS - 1).astype(np.intp)
        np.add.at(self._bins, (won.astype(np.intp), places), 1)
        tenths = np.minimum((p * 10).astype(np.intp), 9)
        for row, amount in enumerate((np.ones(len(p)), p, won.astype(np.float64))):
            np.add.at(self._deciles[row], tenths, amount)
        self._count += len(p)
        self._loss += float(losses.sum())
        self._reward += float(np.maximum(weights, 0.0).sum())
        self._chunks = [*self._chunks, (self._count, float(losses.mean()))][-LOSSES:]

    def report(self) -> dict[str, Any]:
        """Return the figures for `metrics` of a model; null where nothing was predicted yet."""
        if not self._count:
            return {
                "samples": 0,
                "logLoss": None,
                "auc": None,
                "meanReward": None,
                "calibration": [],
                "drift": None,
            }
        return {
            "samples": self._count,
            "logLoss": self._loss / self._count,
            "auc": auc_from_bins(self._bins[1], self._bins[0]),
            "meanReward": self._reward / self._count,
            "calibration": self._calibration(),
            "drift": self._drift(),
        }

    def _calibration(self) -> list[dict[str, float | int]]:
        return [
            {"decile": i + 1, "count": int(n), "predicted": float(p / n), "observed": float(won / n)}
            for i, (n, p, won) in enumerate(self._deciles.T)
            if n
        ]

    def _drift(self) -> dict[str, Any]:
        """Return how often ADWIN cut its window of mean losses, and at which sample it did last."""
        detector, cuts, last = adwin(), 0, None
        for samples, loss in self._chunks:
            detector.update(loss)
            if detector.drift_detected:
                cuts, last = cuts + 1, samples
        return {"detections": cuts, "lastAtSample": last}

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        return {
            "bins": self._bins.astype("<i8").tobytes(),
            "deciles": self._deciles.astype("<f8").tobytes(),
            "sums": [self._loss, self._reward, self._count],
            "chunks": [list(chunk) for chunk in self._chunks],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self._bins = np.frombuffer(state["bins"], "<i8").reshape(2, BINS).astype(np.int64)
        self._deciles = np.frombuffer(state["deciles"], "<f8").reshape(3, 10).astype(np.float64)
        self._loss, self._reward, self._count = state["sums"]
        self._chunks = [(samples, loss) for samples, loss in state["chunks"]]


def log_losses(predictions: Floats, weights: Floats) -> Floats:
    """Return -log of the probability that each of n predictions gave to what happened, (n,) float64."""
    p = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    return -np.log(np.where(weights > 0, p, 1 - p))


def adwin() -> Any:
    """Return a drift detector: adaptive windowing (Bifet & Gavaldà 2007, doi:10.1137/1.9781611972771.42)."""
    from river.drift import ADWIN  # noqa: PLC0415 - takes a second: a replica never asks, a learner asks in advance

    return ADWIN()  # type: ignore[no-untyped-call]


def auc_from_bins(positives: Counts, negatives: Counts) -> float | None:
    """Return the area under the ROC curve of scores that are known by bin, ascending; None without both classes.

    A positive and a negative in one bin count half (Fawcett 2006, "An introduction to ROC analysis", sec. 7).

    >>> auc_from_bins(np.array([0, 3, 1]), np.array([1, 2, 0]))
    0.75
    """
    pairs = int(positives.sum()) * int(negatives.sum())
    if not pairs:
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)
