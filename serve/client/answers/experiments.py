"""Experiments, and what they have shown."""

from typing import Annotated, Literal

from msgspec import Meta

from serve.client.answers.base import Answer, Count, Item, Position, Share, Time


class TrafficSplit(Answer, frozen=True):
    """What the champion takes of the customers that are not held out."""

    champion_pct: float


class Challenger(Answer, frozen=True):
    """A model that takes part, and what it takes."""

    model_id: str
    traffic_pct: float


class Experiment(Item, frozen=True):
    """Models against each other, and against none."""

    key: str
    status: str
    champion_model_id: str
    traffic_split: TrafficSplit
    challengers: list[Challenger]
    holdout_percent: float
    auto_promote: bool
    promote_threshold: float
    promote_after_days: float
    started_at: Time | None
    promoted_model_id: str | None


class Comparison(Answer, frozen=True):
    """Treated minus control; all null where there is nothing to compare with."""

    uplift: float | None
    relative_uplift: float | None
    z_score: float | None
    p_value: Annotated[Share | None, Meta(description="Two-sided, for one look.")]
    insufficient_data: bool | None
    always_valid_p_value: Annotated[Share | None, Meta(description="May be looked at any time.")]
    uplift_lower: Annotated[float | None, Meta(description="Of a 95 % confidence sequence.")]
    uplift_upper: Annotated[float | None, Meta(description="Of a 95 % confidence sequence.")]


class Variant(Comparison, frozen=True):
    """One side of an experiment; a challenger is compared with the champion."""

    variant: str
    role: Literal["champion", "challenger", "holdout"]
    model_id: str | None
    traffic_pct: float
    customers: Count
    samples: Annotated[int, Meta(ge=0, description="Decisions.")]
    conversions: Annotated[int, Meta(ge=0, description="Decisions with a positive outcome.")]
    conversion_rate: Share
    ci_lower: float
    ci_upper: float


class SampleRatio(Answer, frozen=True):
    """Whether customers were split as configured."""

    p_value: Share | None
    mismatch: bool


class ExperimentResults(Answer, frozen=True):
    """What an experiment has shown."""

    experiment_id: str
    key: str
    status: str
    started_at: Time | None
    variants: list[Variant]
    treated_versus_holdout: Comparison | None
    sample_ratio: SampleRatio
    position: Position
