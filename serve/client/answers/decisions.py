"""Recommendations: made by the service, or registered with it."""

from typing import Annotated, Any

from msgspec import Meta

from serve.client.answers.base import Answer, Count, Share


class _Shown(Answer, frozen=True):
    rank: Annotated[int, Meta(ge=1)]
    offer_id: str
    offer_name: str
    creative_id: str
    creative_name: str
    channel_id: str
    channel_name: str
    placement_id: str | None
    category_name: str | None


class Decision(_Shown, frozen=True):
    """What is shown at one rank."""

    score: Annotated[float, Meta(description="What the model ranked by.")]
    propensity: Annotated[Share, Meta(description="Probability that the policy puts this offer at this rank.")]
    interaction_id: str


class RegisteredDecision(_Shown, frozen=True):
    """What another system showed at one rank."""

    propensity: Share | None


class Recommendation(Answer, frozen=True, omit_defaults=True):
    """What to show to a customer; it is in the log already."""

    recommendation_id: str
    customer_id: str
    count: Count
    control_group: Annotated[bool, Meta(description="The order was left to chance, by a holdout.")]
    model_key: str
    variant: str | None
    decisions: list[Decision]
    meta: Annotated[dict[str, Any], Meta(description="With debug: funnel, reasons, model, log position.")] = {}


class Registered(Answer, frozen=True):
    """A recommendation that another system made."""

    recommendation_id: str
    customer_id: str
    count: Count
    decisions: list[RegisteredDecision]
