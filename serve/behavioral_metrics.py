"""Behavioural metrics as configuration: what may be measured."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from serve.catalog import Kind, Name
from serve.errors import bad_request
from serve.fields import Body, Id
from storage.config import Doc, TenantConfig, Write
from storage.metrics import ATTRIBUTE, Aggregate, Dimension, Measured, Metric

MAX_METRICS: Final = 20
"""Each is one more row to write in every commit."""
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
SOURCES: Final = frozenset({"conversionValue", "responseTime"})


def _source(value: str) -> str:
    named = value.startswith(ATTRIBUTE) and len(value) > len(ATTRIBUTE)
    if value not in SOURCES and not named:
        raise ValueError("must be conversionValue, responseTime or attributes.NAME")
    return value


def _distinct(value: list[Dimension]) -> list[Dimension]:
    if len(set(value)) < len(value):
        raise ValueError("must not name a dimension twice")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Wanted = Annotated[
    list[Id], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=100)
]


class BehavioralMetric(Body):
    """A number of outcomes: over `windowDays` UTC days, today included, or over all time."""

    name: Name
    aggregate_function: Aggregate
    source_field: Annotated[str, Field(max_length=300), AfterValidator(_source)] | None = None
    window_days: Annotated[int, Field(ge=1, le=400)] | None = None
    group_by_dimensions: Annotated[list[Dimension], AfterValidator(_distinct)] = []
    filter_conditions: dict[Dimension, Wanted] = {}


METRIC: Final = Kind("behavioralMetric", "behavioral-metrics", BehavioralMetric, {})


def checked(write: Write, config: TenantConfig) -> Write:
    """Return the write of a metric that has what it needs, and no more.

    Raises:
        ApiError: 400, the source does not fit the function, or there are too many metrics.
    """
    doc = write.doc
    if doc["aggregateFunction"] == "count" and doc["sourceField"] is not None:
        raise bad_request("sourceField", "must not be given for count")
    if doc["aggregateFunction"] != "count" and doc["sourceField"] is None:
        raise bad_request("sourceField", f"is required for {doc['aggregateFunction']}")
    live = sum(item.live for item in config.of_kind(METRIC.name).values())
    if write.expected is None and live >= MAX_METRICS:
        raise bad_request("name", f"is one more than the {MAX_METRICS} metrics that a tenant may have")
    return write


def metric_of(doc: Doc) -> Metric:
    """Return what a metric's item measures."""
    return Metric(
        id=doc["id"],
        aggregate=doc["aggregateFunction"],
        source=doc["sourceField"],
        window_days=doc["windowDays"],
        dimensions=tuple(doc["groupByDimensions"]),
        filters=doc["filterConditions"],
    )


def active(config: TenantConfig) -> list[Metric]:
    """Return the metrics that outcomes move."""
    return [metric_of(item.doc) for item in config.of_kind(METRIC.name).values() if item.live]


def row(metric: Metric, group: Sequence[str], measured: Measured) -> Doc:
    """Return a group as it is answered."""
    dimensions = {name: value or None for name, value in zip(metric.dimensions, group, strict=True)}
    return {"dimensions": dimensions, "value": measured.value(metric.aggregate), "count": measured.number}
