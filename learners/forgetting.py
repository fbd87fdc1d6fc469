"""How evidence ages: a model's own clock, of rewards or of time, and what a half-life leaves of what is old."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.model import Floats, HalfLife, Rewards


class Clock:
    """Counts a model's rewards and keeps the time of the newest; without a half-life nothing ever ages."""

    def __init__(self, half_life: HalfLife | None) -> None:
        self._half_life = half_life
        self._now_ms = 0
        self.updates = 0
        """Rewards learned from."""

    @property
    def stamp(self) -> float:
        """The moment to note with evidence that arrives now."""
        if self._half_life is None:
            return 0.0
        return float(self._now_ms if self._half_life.ages_in_ms else self.updates)

    def kept(self, stamp: float) -> float:
        """Return the share that is left of evidence noted at `stamp`, in 0..1."""
        return 1.0 if self._half_life is None else self._half_life.kept(self.stamp - stamp)

    def kept_of(self, stamps: Floats) -> Floats:
        """Return the shares that are left of evidence noted at `stamps`, (n,) float64."""
        if self._half_life is None:
            return np.ones(len(stamps))
        return self._half_life.kept_of(self.stamp - stamps)

    def stamps_of(self, batch: Rewards) -> Floats:
        """Return the moments at which the rewards of a batch that comes next arrive, (n,) float64."""
        if self._half_life is None:
            return np.zeros(len(batch))
        if self._half_life.ages_in_ms:
            return np.maximum(np.maximum.accumulate(batch.times_ms), self._now_ms).astype(np.float64)
        return self.updates + np.arange(1.0, len(batch) + 1)

    def advance(self, batch: Rewards) -> None:
        """Move on by a batch; a time that lies behind moves nothing."""
        self.updates += len(batch)
        if len(batch):
            self._now_ms = max(self._now_ms, int(batch.times_ms.max()))

    def state(self) -> dict[str, Any]:
        """Return everything, in a form that msgpack writes."""
        return {"updates": self.updates, "now_ms": self._now_ms}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self.updates, self._now_ms = state["updates"], state["now_ms"]
