"""What models have in common that keep some numbers for each offer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from learners.arms import Arms
from learners.forgetting import Clock
from learners.model import ArmState, Categories, Features, Floats, ModelConfig, Rewards


class ArmModel:
    """Offers in `Arms`, a clock, and the parts of `Model` that follow from them.

    A subclass gives `update`, `score` and `arms`, and `sample` where it explores by drawing.
    """

    contextual = False
    draws = 1

    def __init__(self, config: ModelConfig, columns: Iterable[str]) -> None:
        self._arms = Arms((*columns, "stamp"))
        self._clock = Clock(config.half_life)
        self._fades = config.half_life is not None

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the expected reward of each of k offers, (k,) float64."""
        raise NotImplementedError

    def predict(self, batch: Rewards) -> Floats:
        """Return the reward to expect of each of n rewards, (n,) float64."""
        return self.score({}, batch.offers, batch.categories)

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return the scores n times, (n, k) float64: there is nothing to draw."""
        del rng
        return np.tile(self.score(features, offers, categories), (n, 1))

    def exploration(self) -> float:
        """Return 0: no order is left to chance."""
        return 0.0

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return what is believed of each offer met so far, or of one."""
        raise NotImplementedError

    def summary(self) -> dict[str, float]:
        """Return nothing: every parameter belongs to an offer."""
        return {}

    def remove(self, offer: str) -> None:
        """Forget an offer; should it come back, it is a new one."""
        self._arms.remove(offer)

    def state(self) -> dict[str, Any]:
        """Return all that was learned, in a form that msgpack writes, in a fixed order."""
        return {"clock": self._clock.state(), "arms": self._arms.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from; the configuration must be the same."""
        self._clock.restore(state["clock"])
        self._arms.restore(state["arms"])

    def _add_up(self, batch: Rewards, **amounts: Floats) -> None:
        """Add (n,) amounts to columns of each reward's offer; what stood there fades first, reward by reward."""
        rows = self._arms.met_rows(batch)
        if self._fades:
            for i in range(len(batch)):
                one = batch.only(i)
                self._clock.advance(one)
                self._fade(int(rows[i]), amounts)
                for name, amount in amounts.items():
                    self._arms[name][rows[i]] += amount[i]
        else:
            for name, amount in amounts.items():
                np.add.at(self._arms[name], rows, amount)
            self._clock.advance(batch)
        self._arms.tally(rows, batch)

    def _fade(self, row: int, columns: Iterable[str]) -> None:
        kept = self._clock.kept(float(self._arms["stamp"][row]))
        for name in columns:
            self._arms[name][row] *= kept
        self._arms["stamp"][row] = self._clock.stamp

    def _faded(self, offers: Sequence[str], *columns: str) -> tuple[Floats, ...]:
        """Return each column for k offers, as faded by now, (k,) each; 0 for those never met."""
        rows = self._arms.rows_of(offers)
        met = rows >= 0
        kept = self._clock.kept_of(self._arms["stamp"][rows[met]])
        result = tuple(np.zeros(len(offers)) for _ in columns)
        for values, name in zip(result, columns, strict=True):
            values[met] = kept * self._arms[name][rows[met]]
        return result
