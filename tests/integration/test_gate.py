"""What every request meets: keys, scopes, types, sizes, limits, ids, the one error shape."""

import asyncio

import httpx
import pytest
from redis.asyncio import Redis

from storage import tenants
from storage.apikeys import Scope
from tests.integration.conftest import PEPPER, Api, client_of

pytestmark = pytest.mark.anyio

OUTCOME = {"customerId": "c1", "creativeId": "cr1", "outcome": "click", "idempotencyKey": "k"}


def shape(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["status"], error["code"]) == (status, code)
    assert error["requestId"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Tenant-Id": "T"},
        {"Authorization": "Bearer K"},
        {"X-Tenant-Id": "T", "Authorization": "Basic K"},
        {"X-Tenant-Id": "T", "Authorization": "Bearer rl_0000000000000000_" + "0" * 48},
        {"X-Tenant-Id": "T", "X-API-Key": "rl_nonsense"},
        {"X-Tenant-Id": "nobody", "Authorization": "Bearer K"},
        {"X-Tenant-Id": "_system", "Authorization": "Bearer K"},
        {"X-Tenant-Id": "a:b{c}", "Authorization": "Bearer K"},
    ],
)
async def test_every_wrong_credential_gets_the_same_answer(api: Api, headers: dict[str, str]) -> None:
    real = {"T": api.tenant, "K": await api.key("admin")}
    sent = {name: value.replace("Bearer K", f"Bearer {real['K']}") for name, value in headers.items()}
    sent = {name: real["T"] if value == "T" else value for name, value in sent.items()}
    async with client_of(api.app, sent) as http:
        answer = await http.post("/api/v1/respond", json=OUTCOME)
    shape(answer, 401, "UNAUTHORIZED")
    assert answer.json()["error"]["message"] == "Missing or invalid X-Tenant-Id or API key"


@pytest.mark.parametrize(
    ("scope", "method", "path", "allowed"),
    [
        ("respond", "POST", "/respond", True),
        ("read", "POST", "/respond", False),
        ("read", "GET", "/offers", True),
        ("respond", "GET", "/offers", False),
        ("read", "POST", "/offers", False),
        ("write", "POST", "/offers", True),
        ("write", "GET", "/api-keys", False),
        ("admin", "GET", "/api-keys", True),
        ("admin", "GET", "/tenants", None),
        ("recommend", "PUT", "/recommendations/r1", True),
    ],
)
async def test_a_key_does_what_its_scopes_say(
    api: Api, scope: Scope, method: str, path: str, allowed: bool | None
) -> None:
    bodies: dict[str, object] = {
        "/respond": OUTCOME,
        "/offers": {"name": "N"},
        "/recommendations/r1": {"customerId": "c", "decisions": [{"rank": 1, "creativeId": "cr1"}]},
    }
    headers = {"X-Tenant-Id": api.tenant, "X-API-Key": await api.key(scope)}
    async with client_of(api.app, headers) as http:
        json = bodies[path] if method in {"POST", "PUT"} else None
        answer = await http.request(method, f"/api/v1{path}", json=json)
    if allowed:
        assert answer.status_code in {200, 201}
    elif allowed is None:
        shape(answer, 401, "UNAUTHORIZED")  # a tenant's key is unknown among the operator's
    else:
        shape(answer, 403, "FORBIDDEN")


async def test_a_revoked_key_is_refused_with_the_next_request(api: Api) -> None:
    made = (await api.post("/api-keys", {"name": "k", "scopes": ["respond"]})).json()
    assert set(made) == {"id", "name", "scopes", "key", "createdAt", "expiresAt"}
    headers = {"X-Tenant-Id": api.tenant, "Authorization": f"Bearer {made['key']}"}
    async with client_of(api.app, headers) as http:
        assert (await http.post("/api/v1/respond", json=OUTCOME)).status_code == 201
        assert (await api.delete(f"/api-keys/{made['id']}")).status_code == 204
        shape(await http.post("/api/v1/respond", json={**OUTCOME, "idempotencyKey": "k2"}), 401, "UNAUTHORIZED")
    listed = (await api.get("/api-keys")).json()["data"]
    assert made["id"] not in [key["id"] for key in listed]
    assert "sealed" not in str(listed)
    assert made["key"].rsplit("_", 1)[1] not in str(listed)


async def test_an_expired_key_is_refused(api: Api) -> None:
    headers = {"X-Tenant-Id": api.tenant, "X-API-Key": await api.key("respond", expires_at="2020-01-01T00:00:00Z")}
    async with client_of(api.app, headers) as http:
        shape(await http.post("/api/v1/respond", json=OUTCOME), 401, "UNAUTHORIZED")
    late = await api.post("/api-keys", {"name": "k", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z"})
    assert late.json()["error"]["message"] == "expiresAt must lie ahead"


async def test_the_order_of_checks(api: Api) -> None:
    too_large = b" " * (256 * 1024 + 1)
    wrong_type = {"Content-Type": "text/plain"}
    reader = {"X-Tenant-Id": api.tenant, "X-API-Key": await api.key("read")}
    async with client_of(api.app, {}) as http:
        answer = await http.post("/api/v1/respond", content=too_large, headers=wrong_type)
        shape(answer, 401, "UNAUTHORIZED")
    async with client_of(api.app, reader) as http:
        answer = await http.post("/api/v1/respond", content=too_large, headers=wrong_type)
        shape(answer, 403, "FORBIDDEN")
    answer = await api.http.post("/api/v1/respond", content=too_large, headers=wrong_type)
    shape(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    answer = await api.http.post("/api/v1/respond", content=too_large, headers={"Content-Type": "application/json"})
    shape(answer, 413, "PAYLOAD_TOO_LARGE")
    for path in ("/offers", "/respond/bulk"):
        answer = await api.http.post(f"/api/v1{path}", content=b"{}", headers=wrong_type)
        shape(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_that_announces_no_length_is_bounded_too(api: Api) -> None:
    async def chunks() -> "asyncio.AsyncIterator[bytes]":  # type: ignore[name-defined]
        for _ in range(300):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    shape(await api.http.post("/api/v1/offers", content=chunks(), headers=headers), 413, "PAYLOAD_TOO_LARGE")


async def test_unknown_paths_and_methods_have_the_one_shape(api: Api) -> None:
    shape(await api.get("/nothing"), 404, "NOT_FOUND")
    shape(await api.http.get("/"), 404, "NOT_FOUND")
    shape(await api.http.patch("/api/v1/offers"), 405, "METHOD_NOT_ALLOWED")
    shape(await api.get("/respond"), 405, "METHOD_NOT_ALLOWED")


async def test_a_sane_request_id_is_echoed_and_another_replaced(api: Api) -> None:
    sane = await api.get("/offers", headers={"X-Request-Id": "abc.DEF_1-2"})
    assert sane.headers["X-Request-Id"] == "abc.DEF_1-2"
    for insane in ("a b", "x" * 129, "<script>"):
        answer = await api.get("/offers", headers={"X-Request-Id": insane})
        assert answer.headers["X-Request-Id"].startswith("req_")


async def test_other_routes_have_limits_of_their_own(api: Api) -> None:
    await api.put("/settings", {"rateLimits": {"default": 2}})
    statuses = [(await api.get("/offers")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await api.get("/channels")).status_code == 200
    assert (await api.respond("k")).status_code == 201


async def test_bad_query_parameters_are_400(api: Api) -> None:
    answer = await api.get("/offers?limit=101")
    shape(answer, 400, "BAD_REQUEST")
    assert answer.json()["error"]["message"] == "limit must be at most 100"
    shape(await api.get("/offers?cursor=%25%25"), 400, "BAD_REQUEST")


async def test_operators_make_and_disable_tenants(api: Api, redis: Redis, partitions: int) -> None:
    key, _ = await tenants.create_key(redis, partitions, "_system", "op", ["operator"], PEPPER, 0)
    async with client_of(api.app, {"X-API-Key": str(key)}) as http:
        made = await http.post("/api/v1/tenants", json={"id": f"{api.tenant}x", "name": "X"})
        assert made.status_code == 201
        assert made.json()["status"] == "active"
        shape(await http.post("/api/v1/tenants", json={"id": f"{api.tenant}x"}), 409, "CONFLICT")
        shape(await http.post("/api/v1/tenants", json={"id": "a:b"}), 400, "BAD_REQUEST")
        assert (await http.get(f"/api/v1/tenants/{api.tenant}/settings")).json()["holdoutPercent"] == 0
        changed = await http.put(f"/api/v1/tenants/{api.tenant}/settings", json={"retentionDays": 30})
        assert changed.json()["retentionDays"] == 30
        shape(await http.get("/api/v1/tenants/nobody/settings"), 404, "NOT_FOUND")
        assert (await http.get("/api/v1/tenants?limit=100")).json()["pagination"]["total"] >= 2
        assert (await api.respond("k")).status_code == 201
        assert (await http.post(f"/api/v1/tenants/{api.tenant}/disable")).json()["status"] == "disabled"
        shape(await api.respond("k2"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"rateLimits": {"respond": 0}}, "rateLimits.respond must be at least 1"),
        ({"idempotency": {"ttlHours": 2161}}, "idempotency.ttlHours must be at most 2160"),
        ({"holdoutPercent": 101}, "holdoutPercent must be at most 100"),
        ({"colour": 1}, "colour is not a setting"),
        ({"halfLife": {"events": 0}}, "halfLife.events must be greater than 0"),
        ({"halfLife": {}}, "halfLife must have either events or seconds"),
    ],
)
async def test_settings_are_validated(api: Api, patch: dict[str, object], message: str) -> None:
    answer = await api.put("/settings", patch)
    shape(answer, 400, "BAD_REQUEST")
    assert answer.json()["error"]["message"] == message


async def test_null_sets_a_setting_back_and_a_group_keeps_what_is_not_named(api: Api) -> None:
    await api.put("/settings", {"retentionDays": 30, "rateLimits": {"bulk": 7}, "halfLife": {"events": 500}})
    changed = (await api.put("/settings", {"retentionDays": None, "rateLimits": {"respond": 8}})).json()
    assert (changed["retentionDays"], changed["halfLife"]) == (400, {"events": 500})
    assert (changed["rateLimits"]["bulk"], changed["rateLimits"]["respond"]) == (7, 8)
    assert (await api.put("/settings", {"halfLife": {"seconds": 60}})).json()["halfLife"] == {"seconds": 60}
    assert (await api.put("/settings", {"halfLife": None})).json()["halfLife"] is None


async def test_operations_ask_for_no_key(api: Api) -> None:
    async with client_of(api.app, {}) as http:
        assert (await http.get("/-/healthz")).json() == {"status": "alive"}
        assert (await http.get("/openapi.json")).json()["paths"]["/api/v1/respond"]["post"]
        assert (await http.get("/docs")).status_code == 200
        await api.respond("k")
        figures = (await http.get("/-/metrics")).text
    assert 'rewardloop_outcomes_total{status="recorded"} 1.0' in figures
    assert api.tenant not in figures
