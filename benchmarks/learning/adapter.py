"""What a library must offer to take part, and what one run of it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Numbers = NDArray[np.int64]
Setting = Mapping[str, float | int | str]
"""Named values of one setting; they go into the results as they are."""


class Policy(Protocol):
    """One learner in one run. The benchmark calls `choose`, then `learn` with the same features."""

    def choose(self, x: Vector) -> int:
        """The offer to show, from 0; `x` has shape (features,), is standardised and has no intercept."""

    def learn(self, x: Vector, offer: int, reward: int) -> None:
        """Takes in that the offer shown earned `reward`, 0 or 1."""


Factory = Callable[[Setting, int, int, int], Policy]
"""(setting, number of offers, number of features, seed) -> a new policy."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy of a library with the settings it is tried at.

    Attributes:
        name: Names the policy within its library.
        factory: Makes a policy for one run.
        plain: Settings that never forget.
        forgetting: Settings that forget; empty where the policy has no way to.
        note: What a reader of the table must know, such as learning in batches.
    """

    name: str
    factory: Factory
    plain: Sequence[Setting] = ()
    forgetting: Sequence[Setting] = ()
    note: str = ""


@dataclass(slots=True)
class Batches:
    """Holds rewards back until `every` of them have come, for libraries that cannot learn one by one.

    Attributes:
        every: Rounds between two calls of the library's fit.
        window: How many of the last rounds `rows` keeps; 0 keeps all.
    """

    every: int
    window: int = 0
    _x: list[Vector] = field(default_factory=list)
    _offer: list[int] = field(default_factory=list)
    _reward: list[int] = field(default_factory=list)
    _seen: int = 0

    def add(self, x: Vector, offer: int, reward: int) -> bool:
        """Keeps a round; true when it is time to fit."""
        self._x.append(x)
        self._offer.append(offer)
        self._reward.append(reward)
        self._seen += 1
        return self._seen % self.every == 0

    def rows(self) -> tuple[Vector, Numbers, Numbers]:
        """Features, offers and rewards of all rounds kept, at most the last `window`."""
        for column in (self._x, self._offer, self._reward):
            del column[: max(len(column) - self.window, 0) if self.window else 0]
        return np.array(self._x), np.array(self._offer), np.array(self._reward)

    def take(self) -> tuple[Vector, Numbers, Numbers]:
        """The rounds since the last call; they are forgotten here."""
        taken = self.rows()
        self._x, self._offer, self._reward = [], [], []
        return taken
