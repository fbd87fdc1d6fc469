"""What a bandit model is: rewards in, beliefs out, all state plain numbers.

A model is deterministic: its state is a function of its configuration and the sequence of rewards, however the
sequence was cut into batches, and randomness comes from the generator that the caller hands in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from storage.entry import Scalar

Floats: TypeAlias = NDArray[np.float64]
Features: TypeAlias = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
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

    def only(self, i: int) -> "Rewards":
        """Return the batch that holds reward `i` alone."""
        one = slice(i, i + 1)
        return Rewards(
            self.offers[one],
            self.categories[one],
            self.weights[one],
            self.values[one],
            self.times_ms[one],
            self.features[one],
        )


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
    """A bandit model. Reading (all but `update` and `restore`) never changes it."""

    def update(self, batch: Rewards) -> None:
        """Learn from rewards; a batch equals the sequence of its single rewards, bit for bit."""

    def score(self, features: Features, offers: Sequence[str], categories: Sequence[str | None]) -> Floats:
        """Return the expected reward of each of k offers, (k,) float64."""

    def sample(
        self, rng: np.random.Generator, features: Features, offers: Sequence[str], categories: Sequence[str | None]
    ) -> Floats:
        """Return what ranking would order k offers by now, (k,) float64: a draw from the posterior, say."""

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return what is believed of each offer met so far, or of one."""

    def summary(self) -> dict[str, float]:
        """Return what is true of the model as a whole."""

    def state(self) -> dict[str, Any]:
        """Return all that was learned, in a form that msgpack writes, in a fixed order."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from; the configuration must be the same."""


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

    @property
    def ages_in_ms(self) -> bool:
        """Whether ages are ms; else they are rewards."""
        return self.seconds is not None


class ModelConfig(BaseModel):
    """Configuration that every model type has."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )

    half_life: HalfLife | None = Field(None, description="Forgetting, {events: n} or {seconds: s}; none: never.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the draws that ranking makes.")
