"""What the service answers, as frozen structs: the client returns them, the OpenAPI document is made of them.

Fields that a newer service adds are ignored; times are aware datetimes.
"""

from serve.client.answers.access import Audit, AuditRow, Key, KeyWithSecret, Settings, Tenant
from serve.client.answers.base import Answer, Page, Pagination
from serve.client.answers.catalog import (
    CatalogCounts,
    Category,
    Channel,
    ContactPolicy,
    Creative,
    FrequencyCap,
    Offer,
    OutcomeType,
    Placement,
)
from serve.client.answers.customers import (
    Attribution,
    BehavioralMetric,
    Erased,
    Event,
    MetricValues,
    Rollup,
    Summary,
    Suppression,
)
from serve.client.answers.decisions import Decision, Recommendation, Registered
from serve.client.answers.experiments import Experiment, ExperimentResults
from serve.client.answers.models import Model, ModelState, OfferState, Scores
from serve.client.answers.operations import Alive, Readiness
from serve.client.answers.outcomes import Acknowledgement, BulkAnswer, BulkError, BulkResult, ErrorAnswer

__all__ = [
    "Acknowledgement",
    "Alive",
    "Answer",
    "Attribution",
    "Audit",
    "AuditRow",
    "BehavioralMetric",
    "BulkAnswer",
    "BulkError",
    "BulkResult",
    "CatalogCounts",
    "Category",
    "Channel",
    "ContactPolicy",
    "Creative",
    "Decision",
    "Erased",
    "ErrorAnswer",
    "Event",
    "Experiment",
    "ExperimentResults",
    "FrequencyCap",
    "Key",
    "KeyWithSecret",
    "MetricValues",
    "Model",
    "ModelState",
    "Offer",
    "OfferState",
    "OutcomeType",
    "Page",
    "Pagination",
    "Placement",
    "Readiness",
    "Recommendation",
    "Registered",
    "Rollup",
    "Scores",
    "Settings",
    "Summary",
    "Suppression",
    "Tenant",
]
