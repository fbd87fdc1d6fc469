"""Entries of the log as lines of the public format, and back again, with all that a fold learns from."""

import json
from collections.abc import Mapping

from storage.clock import iso
from storage.entry import (
    WEIGHTS,
    Decision,
    DecisionPoint,
    Entry,
    ModelChange,
    OfferRemoved,
    Outcome,
    Resolution,
    Scalar,
)
from storage.lines import DecisionLine, Line, ModelLine, OfferRemovedLine, OutcomeLine, Shown


def line_of(entry: Entry) -> Line:
    """Return the public line that tells of an entry."""
    match entry.body:
        case Outcome() as outcome:
            return _outcome_line(entry, outcome)
        case Decision() as decision:
            return _decision_line(entry, decision)
        case ModelChange() as change:
            return _model_line(entry, change)
        case OfferRemoved() as removed:
            return OfferRemovedLine(
                position=entry.position, time=iso(entry.time_ms), tenant=removed.tenant, offer_id=removed.offer_id
            )


def _outcome_line(entry: Entry, outcome: Outcome) -> OutcomeLine:
    if entry.resolution is None:
        raise ValueError(f"entry {entry.position} is an outcome of nothing")
    time, recorded = iso(entry.event_time_ms), iso(entry.time_ms)
    return OutcomeLine(
        position=entry.position,
        time=time,
        recorded_at=None if recorded == time else recorded,
        tenant=outcome.tenant,
        customer_id=outcome.customer_id,
        features=dict(entry.learning_features),
        interaction_id=outcome.interaction_id,
        recommendation_id=outcome.recommendation_id,
        rank=outcome.rank,
        decided_at=None if entry.decision is None else iso(entry.decision.time_ms),
        offer_id=entry.resolution.offer_id,
        category_id=entry.resolution.category_id,
        creative_id=entry.resolution.creative_id,
        channel_id=entry.resolution.channel_id,
        outcome=outcome.outcome,
        classification=outcome.classification,
        weight=outcome.worth,
        value=outcome.value,
    )


def _decision_line(entry: Entry, decision: Decision) -> DecisionLine:
    return DecisionLine(
        position=entry.position,
        time=iso(entry.time_ms),
        tenant=decision.tenant,
        customer_id=decision.customer_id,
        features=decision.features,
        recommendation_id=decision.recommendation_id,
        model_key=decision.model_key,
        variant=decision.variant,
        candidates=decision.candidates,
        decisions=[
            Shown(one.rank, one.resolution.offer_id, one.resolution.creative_id, one.propensity)
            for one in decision.shown
        ],
    )


def _model_line(entry: Entry, change: ModelChange) -> ModelLine:
    return ModelLine(
        position=entry.position,
        time=iso(entry.time_ms),
        tenant=change.tenant,
        model_id=change.model_id,
        model_key=change.key,
        model_type=change.model_type,
        status=change.status,
        config=json.loads(change.config),
        outcome_weights=change.outcome_weights,
        reset=change.reset,
        warm=change.warm,
    )


def entry_of(
    line: OutcomeLine | ModelLine | OfferRemovedLine, position: int, features: Mapping[str, Scalar] | None = None
) -> Entry:
    """Return an entry that teaches what the line tells of.

    Args:
        line: what is told. Decisions teach nothing.
        position: where the entry stands.
        features: the decision's, where the line does not hold them already.
    """
    tenant = line.tenant or ""
    match line:
        case OutcomeLine():
            return _outcome_entry(line, position, tenant, features)
        case ModelLine():
            body: ModelChange | OfferRemoved = ModelChange(
                tenant,
                line.model_id,
                line.model_key,
                line.model_type,
                line.status,
                json.dumps(line.config, separators=(",", ":")),
                line.outcome_weights,
                line.reset,
                line.warm,
            )
        case OfferRemovedLine():
            body = OfferRemoved(tenant, line.offer_id)
    return Entry(position, line.recorded_ms, body)


def _outcome_entry(line: OutcomeLine, position: int, tenant: str, features: Mapping[str, Scalar] | None) -> Entry:
    body = Outcome(
        tenant=tenant,
        interaction_id=line.interaction_id or "",
        customer_id=line.customer_id,
        outcome=line.outcome,
        classification=line.classification,
        direction="inbound",
        delivery=False,
        rank=line.rank,
        recommendation_id=line.recommendation_id,
        time_ms=None if line.recorded_at is None else line.time_ms,
        value=line.value,
        features=line.features,
        weight=_weight(line),
    )
    ids = (line.offer_id, line.creative_id or "", line.channel_id or "", None, line.category_id)
    resolution = Resolution(*ids, "", "", "", None)
    decision = None if features is None else DecisionPoint(line.time_ms, dict(features))
    return Entry(position, line.recorded_ms, body, resolution, decision)


def _weight(line: OutcomeLine) -> float | None:
    """Return the weight where it is not the usual one. A failure that weighs nothing is an ordinary failure."""
    usual = WEIGHTS[line.classification]
    return None if line.weight == usual or (line.weight == 0 and usual < 0) else line.weight
