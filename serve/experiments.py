"""Experiments: what may be written of them, who takes which part, and what they have shown. All of it is pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field

from learners.answers import CHAMPION
from learners.assignment import assigned, held_out
from learners.experiments import MISMATCH, Arm, Comparison, compare, sample_ratio
from serve.catalog import Kind
from serve.errors import bad_request
from serve.fields import Body, Id
from storage.config import Doc, Reference, TenantConfig, Write
from storage.experiments import Tally

HOLDOUT: Final = "holdout"
"""The variant that no model decides for."""
MODEL: Final = "model"
ROUNDING: Final = 1e-6
"""Percents may miss 100 by what floats lose."""

Percent = Annotated[float, Field(ge=0, le=100)]
Key = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:-]+$")]
Status = Literal["draft", "active", "paused", "completed", "archived"]


class TrafficSplit(Body):
    """What the champion takes of the customers that are not held out."""

    champion_pct: Percent


class Challenger(Body):
    """A model that takes part, and what it takes."""

    model_id: Id
    traffic_pct: Percent


class ExperimentBody(Body):
    """Models against each other, and against none."""

    key: Key
    status: Status = "draft"
    champion_model_id: Id
    traffic_split: TrafficSplit
    challengers: Annotated[list[Challenger], Field(max_length=10)] = []
    holdout_percent: Percent = 0.0
    auto_promote: bool = False
    promote_threshold: Annotated[float, Field(ge=0.5, le=0.9999)] = 0.95
    promote_after_days: Annotated[float, Field(ge=0, le=365)] = 7.0


EXPERIMENT: Final = Kind("experiment", "experiments", ExperimentBody, {"championModelId": MODEL}, unique="key")

FROZEN: Final = ("key", "championModelId", "trafficSplit", "challengers", "holdoutPercent")
"""What cannot change once customers have been assigned."""
MOVES: Final[dict[Status, frozenset[Status]]] = {
    "draft": frozenset({"active", "archived"}),
    "active": frozenset({"paused", "completed", "archived"}),
    "paused": frozenset({"active", "completed", "archived"}),
    "completed": frozenset({"archived"}),
    "archived": frozenset(),
}


class Seat(NamedTuple):
    """The part that a customer takes: which model decides, or none for a control group."""

    model_id: str = CHAMPION
    variant: str | None = None
    experiment_id: str | None = None
    control: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One side of an experiment; `percent` is of all customers. The holdout has no model."""

    name: str
    role: Literal["champion", "challenger", "holdout"]
    model_id: str | None
    percent: float


def checked(write: Write, config: TenantConfig) -> Write:
    """Return the write of an experiment that makes sense, with its start, its outcome and references to its models.

    Raises:
        ApiError: 400, a field breaks a rule.
    """
    doc = write.doc
    if abs(sum(_shares(doc)) - 100) > ROUNDING:
        raise bad_request("trafficSplit.championPct", "and the challengers' trafficPct must add up to 100")
    models = _model_ids(doc)
    if len(set(models)) < len(models):
        raise bad_request("challengers", "must be models that differ from each other and from the champion")
    item = config.get(EXPERIMENT.name, write.item_id)
    before = None if item is None else item.doc
    _check_move(before, doc)
    if doc["status"] == "active":
        _check_ready(write, config)
    started = None if before is None else before["startedAt"]
    if started is None and doc["status"] == "active":
        started = doc["updatedAt"]
    references = [
        Reference(f"challengers.{n}.modelId", MODEL, one["modelId"]) for n, one in enumerate(doc["challengers"])
    ]
    promoted = None if before is None else before["promotedModelId"]
    told = {"startedAt": started, "promotedModelId": promoted}
    return replace(write, doc={**doc, **told}, references=[*write.references, *references])


def _check_move(before: Doc | None, doc: Doc) -> None:
    if before is None:
        return
    if doc["status"] != before["status"] and doc["status"] not in MOVES[before["status"]]:
        allowed = ", ".join(sorted(MOVES[before["status"]])) or "nothing"
        raise bad_request("status", f"must be one of: {allowed} (the experiment is {before['status']})")
    for name in FROZEN:
        if before["startedAt"] is not None and doc[name] != before[name]:
            raise bad_request(name, "cannot be changed once the experiment has started")


def _check_ready(write: Write, config: TenantConfig) -> None:
    for other_id, other in config.of_kind(EXPERIMENT.name).items():
        if other.live and other.doc["status"] == "active" and other_id != write.item_id:
            raise bad_request("status", f"cannot be active while experiment {other.doc['key']!r} is")
    for place, model_id in zip(_places(write.doc), _model_ids(write.doc), strict=True):
        model = config.get(MODEL, model_id)
        if model is None:
            continue  # the store refuses the reference
        wanted = "champion" if place == "championModelId" else "challenger"
        if model.doc["status"] != wanted:
            raise bad_request(place, f"must be a {wanted}, it is {model.doc['status']}")
        if model.doc["key"] == HOLDOUT:
            raise bad_request(place, f"must not have the key {HOLDOUT}, which means no model here")


def _places(doc: Doc) -> list[str]:
    return ["championModelId", *(f"challengers.{n}.modelId" for n in range(len(doc["challengers"])))]


def _model_ids(doc: Doc) -> list[str]:
    return [doc["championModelId"], *(one["modelId"] for one in doc["challengers"])]


def _shares(doc: Doc) -> list[float]:
    return [doc["trafficSplit"]["championPct"], *(one["trafficPct"] for one in doc["challengers"])]


def variants(config: TenantConfig, doc: Doc) -> list[Variant]:
    """Return the sides of an experiment: champion, challengers in order, then the holdout where there is one."""
    rest = (100 - doc["holdoutPercent"]) / 100
    items = config.of_kind(MODEL)
    found = [
        Variant(items[model_id].doc["key"], "challenger" if n else "champion", model_id, share * rest)
        for n, (model_id, share) in enumerate(zip(_model_ids(doc), _shares(doc), strict=True))
    ]
    if doc["holdoutPercent"]:
        found.append(Variant(HOLDOUT, "holdout", None, doc["holdoutPercent"]))
    return found


def running(config: TenantConfig) -> Doc | None:
    """Return the experiment that is active, None if there is none."""
    docs = [item.doc for item in config.of_kind(EXPERIMENT.name).values() if item.live]
    active = [doc for doc in docs if doc["status"] == "active"]
    return min(active, key=lambda doc: (doc["startedAt"], doc["id"]), default=None)


def seat(config: TenantConfig, holdout_percent: float, experiment: Doc | None, customer_id: str) -> Seat:
    """Return the part that a customer takes; the tenant's own holdout comes first.

    Args:
        config: The tenant's.
        holdout_percent: Of the tenant's settings.
        experiment: The one that is active.
        customer_id: Who.
    """
    if holdout_percent and held_out(HOLDOUT, customer_id, holdout_percent):
        return Seat(variant=HOLDOUT, control=True)
    if experiment is None:
        return Seat()
    place = assigned(experiment["key"], customer_id, experiment["holdoutPercent"], _shares(experiment))
    if place is None:
        return Seat(CHAMPION, HOLDOUT, experiment["id"], control=True)
    model_id = _model_ids(experiment)[place]
    return Seat(model_id, config.of_kind(MODEL)[model_id].doc["key"], experiment["id"])


def results(doc: Doc, sides: Sequence[Variant], tallies: Sequence[Tally]) -> dict[str, Any]:
    """Return what an experiment has shown: each variant, each challenger against the champion, all against none."""
    arms = [Arm(tally.samples, tally.conversions) for tally in tallies]
    treated = [arm for side, arm in zip(sides, arms, strict=True) if side.role != "holdout"]
    whole = Arm(sum(arm.samples for arm in treated), sum(arm.conversions for arm in treated))
    rows = [
        {**_row(side, arm, tally), **_compared(compare(arm, arms[0]) if side.role == "challenger" else None)}
        for side, arm, tally in zip(sides, arms, tallies, strict=True)
    ]
    held = next((arm for side, arm in zip(sides, arms, strict=True) if side.role == "holdout"), None)
    ratio = sample_ratio([tally.customers for tally in tallies], [side.percent for side in sides])
    return {
        "experimentId": doc["id"],
        "key": doc["key"],
        "status": doc["status"],
        "startedAt": doc["startedAt"],
        "variants": rows,
        "treatedVersusHoldout": None if held is None else _compared(compare(whole, held)),
        "sampleRatio": {"pValue": ratio, "mismatch": ratio is not None and ratio < MISMATCH},
    }


def _row(side: Variant, arm: Arm, tally: Tally) -> dict[str, Any]:
    lower, upper = arm.interval
    return {
        "variant": side.name,
        "role": side.role,
        "modelId": side.model_id,
        "trafficPct": side.percent,
        "customers": tally.customers,
        "samples": arm.samples,
        "conversions": arm.conversions,
        "conversionRate": arm.rate,
        "ciLower": lower,
        "ciUpper": upper,
    }


def _compared(found: Comparison | None) -> dict[str, Any]:
    """Return a comparison's fields; all are null for what is compared with nothing."""
    return {
        "uplift": found and found.uplift,
        "relativeUplift": found and found.relative_uplift,
        "zScore": found and found.z_score,
        "pValue": found and found.p_value,
        "insufficientData": found and found.insufficient,
        "alwaysValidPValue": found and found.always_valid_p_value,
        "upliftLower": found and found.lower,
        "upliftUpper": found and found.upper,
    }
