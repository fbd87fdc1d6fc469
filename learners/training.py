"""A model at school: rewards are learned in chunks whose ends depend on nothing but how many there were.

However the log is cut into batches, the model gets the same chunks, so its state is the same bit for bit, also
where floating point would tell a batch from the sequence of its rewards. What waits for its chunk to fill is part
of the state, and readers see it learned.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from learners.metrics import Metrics
from learners.model import NO_REWARDS, Model, Rewards

SMALLEST_CHUNK: Final = 16
LARGEST_CHUNK: Final = 1024
"""Matrix products and the solutions that predictions need are paid for once a chunk."""
SHARE: Final = 8
"""A chunk is at most this fraction of what was learned before it, so that progressive predictions stay fresh."""


class Training:
    """A model, its metrics and the rewards that wait.

    Args:
        make: returns the model with nothing learned.
    """

    def __init__(self, make: Callable[[], Model]) -> None:
        self._make = make
        self._model = make()
        self._waiting = NO_REWARDS
        self._learned = 0
        self._reading: Model | None = None
        self.metrics = Metrics()

    def learn(self, batch: Rewards) -> None:
        """Take the next rewards; of features only a contextual model keeps any."""
        if not self.contextual:
            batch = batch.bare()
        rewards, start = self._waiting.then(batch), 0
        while len(rewards) - start >= (size := chunk_size(self._learned)):
            self._learn(rewards.part(start, start + size))
            start += size
        self._waiting = rewards.part(start, len(rewards))
        self._reading = None

    def remove(self, offer: str) -> None:
        """Forget an offer; what waits is learned first."""
        if len(self._waiting):
            self._learn(self._waiting)
            self._waiting = NO_REWARDS
        self._model.remove(offer)
        self._reading = None

    @property
    def contextual(self) -> bool:
        """Whether the model looks at features."""
        return self._model.contextual

    @property
    def model(self) -> Model:
        """The model with everything learned that was taken; for reading only."""
        if self._reading is None:
            self._reading = self._model
            if len(self._waiting):
                self._reading = self._make()
                self._reading.restore(self._model.state())
                self._reading.update(self._waiting)
        return self._reading

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        return {
            "learned": self._learned,
            "model": self._model.state(),
            "metrics": self.metrics.state(),
            "waiting": _packed(self._waiting),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from; the configuration must be the same."""
        self._learned = state["learned"]
        self._model = self._make()
        self._model.restore(state["model"])
        self.metrics.restore(state["metrics"])
        self._waiting = _unpacked(state["waiting"])
        self._reading = None

    def _learn(self, chunk: Rewards) -> None:
        self.metrics.observe(self._model.predict(chunk), chunk.weights)
        self._model.update(chunk)
        self._learned += len(chunk)


def chunk_size(learned: int) -> int:
    """Return how many rewards make the next chunk: a power of two, at most an eighth of those `learned`.

    >>> [chunk_size(n) for n in (0, 200, 1000, 100_000)]
    [16, 16, 64, 1024]
    """
    eighth = max(learned // SHARE, 1)
    return min(LARGEST_CHUNK, max(SMALLEST_CHUNK, 1 << (eighth.bit_length() - 1)))


def _packed(rewards: Rewards) -> list[Any]:
    return [
        list(rewards.offers),
        list(rewards.categories),
        rewards.weights.astype("<f8").tobytes(),
        rewards.values.astype("<f8").tobytes(),
        rewards.times_ms.astype("<i8").tobytes(),
        [dict(features) for features in rewards.features],
    ]


def _unpacked(packed: list[Any]) -> Rewards:
    offers, categories, weights, values, times_ms, features = packed
    return Rewards(
        offers,
        categories,
        np.frombuffer(weights, "<f8").astype(np.float64),
        np.frombuffer(values, "<f8").astype(np.float64),
        np.frombuffer(times_ms, "<i8").astype(np.int64),
        features,
    )
