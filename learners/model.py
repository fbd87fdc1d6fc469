"""What a bandit model is: rewards in, beliefs out, all state plain numbers.

A model is deterministic: its state is a function of its configuration and the batches it learned from, and
randomness comes from the generator that the caller hands in. Where arithmetic allows, a batch equals the sequence
of its rewards; where it does not, `learners.training` cuts the batches, always at the same places of the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from learners.columns import Table, table
from storage.entry import Scalar

Floats: TypeAlias = NDArray[np.float64]
Features: TypeAlias = Mapping[str, Scalar]
Categories: TypeAlias = Sequence[str | None]
"""The category of each offer, None where it has none."""


NO_FEATURES: Final[Features] = {}
POSTERIOR_DRAWS: Final = 100
"""Draws that a Thompson policy is made of: propensities come in steps of a hundredth, at 0.1 ms a decision."""


@dataclass(frozen=True)
class Rewards:
    """Rewards in the order of the log, as a struct of arrays, each of length n.

    Attributes:
        offers: the offer each reward is for.
        categories: the offer's category, None where it has none.
        weights: (n,) float64, finite and not 0; above 0 for a success, below for a failure.
        values: (n,) float64, conversion values, NaN where none was given.
        times_ms: (n,) int64, when each was committed, ms since 1970.
        features: what was known of customer and situation.
    """

    offers: Sequence[str]
    categories: Sequence[str | None]
    weights: Floats
    values: Floats
    times_ms: NDArray[np.int64]
    features: Sequence[Features]

    def __len__(self) -> int:
        return len(self.offers)

    @cached_property
    def table(self) -> Table:
        """The features by column, made once: a chunk is predicted, then learned.

        Raises:
            FeatureError: one is not a finite number, a string or a boolean.
        """
        return table(self.features)

    def part(self, start: int, end: int) -> "Rewards":
        """Return the batch that holds rewards `start` to `end` - 1."""
        cut = slice(start, end)
        return Rewards(
            self.offers[cut],
            self.categories[cut],
            self.weights[cut],
            self.values[cut],
            self.times_ms[cut],
            self.features[cut],
        )

    def bare(self) -> "Rewards":
        """Return the batch without what was known of customer and situation."""
        return replace(self, features=[NO_FEATURES] * len(self))

    def only(self, i: int) -> "Rewards":
        """Return the batch that holds reward `i` alone."""
        return self.part(i, i + 1)

    def then(self, other: "Rewards") -> "Rewards":
        """Return the batch of these rewards followed by those of `other`."""
        if not len(self):
            return other
        return Rewards(
            [*self.offers, *other.offers],
            [*self.categories, *other.categories],
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.times_ms, other.times_ms]),
            [*self.features, *other.features],
        )


NO_REWARDS: Final = Rewards([], [], np.zeros(0), np.zeros(0), np.zeros(0, np.int64), [])


class ArmState(msgspec.Struct, frozen=True, rename="camel"):
    """What a model believes of one offer; `ci_lower` and `ci_upper` bound 95 %, `last_reward_at` is in ms."""

    offer_id: str
    pulls: int
    positives: int
    negatives: int
    mean: float
    ci_lower: float
    ci_upper: float
    last_reward_at: int | None
    parameters: dict[str, float]


class Model(Protocol):
    """A bandit model. Reading (all but `update`, `remove` and `restore`) never changes it.

    Attributes:
        contextual: whether features move its scores.
        draws: how many of its samples make up its policy; 1 for a model whose sample is always the same.
    """

    contextual: bool
    draws: int

    def update(self, batch: Rewards) -> None:
        """Learn from rewards. The same batches in the same order give the same state, bit for bit.

        Raises:
            FeatureError: a feature is not a finite number, string or boolean; nothing was learned.
        """

    def predict(self, batch: Rewards) -> Floats:
        """Return the reward to expect of each of n rewards' offer and features, (n,) float64."""

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the expected reward of each of k offers for one customer, (k,) float64.

        Raises:
            FeatureError: as `update`.
        """

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Categories, n: int
    ) -> Floats:
        """Return n times what ranking would order k offers by, (n, k) float64: posterior draws, upper bounds.

        Raises:
            FeatureError: as `update`.
        """

    def exploration(self) -> float:
        """Return the probability with which the order is left to chance altogether, in 0..1."""

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return what is believed of each offer met so far, or of one."""

    def summary(self) -> dict[str, float]:
        """Return what is true of the model as a whole."""

    def remove(self, offer: str) -> None:
        """Forget an offer; should it come back, it is a new one."""

    def state(self) -> dict[str, Any]:
        """Return all that was learned, in a form that msgpack writes, in a fixed order."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from; the configuration must be the same."""


class Noise(NamedTuple):
    """What chance adds to n draws of k offers: standard normal numbers.

    Attributes:
        own: (k, n), of each offer; those of fewer offers are the first rows of those of more.
        shared: (n, d), of the part that offers share, None without one.
    """

    own: Floats
    shared: Floats | None

    def of(self, k: int) -> "Noise":
        """Return the noise of the first k offers."""
        return Noise(self.own[:k], self.shared)


@runtime_checkable
class Drawing(Protocol):
    """A model whose draws part into noise, the same for every customer, and what a customer makes of it.

    `sample` is `drawn` from new `noise`.
    """

    def noise(self, rng: np.random.Generator, k: int, n: int) -> Noise:
        """Return what chance adds to n draws of k offers."""

    def drawn(self, noise: Noise, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the draws that the noise makes, (n, k) float64.

        Raises:
            FeatureError: a feature is not a finite number, a string or a boolean.
        """


class HalfLife(BaseModel):
    """Forgetting: evidence of this age counts half. Give `events` (rewards of this model) or `seconds`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    events: Annotated[float, Field(gt=0)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "HalfLife":
        if (self.events is None) == (self.seconds is None):
            raise ValueError("must have either events or seconds")
        return self

    def kept(self, age: float) -> float:
        """Return the share of evidence that is left at `age` (rewards or ms, as `ages_in_ms` says).

        >>> HalfLife(events=10).kept(20)
        0.25
        """
        life = self.events if self.events is not None else (self.seconds or 0.0) * 1000
        return float(2.0 ** (-max(age, 0.0) / life))

    def kept_of(self, ages: Floats) -> Floats:
        """Return the shares that are left at `ages`, (n,) float64."""
        life = self.events if self.events is not None else (self.seconds or 0.0) * 1000
        return np.exp2(-np.maximum(ages, 0.0) / life)

    @property
    def ages_in_ms(self) -> bool:
        """Whether ages are ms; else they are rewards."""
        return self.seconds is not None


class ModelConfig(BaseModel):
    """Configuration that every model type has."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )

    free: ClassVar[frozenset[str]] = frozenset()
    """Fields that may change while what was learned is kept: they play no part in learning."""

    half_life: HalfLife | None = Field(None, description="Forgetting, {events: n} or {seconds: s}; none: never.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the draws that ranking makes.")

    def keeps(self, before: "ModelConfig") -> bool:
        """Return whether a model of this configuration may go on with what one of `before` has learned."""
        if type(self) is not type(before):
            return False
        changed = {name for name in type(self).model_fields if getattr(self, name) != getattr(before, name)}
        return changed <= self.free | {"seed"}
