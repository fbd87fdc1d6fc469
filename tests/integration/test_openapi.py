"""The OpenAPI document is valid, complete, and true: every route's real answers are what it says."""

import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from redis.asyncio import Redis

from serve.app import build_app
from storage import tenants
from tests.integration.conftest import PEPPER, Api
from tests.integration.documented import Documented

pytestmark = pytest.mark.anyio

LATER = "2100-01-01T00:00:00Z"
METHODS = ("get", "put", "post", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_app(nullcontext).openapi()  # type: ignore[arg-type]  # it is not started


@pytest.fixture
async def documented(api: Api, document: dict[str, Any]) -> AsyncIterator[Documented]:
    checker = Documented(document)
    api.http.event_hooks = {"response": [checker.check]}
    yield checker
    api.http.event_hooks = {}


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, each in document["paths"].items() for method, one in each.items()]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    ids = [one["operationId"] for _, _, one in operations(document)]
    assert len(set(ids)) == len(ids)
    for path, method, one in operations(document):
        name = f"{method} {path}"
        assert method in METHODS, name
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", one["operationId"]), name
        assert one["summary"], name
        assert len(one["tags"]) == 1, name
        assert set(one["tags"]) <= tags, name
        assert any(status.startswith("2") for status in one["responses"]), name
        assert all(parameter["description"] for parameter in one.get("parameters", [])), name
        assert one["security"] == [] if path.startswith("/-/") else len(one["security"]) == 2, name


def test_every_body_and_answer_is_typed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, method, one in operations(document):
        for status, answer in one["responses"].items():
            if "$ref" in answer or "content" not in answer:
                continue
            for media, content in answer["content"].items():
                typed = content["schema"].keys() & {"$ref", "items"}
                assert typed or media == "text/plain", f"{method} {path} {status}"
        for media, content in one.get("requestBody", {}).get("content", {}).items():
            assert "ndjson" in media or "$ref" in content["schema"], f"{method} {path}"
    for name, schema in schemas.items():
        assert schema["properties"], name
        assert schema["description"], name
        assert "title" not in schema, name


def test_a_second_call_gives_the_same(document: dict[str, Any]) -> None:
    app = build_app(nullcontext)  # type: ignore[arg-type]
    assert app.openapi() == app.openapi() == document


async def test_every_answer_is_as_documented(
    api: Api, documented: Documented, document: dict[str, Any], redis: Redis, partitions: int
) -> None:
    await _outcomes(api, documented)
    await _catalogue(api, documented)
    await _rules(api, documented)
    await _models(api, documented)
    await _reading(api)
    await _access(api, documented)
    await _operator(api, documented, redis, partitions)
    await _operations(api)
    await _errors(api)
    wanted = {
        (one["operationId"], int(status))
        for _, _, one in operations(document)
        for status in one["responses"]
        if status.startswith("2")
    }
    assert wanted - documented.seen == set()


async def sent(answer: httpx.Response, documented: Documented, status: int) -> Any:
    """Return an answer's body; what was sent must be as documented, too."""
    assert answer.status_code == status, answer.text
    documented.check_sent(answer.request)
    return answer.json() if answer.content else None


async def _outcomes(api: Api, documented: Documented) -> None:
    whole = {
        "timestamp": "2026-01-01T00:00:00Z",
        "conversionValue": 5.5,
        "attributes": {"tier": "gold", "age": 38, "new": True},
        "context": {"page": "home"},
        "outcomeDetails": {"a": [1]},
        "direction": "inbound",
        "responseTime": 12,
        "rank": 1,
    }
    for status in (201, 200):
        await sent(await api.respond("k1", outcome="purchase", **whole), documented, status)
    item = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k2"}
    items = [item, item, {**item, "idempotencyKey": "k3", "creativeId": "none"}]
    await sent(await api.post("/respond/bulk", {"outcomes": items}), documented, 207)
    asked = {"customerId": "c1", "attributes": {"age": 38}, "segments": ["new"], "debug": True}
    made = await sent(await api.post("/recommend", {**asked, "excludeOffers": ["o2"]}), documented, 200)
    assert made["decisions"]
    await sent(await api.post("/recommend", {"customerId": "c2"}), documented, 200)
    registered = {"customerId": "c1", "decisions": [{"rank": 1, "creativeId": "cr1", "propensity": 0.5}]}
    for status in (201, 200):
        await sent(await api.put("/recommendations/r1", registered), documented, status)


async def _crud(api: Api, documented: Documented, path: str, body: dict[str, Any], change: dict[str, Any]) -> str:
    made = await sent(await api.post(path, body), documented, 201)
    item = f"{path}/{made['id']}"
    await sent(await api.get(item), documented, 200)
    await sent(await api.put(item, change), documented, 200)
    assert (await api.get(path)).status_code == 200
    return str(item)


async def _catalogue(api: Api, documented: Documented) -> None:
    for path, body, change in (
        ("/categories", {"id": "cat9", "name": "Nine"}, {"status": "paused"}),
        ("/channels", {"id": "ch9", "name": "Nine", "channelType": "sms"}, {"impressionMode": "implicit"}),
        ("/placements", {"id": "pl9", "name": "Nine", "channelId": "ch1"}, {"slotType": "banner"}),
        (
            "/offers",
            {"id": "o9", "name": "Nine", "metadata": {"a": 1}},
            {"schedule": {"endAt": "2030-01-01T00:00:00Z"}},
        ),
        ("/creatives", {"id": "cr9", "name": "N", "offerId": "o1", "channelId": "ch1"}, {"weight": 0.5}),
        ("/outcome-types", {"key": "wow", "name": "Wow", "classification": "positive"}, {"ordinal": 3}),
    ):
        item = await _crud(api, documented, path, body, change)
        assert (await api.get(f"{path}?includeDeleted=true")).status_code == 200
        assert (await api.delete(item)).status_code == 204
    catalog = {
        "offers": [{"id": "o1", "name": "Gold", "tags": ["a"], "schedule": {"startAt": None, "endAt": None}}],
        "outcomeTypes": [{"key": "wow2", "name": "Wow"}],
    }
    await sent(await api.put("/catalog", catalog), documented, 200)


async def _rules(api: Api, documented: Documented) -> None:
    cap = {"name": "Cap", "scope": "offer", "scopeId": "o1", "maxVolume": 5, "period": "daily"}
    policy = {
        "name": "Quiet",
        "ruleType": "outcome_based",
        "config": {"afterOutcome": ["purchase"], "suppressForDays": 3000},
        "scopes": [{"scope": "offer", "scopeId": "o1"}],
    }
    metric = {
        "name": "Revenue",
        "aggregateFunction": "sum",
        "sourceField": "conversionValue",
        "groupByDimensions": ["offerId"],
        "filterConditions": {"classification": "positive"},
    }
    caps = await _crud(api, documented, "/frequency-caps", cap, {"maxVolume": 6})
    policies = await _crud(api, documented, "/contact-policies", policy, {"priority": 60})
    metrics = await _crud(api, documented, "/behavioral-metrics", metric, {"windowDays": 7})
    await api.respond("k4", outcome="purchase", conversionValue=3)
    assert (await api.get("/customers/c1/suppressions")).json()["data"]
    assert (await api.get(f"{metrics}/values")).json()["data"]
    for item in (caps, policies, metrics):
        assert (await api.delete(item)).status_code == 204


async def _models(api: Api, documented: Documented) -> None:
    body = {"key": "m2", "modelType": "epsilon_greedy", "status": "shadow", "config": {"epsilon": 0.2}}
    made = await sent(await api.post("/algorithm-models", body), documented, 201)
    learner = {"key": "m3", "modelType": "online_learner", "status": "shadow", "config": {"weights": {"age": 0.1}}}
    other = await sent(await api.post("/algorithm-models", learner), documented, 201)
    model = f"/algorithm-models/{made['id']}"
    await sent(await api.put(model, {"outcomeWeights": {"click": 0.5}}), documented, 200)
    await sent(await api.post(f"{model}/promote", {"to": "challenger"}), documented, 200)
    await sent(await api.post(f"{model}/reset", {}), documented, 200)
    await sent(await api.post(f"{model}/score", {"attributes": {"age": 1}}), documented, 200)
    await api.respond("k5")
    for path in ("", f"/{made['id']}", f"/{made['id']}/state", f"/{other['id']}/state", "/model_default/state"):
        assert (await api.get(f"/algorithm-models{path}")).status_code == 200
    experiment = {
        "key": "e1",
        "championModelId": "model_default",
        "trafficSplit": {"championPct": 50},
        "challengers": [{"modelId": made["id"], "trafficPct": 50}],
        "holdoutPercent": 10,
    }
    item = await _crud(api, documented, "/experiments", experiment, {"status": "active"})
    assert (await api.post("/recommend", {"customerId": "c7"})).status_code == 200
    assert (await api.get(f"{item}/results")).json()["variants"]
    assert (await api.delete(item)).status_code == 204


async def _reading(api: Api) -> None:
    for path in (
        "/interaction-history?limit=2",
        "/interaction-history?customerId=c1&type=purchase",
        "/interaction-summaries?customerId=c1",
        "/interaction-summary?groupBy=category&days=400",
        "/interaction-summary?groupBy=offer&days=7&by=day",
        "/attribution?customerId=c1&model=time_decay",
    ):
        assert (await api.get(path)).json()["data"], path
    conversion = (await api.get("/attribution?customerId=c1")).json()["data"][0]
    asked = {"customerId": "c1", "conversionId": conversion["conversionId"], "model": "linear"}
    assert (await api.post("/attribution", asked)).status_code == 200


async def _access(api: Api, documented: Documented) -> None:
    await sent(await api.put("/settings", {"rateLimits": {"default": 500}, "holdoutPercent": 1}), documented, 200)
    assert (await api.get("/settings")).status_code == 200
    key = {"name": "another", "scopes": ["read"], "expiresAt": LATER}
    made = await sent(await api.post("/api-keys", key), documented, 201)
    for path in ("/api-keys", f"/api-keys/{made['id']}", "/audit-logs?limit=100", "/audit-logs/verify"):
        assert (await api.get(path)).status_code == 200
    assert (await api.delete(f"/api-keys/{made['id']}")).status_code == 204
    await sent(await api.post("/gdpr/erasure", {"customerId": "c1"}), documented, 200)


async def _operator(api: Api, documented: Documented, redis: Redis, partitions: int) -> None:
    key, _ = await tenants.create_key(redis, partitions, "_system", "op", ["operator"], PEPPER, 0)
    headers = {"X-API-Key": str(key), "Authorization": "", "X-Tenant-Id": ""}
    made = await api.post("/tenants", {"id": f"{api.tenant}y"}, headers=headers)
    await sent(made, documented, 201)
    tenant = f"/tenants/{api.tenant}y"
    for path in ("/tenants", tenant, f"{tenant}/settings"):
        assert (await api.get(path, headers=headers)).status_code == 200
    await sent(await api.put(f"{tenant}/settings", {"retentionDays": 7}, headers=headers), documented, 200)
    await sent(await api.post(f"{tenant}/disable", {}, headers=headers), documented, 200)


async def _operations(api: Api) -> None:
    for path in ("healthz", "readyz", "metrics"):
        assert (await api.http.get(f"/-/{path}")).status_code == 200


async def _errors(api: Api) -> None:
    """Have each status answered that a caller can bring about."""
    wrong = {"Content-Type": "text/plain"}
    assert (await api.respond("k", outcome=7)).status_code == 400
    assert (await api.respond("k", creativeId="none")).status_code == 404
    assert (await api.http.post("/api/v1/respond", content=b"{}", headers=wrong)).status_code == 415
    assert (await api.post("/offers", {"name": "x" * 300_000})).status_code == 413
    assert (await api.get("/offers", headers={"X-Tenant-Id": "nobody"})).status_code == 401
    assert (await api.post("/offers", {"id": "o1", "name": "Again"})).status_code == 409
    assert (await api.post("/recommend", {"customerId": "c", "channel": "none"})).status_code == 400
    reader = {"Authorization": f"Bearer {await api.key('read')}"}
    assert (await api.post("/offers", {"name": "x"}, headers=reader)).status_code == 403
    await api.put("/settings", {"idempotency": {"onMismatch": "reject"}, "rateLimits": {"recommend": 1}})
    await api.respond("k9")
    assert (await api.respond("k9", outcome="view")).status_code == 422
    statuses = [(await api.post("/recommend", {"customerId": "c"})).status_code for _ in range(2)]
    assert statuses[-1] == 429
