"""A recommendation's way from a request body to a decision and its answer. All of it is pure.

The phases: `parse` the body (400), `place` it on a channel, `decide` with the champion's snapshot, the commit
(elsewhere), `answer`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field, ValidationError

from learners.policy import uniform
from learners.snapshots import Held
from serve.candidates import Candidates, Removal, pick
from serve.contact_policies import Suppression
from serve.errors import bad_request, from_validation
from serve.experiments import Seat
from serve.fields import Attributes, Body, Id, JsonObject
from serve.ids import unique_id, unique_uuid
from serve.tenancy import Tenant
from storage.caps import Cap
from storage.config import TenantConfig
from storage.entry import Decision, Scalar, ShownOffer

UNIFORM: Final = "uniform"
"""What stands for the model of a control group."""
MAX_SHOWN: Final = 50
MAX_EXCLUDED: Final = 1000
SEGMENT: Final = "segment:"
"""A segment is the feature `segment:NAME`, true."""

Segments = Annotated[list[Id], Field(max_length=100)]
Excluded = Annotated[list[Id], Field(max_length=MAX_EXCLUDED)]


class RecommendBody(Body):
    """Whom to recommend to, where, and what is known of them."""

    customer_id: Id
    channel: Id | None = Field(None, description="Name or id; channelId is an alias. None: any channel.")
    channel_id: Id | None = None
    placement: Id | None = Field(None, description="Name or id; placementId is an alias. None: any placement.")
    placement_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_SHOWN)] = 5
    attributes: Attributes = Field({}, description="Features for the model.")
    segments: Segments = Field([], description="Each is a feature, too.")
    context: JsonObject | None = Field(None, description="Kept in the log.")
    exclude_offers: Excluded = []
    exclude_creatives: Excluded = []
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where to show something; None is anywhere."""

    channel_id: str | None
    placement_id: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, with what it was made from."""

    decision: Decision
    available: Candidates
    unsuppressed: Candidates
    left: Candidates
    held: Held
    control: bool


def parse(raw: dict[str, Any]) -> RecommendBody:
    """Return the body in `raw`.

    Raises:
        ApiError: 400, a field is missing or breaks its rule.
    """
    try:
        return RecommendBody.model_validate({name: value for name, value in raw.items() if value is not None})
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False)) from None


def place(body: RecommendBody, config: TenantConfig) -> Place:
    """Return the channel and placement that the body names, by id or name.

    Raises:
        ApiError: 400, there is no such channel or placement, or they do not belong together.
    """
    channel = _named(config, "channel", body.channel, body.channel_id)
    placement = _named(config, "placement", body.placement, body.placement_id)
    if placement is not None:
        of_placement = config.of_kind("placement")[placement].doc["channelId"]
        if channel not in (None, of_placement):
            raise bad_request("placement", "must be one of the channel's")
        channel = of_placement
    return Place(channel, placement)


def _named(config: TenantConfig, kind: str, name: str | None, alias: str | None) -> str | None:
    if name is not None and alias is not None:
        found, other = _find(config, kind, kind, name), _find(config, kind, f"{kind}Id", alias)
        if found != other:
            raise bad_request(f"{kind}Id", f"must mean the same as {kind} where both are given")
        return found
    if name is not None:
        return _find(config, kind, kind, name)
    return None if alias is None else _find(config, kind, f"{kind}Id", alias)


def _find(config: TenantConfig, kind: str, field: str, wanted: str) -> str:
    if config.get(kind, wanted) is not None:
        return wanted
    for item_id, item in config.of_kind(kind).items():
        if item.live and item.doc["name"] == wanted:
            return item_id
    raise bad_request(field, f"{wanted!r} names no {kind}")


def decide(
    body: RecommendBody,
    tenant: Tenant,
    where: Place,
    held: Held,
    seat: Seat,
    held_back: Sequence[Suppression],
    reached: Collection[Cap],
    rng: np.random.Generator,
    now_ms: int,
) -> Decided:
    """Return what to show: the candidates ranked by the model, each offer with one of its creatives.

    Args:
        body: What is asked.
        tenant: Who asks.
        where: Where it will be shown.
        held: The model.
        seat: The part the customer has in an experiment or the control group.
        held_back: What contact policies keep from the customer now.
        reached: Caps that must not be hit again.
        rng: Draws the order and the creatives.
        now_ms: The time.
    """
    available = tenant.candidates(where.channel_id, where.placement_id, now_ms)
    wanted = available.without(frozenset(body.exclude_offers), frozenset(body.exclude_creatives))
    unsuppressed = _spared(wanted, [one for one in held_back if one.reason == "suppressed"])
    allowed = _spared(unsuppressed, [one for one in held_back if one.reason == "contactPolicy"])
    left = allowed.under(reached)
    features = _features(body)
    decision = Decision(
        tenant=tenant.id,
        recommendation_id=f"rec_{unique_uuid()}",
        customer_id=body.customer_id,
        features=features,
        candidates=list(left.offers),
        shown=_shown(left, None if seat.control else held, features, body.limit, rng),
        model_key=UNIFORM if seat.control or held.snapshot is None else held.snapshot.key,
        model_position=held.position,
        variant=seat.variant,
        context=None if body.context is None else json.dumps(body.context, separators=(",", ":")),
        experiment_id=seat.experiment_id,
    )
    return Decided(decision, available, unsuppressed, left, held, control=seat.control)


def _spared(candidates: Candidates, held_back: Sequence[Suppression]) -> Candidates:
    for one in held_back:
        candidates = candidates.held_back(one.field, Removal(one.reason, one.policy.id))
    return candidates


def _features(body: RecommendBody) -> dict[str, Scalar]:
    return {**{f"{SEGMENT}{name}": True for name in body.segments}, **body.attributes}


def _shown(
    left: Candidates, held: Held | None, features: dict[str, Scalar], limit: int, rng: np.random.Generator
) -> list[ShownOffer]:
    """Return the offers in the model's order; without one, in any order."""
    if not left.offers:
        return []
    if held is None or held.snapshot is None:
        ranked = uniform(rng, len(left.offers), limit)
    else:
        ranked = held.snapshot.policy.rank(rng, features, left.offers, left.categories, limit)
    shown = []
    for rank, (at, score, propensity) in enumerate(
        zip(ranked.places.tolist(), ranked.scores.tolist(), ranked.propensities.tolist(), strict=True), 1
    ):
        choice = pick(rng, left.choices[left.offers[at]])
        interaction_id = unique_id("int_")
        shown.append(ShownOffer(rank, choice.resolution, score, propensity, interaction_id, choice.implicit))
    return shown


def answer(body: RecommendBody, decided: Decided) -> dict[str, Any]:
    """Return the body that tells what was decided."""
    decision = decided.decision
    result: dict[str, Any] = {
        "recommendationId": decision.recommendation_id,
        "customerId": decision.customer_id,
        "count": len(decision.shown),
        "controlGroup": decided.control,
        "modelKey": decision.model_key,
        "variant": decision.variant,
        "decisions": [_row(one) for one in decision.shown],
    }
    if body.debug:
        result["meta"] = _meta(decided)
    return result


def _row(shown: ShownOffer) -> dict[str, Any]:
    resolution = shown.resolution
    return {
        "rank": shown.rank,
        "offerId": resolution.offer_id,
        "offerName": resolution.offer_name,
        "creativeId": resolution.creative_id,
        "creativeName": resolution.creative_name,
        "channelId": resolution.channel_id,
        "channelName": resolution.channel_name,
        "placementId": resolution.placement_id,
        "categoryName": resolution.category_name,
        "score": shown.score,
        "propensity": shown.propensity,
        "interactionId": shown.interaction_id,
    }


def _meta(decided: Decided) -> dict[str, Any]:
    """Return the funnel. Excluded offers count as suppressed, capped ones as held back by a contact policy."""
    snapshot = decided.held.snapshot
    return {
        "candidateCount": len(decided.available.offers),
        "afterSuppression": len(decided.unsuppressed.offers),
        "afterContactPolicy": len(decided.left.offers),
        "finalCount": len(decided.decision.shown),
        "removed": [_removed(*one) for one in decided.left.removed.items()],
        "modelId": None if snapshot is None else snapshot.model_id,
        "modelType": None if snapshot is None else snapshot.model_type,
        "modelVersion": decided.held.version,
        "cursor": decided.held.position,
    }


def _removed(offer: str, removal: Removal) -> dict[str, str]:
    row = {"offerId": offer, "reason": removal.reason}
    return row if removal.rule_id is None else {**row, "ruleId": removal.rule_id}
