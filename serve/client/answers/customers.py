"""What is known of customers, one by one and together."""

from typing import Annotated, Literal

from msgspec import Meta

from serve.client.answers.base import Answer, Count, Item, JsonObject, Position, Share, Time
from serve.client.answers.outcomes import Classification

Direction = Literal["inbound", "outbound"]


class Event(Answer, frozen=True):
    """An outcome, or a delivery that was counted at once."""

    id: str
    customer_id: str
    offer_id: str
    creative_id: str
    channel_id: str
    placement_id: str | None
    category_id: str | None
    recommendation_id: str | None
    rank: int | None
    outcome: str
    classification: Classification
    direction: Direction
    timestamp: Time
    recorded_at: Time
    before_decision: Annotated[bool, Meta(description="Its time lies before the recommendation's.")]
    conversion_value: float | None
    context: JsonObject | None
    outcome_details: JsonObject | None


class Summary(Answer, frozen=True):
    """What a customer has seen and done of one creative in a period."""

    customer_id: str
    offer_id: str
    creative_id: str
    channel_id: str
    period_type: Literal["daily", "weekly", "monthly", "alltime"]
    period_key: str
    impressions: Count
    positive: Count
    negative: Count
    neutral: Count
    converts: Count
    total_value: float
    last_contact_at: Time
    last_outcome_key: str
    direction: Direction


class RollupRow(Answer, frozen=True):
    """Counts of one offer, creative, channel or category; rates are percents of the impressions."""

    id: str | None
    name: str | None
    impression: Count
    click: Count
    dismiss: Count
    accept: Count
    convert: Count
    total: Count
    positive: Count
    negative: Count
    neutral: Count
    ctr: float
    cvr: float
    day: Annotated[str | None, Meta(description="YYYY-MM-DD, where days are asked for one by one.")] = None


class Rollup(Answer, frozen=True):
    """What all customers have seen and done over some days."""

    data: list[RollupRow]
    position: Position


class Touch(Answer, frozen=True):
    """A contact before a conversion, with its share."""

    offer_id: str
    creative_id: str
    channel_id: str
    timestamp: Time
    credit: Share
    attributed_value: float


class Attribution(Answer, frozen=True):
    """A conversion with the touches it is due to."""

    conversion_id: str
    customer_id: str
    outcome: str
    offer_id: str
    model: str
    conversion_value: float
    timestamp: Time
    touches: list[Touch]
    position: Position


class Suppression(Answer, frozen=True):
    """What a customer is not shown until a time."""

    policy_id: str
    policy_name: str
    rule_type: str
    scope: str
    scope_id: str | None
    until: Time


class BehavioralMetric(Item, frozen=True):
    """A number of outcomes that is kept while they come in."""

    name: str
    aggregate_function: str
    source_field: str | None
    window_days: int | None
    group_by_dimensions: list[str]
    filter_conditions: dict[str, list[str]]


class MetricValue(Answer, frozen=True):
    """What a metric has measured of one group."""

    dimensions: dict[str, str | None]
    value: float | None
    count: Count


class MetricValues(Answer, frozen=True, omit_defaults=True):
    """What a metric has measured."""

    data: list[MetricValue]
    position: Position
    truncated: Annotated[bool, Meta(description="There were too many groups to tell all apart.")] = False


class Deleted(Answer, frozen=True):
    """How many rows of a customer were deleted."""

    summaries: Count
    history: Count
    recommendations: Count


class Pseudonymised(Answer, frozen=True):
    """How many entries carry a pseudonym now."""

    log: Count
    archive: Count


class Erased(Answer, frozen=True):
    """What became of a customer's data."""

    customer_id: str
    pseudonym: str
    deleted: Deleted
    pseudonymised: Pseudonymised
