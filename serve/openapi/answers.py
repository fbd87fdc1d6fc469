"""What each operation is called and what it answers when all is well, by method and path."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from serve.catalog import ALL_KINDS, OUTCOME_TYPE
from serve.client import answers
from serve.client.answers import Page
from serve.jsonschema import inlined, optional
from serve.routes.catalog import body_schema
from serve.routes.tenants import SettingsBody


@dataclass(frozen=True, slots=True)
class Answered:
    """An operation's name and its answers by status; None is no body, `str` is text.

    `body` stands in for the request body that a route does not tell FastAPI of.
    """

    operation_id: str
    answers: Mapping[int, Any]
    body: Mapping[str, Any] | None = None


def _reading(name: str, answer: Any) -> Answered:
    return Answered(name, {200: answer})


def _crud(path: str, one: str, many: str, answer: Any) -> dict[str, Answered]:
    return {
        f"POST {path}": Answered(f"create{one}", {201: answer}),
        f"GET {path}": _reading(f"list{many}", Page[answer]),
        f"GET {path}/{{}}": _reading(f"get{one}", answer),
        f"PUT {path}/{{}}": _reading(f"update{one}", answer),
        f"DELETE {path}/{{}}": Answered(f"delete{one}", {204: None}),
    }


def _catalog_body() -> dict[str, Any]:
    """Return the schema of a whole catalogue: items as they are created, found by id or key."""
    parts = {}
    for kind in ALL_KINDS:
        item = body_schema(kind, merge=False)["requestBody"]["content"]["application/json"]["schema"]
        item["required"] = sorted({*item.get("required", ()), "key" if kind is OUTCOME_TYPE else "id"})
        parts[kind.plural] = {"type": "array", "items": item}
    return {"type": "object", "properties": parts, "description": "Items to make or change, by kind."}


_SETTINGS: Final = optional(inlined(SettingsBody.model_json_schema(by_alias=True)))

ANSWERED: Final[Mapping[str, Answered]] = {
    "POST /respond": Answered("respond", {201: answers.Acknowledgement, 200: answers.Acknowledgement}),
    "POST /respond/bulk": Answered("respondBulk", {207: answers.BulkAnswer}),
    "POST /recommend": _reading("recommend", answers.Recommendation),
    "PUT /recommendations/{}": Answered(
        "registerRecommendation", {201: answers.Registered, 200: answers.Registered}
    ),
    **_crud("/outcome-types", "OutcomeType", "OutcomeTypes", answers.OutcomeType),
    "GET /outcome-types": _reading("listOutcomeTypes", list[answers.OutcomeType]),
    **_crud("/categories", "Category", "Categories", answers.Category),
    **_crud("/channels", "Channel", "Channels", answers.Channel),
    **_crud("/placements", "Placement", "Placements", answers.Placement),
    **_crud("/offers", "Offer", "Offers", answers.Offer),
    **_crud("/creatives", "Creative", "Creatives", answers.Creative),
    "PUT /catalog": Answered("putCatalog", {200: answers.CatalogCounts}, _catalog_body()),
    "GET /algorithm-models": _reading("listModels", Page[answers.Model]),
    "POST /algorithm-models": Answered("createModel", {201: answers.Model}),
    "GET /algorithm-models/{}": _reading("getModel", answers.Model),
    "PUT /algorithm-models/{}": _reading("updateModel", answers.Model),
    "POST /algorithm-models/{}/promote": _reading("promoteModel", answers.Model),
    "POST /algorithm-models/{}/reset": _reading("resetModel", answers.Model),
    "POST /algorithm-models/{}/score": _reading("scoreOffers", answers.Scores),
    "GET /algorithm-models/{}/state": _reading("getModelState", answers.ModelState),
    "GET /interaction-history": _reading("listEvents", Page[answers.Event]),
    "GET /interaction-summaries": _reading("listSummaries", Page[answers.Summary]),
    "GET /interaction-summary": _reading("getRollup", answers.Rollup),
    "GET /attribution": _reading("listAttributions", Page[answers.Attribution]),
    "POST /attribution": _reading("attribute", answers.Attribution),
    **_crud("/behavioral-metrics", "BehavioralMetric", "BehavioralMetrics", answers.BehavioralMetric),
    "GET /behavioral-metrics/{}/values": _reading("getMetricValues", answers.MetricValues),
    **_crud("/frequency-caps", "FrequencyCap", "FrequencyCaps", answers.FrequencyCap),
    **_crud("/contact-policies", "ContactPolicy", "ContactPolicies", answers.ContactPolicy),
    "GET /customers/{}/suppressions": _reading("listSuppressions", Page[answers.Suppression]),
    **_crud("/experiments", "Experiment", "Experiments", answers.Experiment),
    "GET /experiments/{}/results": _reading("getExperimentResults", answers.ExperimentResults),
    "POST /gdpr/erasure": _reading("eraseCustomer", answers.Erased),
    "GET /audit-logs": _reading("listAuditLog", Page[answers.AuditRow]),
    "GET /audit-logs/verify": _reading("verifyAuditLog", answers.Audit),
    "GET /api-keys": _reading("listApiKeys", Page[answers.Key]),
    "POST /api-keys": Answered("createApiKey", {201: answers.KeyWithSecret}),
    "GET /api-keys/{}": _reading("getApiKey", answers.Key),
    "DELETE /api-keys/{}": Answered("revokeApiKey", {204: None}),
    "GET /tenants": _reading("listTenants", Page[answers.Tenant]),
    "POST /tenants": Answered("createTenant", {201: answers.Tenant}),
    "GET /tenants/{}": _reading("getTenant", answers.Tenant),
    "POST /tenants/{}/disable": _reading("disableTenant", answers.Tenant),
    "GET /tenants/{}/settings": _reading("getTenantSettings", answers.Settings),
    "PUT /tenants/{}/settings": Answered("updateTenantSettings", {200: answers.Settings}, _SETTINGS),
    "GET /settings": _reading("getSettings", answers.Settings),
    "PUT /settings": Answered("updateSettings", {200: answers.Settings}, _SETTINGS),
    "GET /-/healthz": _reading("getHealth", answers.Alive),
    "GET /-/readyz": Answered("getReadiness", {200: answers.Readiness, 503: answers.Readiness}),
    "GET /-/metrics": _reading("getMetrics", str),
}
