"""Each method of the clients, as a value: the request it sends and the answer it gives. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, ParamSpec, TypeVar
from urllib.parse import quote

import msgspec

from serve.client import answers
from serve.client.answers import Page
from serve.client.errors import UnexpectedAnswer
from serve.client.exchange import Call, Reply
from serve.client.outcomes import Attributes, JsonObject, Outcome, Shown, check_finite
from serve.client.signatures import with_arguments_of

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

JSON: Final = {"Content-Type": "application/json"}
MODELS: Final = "/algorithm-models"
POSITION_DIGITS: Final = 19
"""Digits of a 64-bit number at most."""
_encode = msgspec.json.encode


class Acknowledged(answers.Acknowledgement, frozen=True):
    """An outcome that is recorded, as it was first recorded under its key."""

    log_position: int | None = None
    """Of a new record; `recommend(min_log_position=…)` waits until the models have learned it."""
    mismatch: bool = False
    """The key was used before, for something else: what was sent now is not recorded."""


class Recommended(answers.Recommendation, frozen=True):
    """What to show to a customer."""

    log_position: int | None = None
    """What the model had learned."""


def respond_with(make: Callable[P, Outcome]) -> Callable[P, Call[Acknowledged]]:
    """Return the call that records the outcome made of the same arguments."""

    def respond(*args: P.args, **kwargs: P.kwargs) -> Call[Acknowledged]:
        """Record an outcome, once; see `Outcome` for the arguments."""
        body = _encode(make(*args, **kwargs))
        return Call("POST", "/respond", _acknowledged, repeatable=True, headers=JSON, body=body)

    return with_arguments_of(make, respond, method=False)


respond = respond_with(Outcome)


def respond_bulk(outcomes: Iterable[Outcome]) -> Call[answers.BulkAnswer]:
    """Record up to 1,000 outcomes in a request; each is answered for itself."""
    return bulk([_encode(outcome) for outcome in outcomes])


def bulk(encoded: Sequence[bytes]) -> Call[answers.BulkAnswer]:
    """Record outcomes that are JSON already. Results come in the order of the outcomes."""
    body = b'{"outcomes":[' + b",".join(encoded) + b"]}"
    count = len(encoded)

    def read(reply: Reply) -> answers.BulkAnswer:
        answer = _bulk(reply)
        results = sorted(answer.results, key=lambda result: result.index)
        if [result.index for result in results] != list(range(count)):
            raise UnexpectedAnswer(f"the service answered {len(results)} of {count} outcomes", status=reply.status)
        return msgspec.structs.replace(answer, results=results)

    return Call("POST", "/respond/bulk", read, repeatable=True, headers=JSON, body=body)


def recommend(
    customer_id: str,
    *,
    channel: str | None = None,
    placement: str | None = None,
    limit: int | None = None,
    attributes: Attributes | None = None,
    segments: Sequence[str] | None = None,
    context: JsonObject | None = None,
    exclude_offers: Sequence[str] | None = None,
    exclude_creatives: Sequence[str] | None = None,
    debug: bool = False,
    min_log_position: int | None = None,
) -> Call[Recommended]:
    """Decide what to show to a customer.

    Args:
        customer_id: Whom.
        channel: Id or name; None: any.
        placement: Id or name; None: any.
        limit: Decisions at most, 1..50; None: 5.
        attributes: Features for the model.
        segments: Features, too.
        context: Kept in the log.
        exclude_offers: Ids of offers not to show.
        exclude_creatives: Ids of creatives not to show.
        debug: Tell in `meta` why what was left out.
        min_log_position: Wait up to 250 ms until the models have learned this far.
    """
    body = _object(
        customerId=customer_id,
        channel=channel,
        placement=placement,
        limit=limit,
        attributes=attributes,
        segments=segments,
        context=context,
        excludeOffers=exclude_offers,
        excludeCreatives=exclude_creatives,
        debug=debug or None,
    )
    asked = {} if min_log_position is None else {"X-Min-Log-Position": str(min_log_position)}
    # Sent twice it would be two decisions.
    return Call("POST", "/recommend", _recommended, repeatable=False, headers={**JSON, **asked}, body=body)


def register_recommendation(
    recommendation_id: str, *, customer_id: str, decisions: Sequence[Shown], attributes: Attributes | None = None
) -> Call[answers.Registered]:
    """Register a recommendation that another system made, so that its outcomes resolve by rank."""
    body = _object(customerId=customer_id, decisions=decisions, attributes=attributes)
    return _put(f"/recommendations/{_part(recommendation_id)}", body, answers.Registered)


def put_catalog(
    *,
    categories: Sequence[JsonObject] | None = None,
    channels: Sequence[JsonObject] | None = None,
    placements: Sequence[JsonObject] | None = None,
    offers: Sequence[JsonObject] | None = None,
    creatives: Sequence[JsonObject] | None = None,
    outcome_types: Sequence[JsonObject] | None = None,
) -> Call[answers.CatalogCounts]:
    """Make the catalogue hold these items (JSON objects with `id`, outcome types with `key`), all or nothing."""
    body = _object(
        categories=categories,
        channels=channels,
        placements=placements,
        offers=offers,
        creatives=creatives,
        outcomeTypes=outcome_types,
    )
    return _put("/catalog", body, answers.CatalogCounts)


def outcome_types() -> Call[list[answers.OutcomeType]]:
    """Read the outcome types, by ordinal."""
    return _get("/outcome-types", list[answers.OutcomeType])


def model(model_id: str) -> Call[answers.Model]:
    """Read a model."""
    return _get(f"{MODELS}/{_part(model_id)}", answers.Model)


def model_state(model_id: str, *, offer_id: str | None = None) -> Call[answers.ModelState]:
    """Read what a model believes of each offer, or of one."""
    return _get(f"{MODELS}/{_part(model_id)}/state", answers.ModelState, offerId=offer_id)


def score(
    model_id: str, *, attributes: Attributes | None = None, offer_ids: Sequence[str] | None = None
) -> Call[answers.Scores]:
    """Ask a model what it would rank offers by; nothing changes."""
    body = _object(attributes=attributes, offerIds=offer_ids)
    call = _post(f"{MODELS}/{_part(model_id)}/score", body, answers.Scores)
    return replace(call, repeatable=True)


def promote(
    model_id: str, *, to: Literal["draft", "shadow", "challenger", "champion", "archived"]
) -> Call[answers.Model]:
    """Move a model one step through its life; a new champion makes the old one a challenger."""
    return _post(f"{MODELS}/{_part(model_id)}/promote", _object(to=to), answers.Model)


def rollup(
    *,
    group_by: Literal["offer", "creative", "channel", "category"] = "offer",
    days: int = 30,
    by: Literal["day"] | None = None,
) -> Call[answers.Rollup]:
    """Read what all customers have seen and done over some days, together or each day for itself."""
    return _get("/interaction-summary", answers.Rollup, groupBy=group_by, days=days, by=by)


def metric_values(metric_id: str) -> Call[answers.MetricValues]:
    """Read what a behavioural metric has measured."""
    return _get(f"/behavioral-metrics/{_part(metric_id)}/values", answers.MetricValues)


def experiment_results(experiment_id: str) -> Call[answers.ExperimentResults]:
    """Read what an experiment has shown."""
    return _get(f"/experiments/{_part(experiment_id)}/results", answers.ExperimentResults)


def settings() -> Call[answers.Settings]:
    """Read the tenant's settings."""
    return _get("/settings", answers.Settings)


def change_settings(changes: JsonObject) -> Call[answers.Settings]:
    """Merge changes, a JSON object, into the tenant's settings."""
    return _put("/settings", _object(**changes), answers.Settings)


def models() -> Call[Page[answers.Model]]:
    """Read the models, with how much each has learned."""
    return _get(MODELS, Page[answers.Model])


def offers() -> Call[Page[answers.Offer]]:
    """Read the offers."""
    return _get("/offers", Page[answers.Offer])


def creatives() -> Call[Page[answers.Creative]]:
    """Read the creatives."""
    return _get("/creatives", Page[answers.Creative])


def history(
    *, customer_id: str | None = None, offer_id: str | None = None, outcome: str | None = None
) -> Call[Page[answers.Event]]:
    """Read events, newest first: of a customer, or of all."""
    return _get("/interaction-history", Page[answers.Event], customerId=customer_id, offerId=offer_id, type=outcome)


def summaries(
    customer_id: str,
    *,
    period_type: Literal["daily", "weekly", "monthly", "alltime"] | None = None,
    offer_id: str | None = None,
    channel_id: str | None = None,
) -> Call[Page[answers.Summary]]:
    """Read what a customer has seen and done, by offer, creative, channel and period."""
    asked = {"customerId": customer_id, "periodType": period_type, "offerId": offer_id, "channelId": channel_id}
    return _get("/interaction-summaries", Page[answers.Summary], **asked)


def attributions(
    *,
    customer_id: str | None = None,
    model: Literal["first_touch", "last_touch", "linear", "time_decay", "position_based"] = "linear",
) -> Call[Page[answers.Attribution]]:
    """Read conversions with the touches they are due to, newest first."""
    return _get("/attribution", Page[answers.Attribution], customerId=customer_id, model=model)


def suppressions(customer_id: str) -> Call[Page[answers.Suppression]]:
    """Read what a customer is not shown now."""
    return _get(f"/customers/{_part(customer_id)}/suppressions", Page[answers.Suppression])


def experiments() -> Call[Page[answers.Experiment]]:
    """Read the experiments."""
    return _get("/experiments", Page[answers.Experiment])


def metrics() -> Call[Page[answers.BehavioralMetric]]:
    """Read the behavioural metrics."""
    return _get("/behavioral-metrics", Page[answers.BehavioralMetric])


def after(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """Return the call for the page behind this one, None if it was the last."""
    cursor = page.pagination.next_cursor
    return None if cursor is None else replace(call, params={**call.params, "cursor": cursor})


def _part(value: str) -> str:
    return quote(value, safe="")


def _object(**fields: Any) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    check_finite(given)
    return _encode(given)


def _get(path: str, kind: type[T], **params: str | int | None) -> Call[T]:
    given = {name: str(value) for name, value in params.items() if value is not None}
    return Call("GET", path, reader(kind), repeatable=True, params=given)


def _put(path: str, body: bytes, kind: type[T]) -> Call[T]:
    return Call("PUT", path, reader(kind), repeatable=True, headers=JSON, body=body)


def _post(path: str, body: bytes, kind: type[T]) -> Call[T]:
    return Call("POST", path, reader(kind), repeatable=False, headers=JSON, body=body)


def reader(kind: type[T]) -> Callable[[Reply], T]:
    """Return what reads an answer of this type."""
    decoder = msgspec.json.Decoder(kind)

    def read(reply: Reply) -> T:
        try:
            return decoder.decode(reply.content)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UnexpectedAnswer(
                f"the answer is not what was asked for: {error}",
                status=reply.status,
                request_id=reply.headers.get("x-request-id"),
            ) from error

    return read


_bulk = reader(answers.BulkAnswer)
_first = reader(Acknowledged)
_decided = reader(Recommended)


def _acknowledged(reply: Reply) -> Acknowledged:
    mismatch = reply.headers.get("idempotency-mismatch") == "true"
    return msgspec.structs.replace(_first(reply), log_position=_position(reply), mismatch=mismatch)


def _recommended(reply: Reply) -> Recommended:
    return msgspec.structs.replace(_decided(reply), log_position=_position(reply))


def _position(reply: Reply) -> int | None:
    told = reply.headers.get("x-log-position")
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal() and len(told) <= POSITION_DIGITS):
        raise UnexpectedAnswer(f"X-Log-Position is {told!r:.40}", status=reply.status)
    return int(told)
