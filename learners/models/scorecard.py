"""A scorecard: points by rules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from learners.features import checked
from learners.model import ArmState, Categories, Features, Floats, ModelConfig, Rewards
from learners.models.mean_model import MeanModel
from storage.entry import Scalar

STEEPNESS: Final = 6.0
"""The ends of the range score 1 / (1 + e^±3), about 0.05 and 0.95."""
OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda given, wanted: given == wanted,
    "ne": lambda given, wanted: given != wanted,
    "gt": lambda given, wanted: given > wanted,
    "gte": lambda given, wanted: given >= wanted,
    "lt": lambda given, wanted: given < wanted,
    "lte": lambda given, wanted: given <= wanted,
    "in": lambda given, wanted: given in wanted,
    "not_in": lambda given, wanted: given not in wanted,
}
OF_OFFER: Final = ("offerId", "categoryId")


class Rule(BaseModel):
    """Points for those whose `field` compares to `value` as `operator` says."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    field: str = Field(min_length=1, max_length=255)
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in"]
    value: Scalar | list[Scalar]
    points: float = Field(ge=-1e9, le=1e9)

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        if isinstance(self.value, list) != (self.operator in ("in", "not_in")):
            raise ValueError("value must be a list for in and not_in, and only for them")
        if self.operator in ("gt", "gte", "lt", "lte") and isinstance(self.value, bool):
            raise ValueError(f"value of {self.operator} must be a number or a string")
        return self

    def applies(self, given: Scalar | None) -> bool:
        """Return whether the rule gives its points; what is missing or of another type fits no rule."""
        wanted = self.value[0] if isinstance(self.value, list) and self.value else self.value
        if given is None or _kind(given) != _kind(wanted):
            return False
        return OPERATORS[self.operator](given, self.value)


class ScorecardConfig(ModelConfig):
    """Configuration of `scorecard`."""

    free = frozenset({"base_score", "rules", "min", "max"})

    base_score: float = Field(50.0, ge=-1e9, le=1e9, description="Points before any rule.")
    rules: list[Rule] = Field([], max_length=500, description="[{field, operator, value, points}].")
    min: float = Field(0.0, ge=-1e9, le=1e9, description="Lowest raw score; less counts as this.")
    max: float = Field(100.0, ge=-1e9, le=1e9, description="Highest raw score; more counts as this.")

    @model_validator(mode="after")
    def _in_order(self) -> "ScorecardConfig":
        if self.max <= self.min:
            raise ValueError("max must be greater than min")
        return self


class Scorecard(MeanModel):
    """Points by rules, squeezed to 0..1; rewards are counted and change nothing.

    The raw score is baseScore and the points of every rule that applies, held between min and max;
    x = (raw − mid) / range · 6 goes through the logistic function, as credit scorecards do. A rule's field is a
    feature, or `offerId` or `categoryId` of the offer.

    >>> rule = {"field": "age", "operator": "gte", "value": 30, "points": 50}
    >>> model = Scorecard(ScorecardConfig(rules=[rule]))
    >>> model.score({"age": 38}, ["a"], [None]).round(4)
    array([0.9526])

    Warning: without rules about offers every offer scores the same and chance ranks them.
    """

    contextual = True

    def __init__(self, config: ScorecardConfig) -> None:
        super().__init__(config)
        self._config = config
        self._shared = [rule for rule in config.rules if rule.field not in OF_OFFER]
        self._own = [rule for rule in config.rules if rule.field in OF_OFFER]

    def predict(self, batch: Rewards) -> Floats:
        """Return the score of each of n rewards' offer and features, (n,) float64."""
        raw = [
            self._common(features) + self._of_offer(offer, category)
            for features, offer, category in zip(batch.features, batch.offers, batch.categories, strict=True)
        ]
        return self._squeezed(np.array(raw, np.float64))

    def score(self, features: Features, offers: Sequence[str], categories: Categories) -> Floats:
        """Return the score of each of k offers, (k,) float64."""
        common = self._common(checked(features))
        raw = [common + self._of_offer(offer, category) for offer, category in zip(offers, categories, strict=True)]
        return self._squeezed(np.array(raw, np.float64))

    def arms(self, offer_id: str | None = None) -> list[ArmState]:
        """Return each offer's observed mean reward, with the points that are its own."""
        states = super().arms(offer_id)
        return [
            ArmState(
                state.offer_id,
                state.pulls,
                state.positives,
                state.negatives,
                state.mean,
                state.ci_lower,
                state.ci_upper,
                state.last_reward_at,
                {**state.parameters, "points": self._of_offer(state.offer_id, self._category(state.offer_id))},
            )
            for state in states
        ]

    def _common(self, features: Features) -> float:
        base = self._config.base_score
        return base + sum(rule.points for rule in self._shared if rule.applies(features.get(rule.field)))

    def _of_offer(self, offer: str, category: str | None) -> float:
        own = {"offerId": offer, "categoryId": category}
        return float(sum(rule.points for rule in self._own if rule.applies(own[rule.field])))

    def _category(self, offer: str) -> str | None:
        row = self._arms.row(offer)
        return None if row is None else self._arms.categories[row]

    def _squeezed(self, raw: Floats) -> Floats:
        low, high = self._config.min, self._config.max
        x = (np.clip(raw, low, high) - (low + high) / 2) / (high - low) * STEEPNESS
        return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float64)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"
