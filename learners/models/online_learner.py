"""Logistic regression by stochastic gradient descent on hashed features."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from learners.features import checked, hash64, sparse
from learners.model import Categories, Features, Floats, ModelConfig, Rewards
from learners.models.mean_model import MeanModel
from learners.sigmoid import sigmoid

MIX: Final = np.uint64(0x9E3779B97F4A7C15)
"""An odd number with well-mixed bits (2^64 over the golden ratio): crosses an offer's hash with a feature's."""
BIAS_HASH: Final = hash64("\0bias")

Slots = NDArray[np.intp]


class OnlineLearnerConfig(ModelConfig):
    """Configuration of `online_learner`."""

    free = frozenset({"learning_rate"})

    weights: dict[str, Annotated[float, Field(ge=-1e9, le=1e9)]] = Field(
        {}, max_length=1000, description="{feature: weight}: where known features start."
    )
    bias: float = Field(0.0, ge=-1e9, le=1e9, description="Where the bias starts.")
    learning_rate: float = Field(0.01, gt=0, le=1e3, description="Step size, above 0.")
    normalize: bool = Field(True, description="Normalised adaptive steps; false: plain gradient steps.")
    dim: int = Field(2**18, ge=16, le=2**22, description="Number of hashed weights.")
    shared: bool = Field(
        True, description="Whether offers share a part of their weights, and so learn from each other."
    )


class OnlineLearner(MeanModel):
    """The probability of a positive response, σ(w · x), learned one response at a time.

    x holds the customer's features (the shared part) and their crosses with the offer (its own part), hashed into
    `dim` weights (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning", arXiv:0902.2206).
    Steps are normalised and adaptive by default (NAG; Ross, Mineiro & Langford 2013, "Normalized Online Learning",
    arXiv:1305.6646, alg. 2), so the scale of a feature does not matter. A reward's size scales its gradient. With a
    half-life what was learned fades towards where it started, and the step sizes recover with it.

    >>> weights = {"credit_score": 0.004, "income": 0.000015, "age": 0.005}
    >>> model = OnlineLearner(OnlineLearnerConfig(weights=weights, bias=-3.2))
    >>> model.score({"credit_score": 760, "income": 95_000, "age": 38}, ["a"], [None]).round(4)
    array([0.8108])

    Warning: it does not explore. Plain steps (normalize false) diverge on features that are not scaled.
    """

    contextual = True

    def __init__(self, config: OnlineLearnerConfig) -> None:
        super().__init__(config)
        self._config = config
        self._steps = 0
        self._norm = 0.0
        self._start = np.zeros(config.dim)
        """Where the weights start; (dim,) as all that follow."""
        self._learned = np.zeros(config.dim)
        self._squares = np.zeros(config.dim)
        self._scale = np.zeros(config.dim)
        self._stamps = np.zeros(config.dim)
        self._start[self._slot(BIAS_HASH)] = config.bias
        for name, weight in config.weights.items():
            self._start[self._slot(hash64(name))] += weight

    def update(self, batch: Rewards) -> None:
        """Learn from rewards one by one, so a batch equals the sequence, bit for bit."""
        encoded = [sparse(features) for features in batch.features]
        for i, (hashes, values) in enumerate(encoded):
            (slots,), x = self._crossed(hashes, values, batch.offers[i : i + 1])
            super().update(batch.only(i))
            self._step(slots, x, float(batch.weights[i]))

    def predict(self, batch: Rewards) -> Floats:
        """Return the probability of a positive response for each of n rewards, (n,) float64."""
        result = np.empty(len(batch))
        for i, features in enumerate(batch.features):
            result[i] = self.score(features, batch.offers[i : i + 1], batch.categories[i : i + 1])[0]
        return result

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the probability of a positive response for each of k offers, (k,) float64."""
        del categories
        slots, x = self._crossed(*sparse(checked(features)), offers)
        return sigmoid(self._weights(slots) @ x)

    def summary(self) -> dict[str, float]:
        """Return the shared bias and the weights that were configured, as they are now."""
        names = {"bias": BIAS_HASH} | {f"weight.{name}": hash64(name) for name in self._config.weights}
        slots = np.array([self._slot(one) for one in names.values()], np.intp)
        return dict(zip(names, self._weights(slots).tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """Return all that was learned: the weights that were ever touched, with their slots."""
        touched = np.flatnonzero((self._squares > 0) | (self._scale > 0) | (self._learned != 0))
        columns = (self._learned, self._squares, self._scale, self._stamps)
        return {
            **super().state(),
            "steps": self._steps,
            "norm": self._norm,
            "touched": touched.astype("<i4").tobytes(),
            "weights": np.array([column[touched] for column in columns]).astype("<f8").tobytes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        super().restore(state)
        self._steps, self._norm = state["steps"], state["norm"]
        touched = np.frombuffer(state["touched"], "<i4")
        weights = np.frombuffer(state["weights"], "<f8").reshape(4, len(touched))
        for column, values in zip((self._learned, self._squares, self._scale, self._stamps), weights, strict=True):
            column[:] = 0.0
            column[touched] = values

    def _step(self, slots: Slots, x: Floats, weight: float) -> None:
        if self._fades:
            kept = self._clock.kept_of(self._stamps[slots])
            self._learned[slots] *= kept
            self._squares[slots] *= kept
            self._stamps[slots] = self._clock.stamp
        if self._config.normalize:
            self._rescale(slots, x)
        error = sigmoid(self._weights(slots) @ x) - (1.0 if weight > 0 else 0.0)
        gradient = abs(weight) * error * x
        rate = self._config.learning_rate
        if not self._config.normalize:
            self._learned[slots] -= rate * gradient
            return
        self._squares[slots] += gradient**2
        size = self._scale[slots] * np.sqrt(self._squares[slots])
        step = np.divide(gradient, size, out=np.zeros(len(slots)), where=size > 0)
        self._learned[slots] -= rate * np.sqrt(self._steps / self._norm) * step

    def _rescale(self, slots: Slots, x: Floats) -> None:
        """Shrink what was learned of a feature that turns out larger than it was known to be; count its norm."""
        size, known = np.abs(x), self._scale[slots]
        grown = size > known
        self._learned[slots[grown]] *= known[grown] / size[grown]
        self._scale[slots] = np.maximum(known, size)
        scale = self._scale[slots]
        self._norm += float((np.divide(x, scale, out=np.zeros(len(x)), where=scale > 0) ** 2).sum())
        self._steps += 1

    def _weights(self, slots: Slots) -> Floats:
        learned = self._learned[slots]
        if self._fades:
            ages = self._stamps[slots]
            learned = learned * self._clock.kept_of(ages.ravel()).reshape(ages.shape)
        return self._start[slots] + learned

    def _crossed(self, hashes: NDArray[np.uint64], values: Floats, offers: Sequence[str]) -> tuple[Slots, Floats]:
        """Return the slots for k offers, (k, m), and the m values they are multiplied with."""
        base = np.concatenate([np.array([BIAS_HASH], np.uint64), hashes])
        x = np.concatenate([[1.0], values])
        keys = np.array([hash64(offer) for offer in offers], np.uint64)
        slots = ((base[None, :] ^ keys[:, None]) * MIX >> np.uint64(20)) % np.uint64(self._config.dim)
        if self._config.shared:
            shared = np.broadcast_to(base % np.uint64(self._config.dim), slots.shape)
            slots, x = np.concatenate([shared, slots], axis=1), np.concatenate([x, x])
        return slots.astype(np.intp), x

    def _slot(self, hashed: int) -> int:
        return hashed % self._config.dim
