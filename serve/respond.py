"""An outcome's way from a request body to a commit and back to an answer. All of it is pure.

The phases: `parse` the body (400), `to_commit` against the tenant's configuration, the commit itself (elsewhere),
`answer` from the entry that the log holds. A duplicate is answered by the same function from the first entry.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from serve.errors import ApiError, bad_request, from_validation, not_found
from serve.fields import Attributes, Body, Id, IsoTime, JsonObject, Rank, Text
from serve.ids import unique_id
from serve.jsonbody import fingerprint
from serve.tenancy import Tenant
from storage import metrics, summaries
from storage.clock import iso
from storage.commit import Commit, CommitStatus
from storage.config import Doc
from storage.entry import Entry, Outcome, pack
from storage.keys import idempotency_digest

AHEAD_MS: Final = 24 * 3_600_000
"""How far a caller's clock may run ahead; beyond it is a mistake that windows of time would keep."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
NOT_DELIVERED: Final = frozenset({"not_presented", "expired"})
"""Outcomes of category `impression` in which the customer saw nothing."""
ALIASES: Final = (("outcome", "interactionType"), ("creativeId", "treatmentId"))


class RespondBody(Body):
    """The outcome of a recommendation."""

    customer_id: Id
    outcome: Id = Field(description="Key of an active outcome type. Alias: interactionType.")
    idempotency_key: Id | None = Field(None, description="Or header Idempotency-Key; one of the two is required.")
    recommendation_id: Id | None = Field(None, description="With rank: resolves offer, creative and channel.")
    rank: Rank | None = None
    creative_id: Id | None = Field(None, description="The other way to resolve them. Alias: treatmentId.")
    interaction_id: Id | None = Field(None, description="Kept in the record.")
    direction: Literal["inbound", "outbound"] | None = None
    offer_id: Text | None = Field(None, description="Ignored: the resolved offer counts.")
    channel_id: Text | None = Field(None, description="Ignored: the resolved channel counts.")
    placement_id: Text | None = Field(None, description="Ignored: the resolved placement counts.")
    context: JsonObject | None = None
    outcome_details: JsonObject | None = None
    timestamp: IsoTime | None = None
    conversion_value: Annotated[float, Field(ge=0)] | None = None
    attributes: Attributes | None = None
    channel: Text | None = None
    placement: Text | None = None
    device_type: Text | None = None
    response_time: Annotated[float, Field(ge=0)] | None = Field(None, description="Milliseconds.")


@dataclass(frozen=True, slots=True)
class Submission:
    """A body whose fields are right, with its key and the fingerprint of its meaning."""

    body: RespondBody
    idempotency_key: str
    fingerprint: bytes


def parse(raw: dict[str, Any], header_key: str | None, now_ms: int) -> Submission:
    """Return the submission in `raw`.

    Raises:
        ApiError: 400, a field is missing or breaks its rule.
    """
    given = {name: value for name, value in raw.items() if value is not None}
    for name, alias in ALIASES:
        if alias in given:
            if name in given and given[name] != given[alias]:
                raise bad_request(alias, f"must equal {name} where both are given")
            given[name] = given[alias]
    try:
        body = RespondBody.model_validate(given)
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False)) from None
    _check_together(body, now_ms)
    key = _idempotency_key(body.idempotency_key, header_key)
    meaning = fingerprint({name: value for name, value in raw.items() if name != "idempotencyKey"})
    return Submission(body, key, meaning)


def _check_together(body: RespondBody, now_ms: int) -> None:
    if body.recommendation_id is None and body.creative_id is None:
        raise bad_request("creativeId", "is required unless recommendationId and rank are given")
    if body.recommendation_id is not None and body.rank is None:
        raise bad_request("rank", "is required with recommendationId")
    if body.timestamp is not None and body.timestamp > now_ms + AHEAD_MS:
        raise bad_request("timestamp", "must not be more than 24 hours ahead")


def _idempotency_key(in_body: str | None, in_header: str | None) -> str:
    if in_header is None:
        if in_body is None:
            raise bad_request("idempotencyKey", "is required, in the body or as header Idempotency-Key")
        return in_body
    header = unquote(in_header)
    if not 1 <= len(header) <= 255:
        raise bad_request("Idempotency-Key", "must have 1 to 255 characters")
    if in_body is not None and in_body != header:
        raise bad_request("idempotencyKey", "must equal the header Idempotency-Key where both are given")
    return header


def unquote(header: str) -> str:
    r"""Return the header's value; a quoted one is a string of RFC 8941, section 3.3.3.

    >>> unquote('"a\\"b"'), unquote("plain")
    ('a"b', 'plain')
    """
    if len(header) >= 2 and header[0] == header[-1] == '"':
        return header[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return header


def to_commit(item: Submission, tenant: Tenant, route: str, limit: int) -> tuple[Commit, ApiError | None]:
    """Return the commit for a submission and, where it cannot be resolved, the error that a new key gets."""
    body = item.body
    outcome_type = tenant.outcome_types.get(body.outcome)
    resolution = b"" if body.creative_id is None else tenant.resolution(body.creative_id)
    refusal = None
    if outcome_type is None:
        refusal = bad_request("outcome", f"{body.outcome!r} is not an active outcome type")
    elif resolution is None:
        refusal = not_found("creativeId")
    packed, event, measured = b"", b"", b""
    if outcome_type is not None:
        outcome = _outcome(body, tenant.id, outcome_type)
        packed = pack(outcome)
        event = _event(outcome, tenant.settings["retentionDays"])
        measured = metrics.packed(tenant.metrics, outcome)
    commit = Commit(
        tenant=tenant.id,
        config_version=tenant.config.version,
        route=route,
        limit=limit,
        idempotency_digest=idempotency_digest(tenant.id, item.idempotency_key),
        idempotency_ttl_ms=tenant.settings["idempotency"]["ttlHours"] * HOUR_MS,
        fingerprint=item.fingerprint,
        refused=refusal is not None,
        customer_id=body.customer_id,
        body=packed,
        resolution=resolution or b"",
        recommendation_id=body.recommendation_id or "",
        rank=body.rank or 0,
        event=event,
        measured=measured,
    )
    return commit, refusal


def _event(outcome: Outcome, days_kept: int) -> bytes:
    return summaries.event(
        outcome.classification,
        outcome.outcome,
        outcome.direction,
        delivery=outcome.delivery,
        days_kept=days_kept,
        attributed=outcome.is_conversion,
        value=outcome.value,
        time_ms=outcome.time_ms,
    )


def _outcome(body: RespondBody, tenant_id: str, outcome_type: Doc) -> Outcome:
    impression = outcome_type["category"] == "impression"
    return Outcome(
        tenant=tenant_id,
        interaction_id=unique_id("int_"),
        customer_id=body.customer_id,
        outcome=body.outcome,
        classification=outcome_type["classification"],
        direction=body.direction or ("outbound" if impression else "inbound"),
        delivery=impression and body.outcome not in NOT_DELIVERED,
        rank=body.rank,
        recommendation_id=body.recommendation_id,
        time_ms=body.timestamp,
        value=body.conversion_value,
        features=body.attributes or {},
        context=_context(body),
        details=None if body.outcome_details is None else _json(body.outcome_details),
        legacy_interaction_id=body.interaction_id,
    )


def _context(body: RespondBody) -> str | None:
    extra = {
        "channel": body.channel,
        "placement": body.placement,
        "deviceType": body.device_type,
        "responseTime": body.response_time,
    }
    merged = {**(body.context or {}), **{name: value for name, value in extra.items() if value is not None}}
    return _json(merged) if merged else None


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def refusal(status: CommitStatus) -> ApiError:
    """Return the error for a recommendation that cannot be resolved, as the commit script found it."""
    match status:
        case "no_recommendation":
            return not_found("recommendationId")
        case "no_rank":
            return not_found("rank")
        case "deleted":
            return not_found("The recommendation's creative")
        case "disagree":
            return bad_request("creativeId", "must be the one that the recommendation shows at this rank")
        case _:
            return ApiError(500, "The outcome could not be recorded")


def answer(entry: Entry, status: Literal["recorded", "already_recorded"]) -> dict[str, Any]:
    """Return the body that acknowledges the outcome in `entry`.

    Raises:
        TypeError: the entry is not an outcome.
    """
    body, resolution = entry.body, entry.resolution
    if not isinstance(body, Outcome) or resolution is None:
        raise TypeError(f"entry {entry.position} is not an outcome")
    return {
        "interactionId": body.interaction_id,
        "recommendationId": body.recommendation_id,
        "customerId": body.customer_id,
        "outcome": body.outcome,
        "classification": body.classification,
        "rank": body.rank,
        "offerName": resolution.offer_name,
        "creativeName": resolution.creative_name,
        "channelName": resolution.channel_name,
        "categoryName": resolution.category_name,
        "status": status,
        "timestamp": iso(entry.event_time_ms),
    }
