"""Who may do what: every route of the API by every kind of key, generated from the application's own document."""

import itertools
from collections.abc import Iterator
from typing import Final, get_args

import httpx
import pytest
from redis.asyncio import Redis

from serve.app import build_app
from storage import tenants
from storage.apikeys import TENANT_SCOPES, Scope
from tests.integration.conftest import PEPPER, Api, client_of

pytestmark = pytest.mark.anyio

PREFIX: Final = "/api/v1"
OPEN: Final = {"/-/healthz", "/-/readyz", "/-/metrics"}
ADMIN: Final = ("/api-keys", "/gdpr", "/settings")
EXCEPTIONS: Final[dict[tuple[str, str], Scope]] = {
    ("post", "/respond"): "respond",
    ("post", "/respond/bulk"): "respond",
    ("post", "/recommend"): "recommend",
    ("put", "/recommendations/{recommendation_id}"): "recommend",
    ("post", "/algorithm-models/{model_id}/score"): "read",
    ("post", "/attribution"): "read",
}
"""Where the scope is not told by the method."""
PAST = "2020-01-01T00:00:00Z"


def needed(method: str, path: str) -> Scope:
    """Return the scope that docs/api.md names for a route."""
    if path.startswith("/tenants"):
        return "operator"
    if path.startswith(ADMIN):
        return "admin"
    return EXCEPTIONS.get((method, path), "read" if method == "get" else "write")


def operations() -> Iterator[tuple[str, str]]:
    """Yield method and path of each operation that the application documents."""
    for path, found in build_app(None).openapi()["paths"].items():  # type: ignore[arg-type]  # it is never opened
        if path not in OPEN:
            assert path.startswith(PREFIX), "a route outside of the API asks for no key: is that meant?"
            yield from ((method, path.removeprefix(PREFIX)) for method in found)


ROUTES: Final = list(operations())


async def status(http: httpx.AsyncClient, method: str, path: str) -> int:
    """Return what a route answers to a body that is no outcome, offer or anything else."""
    filled = path
    while "{" in filled:
        start, end = filled.index("{"), filled.index("}")
        filled = f"{filled[:start]}none{filled[end + 1 :]}"
    body = {} if method == "get" else {"json": {"surely": "unknown"}}
    return (await http.request(method.upper(), PREFIX + filled, **body)).status_code  # type: ignore[arg-type]


@pytest.fixture
async def keys(api: Api, redis: Redis, partitions: int) -> dict[str, dict[str, str]]:
    """Headers by who sends them."""

    async def made(tenant: str, *scopes: Scope, expires_at: str | None = None) -> str:
        key, _ = await tenants.create_key(redis, partitions, tenant, "k", list(scopes), PEPPER, 0, expires_at)
        return str(key)

    other = f"{api.tenant}-other"
    await tenants.create(redis, partitions, other, "O", 0)
    revoked = await made(api.tenant, "admin")
    assert (await api.delete(f"/api-keys/{revoked.split('_')[1]}")).status_code == 204
    presented: dict[str, str] = {
        "malformed": "rl_nonsense",
        "wrong": f"rl_{'0' * 16}_{'0' * 48}",
        "wrong secret": f"{(await made(api.tenant, 'admin'))[:-1]}x",
        "revoked": revoked,
        "expired": await made(api.tenant, "admin", expires_at=PAST),
        "another tenant's": await made(other, "admin"),
        **{scope: await made(api.tenant, scope) for scope in TENANT_SCOPES},
    }
    return {
        "nobody": {},
        "without a tenant": {"Authorization": f"Bearer {presented['admin']}"},
        **{who: {"X-Tenant-Id": api.tenant, "Authorization": f"Bearer {key}"} for who, key in presented.items()},
    }


def allowed(scope: Scope, wanted: Scope) -> bool:
    return wanted != "operator" and scope in (wanted, "admin")


async def test_every_route_by_every_key(api: Api, keys: dict[str, dict[str, str]]) -> None:
    assert {method for method, _ in ROUTES} == {"get", "post", "put", "delete"}
    assert len(ROUTES) > 60
    assert all(scope in get_args(Scope) for scope in EXCEPTIONS.values())
    assert set(EXCEPTIONS) <= set(ROUTES), "an exception for a route that is no more"
    wrong = []
    for who, (method, path) in itertools.product(keys, ROUTES):
        async with client_of(api.app, keys[who]) as http:
            found = await status(http, method, path)
        wanted = needed(method, path)
        if who in TENANT_SCOPES and wanted != "operator":
            right = found not in (401, 403) and found < 500 if allowed(who, wanted) else found == 403
        else:  # a tenant's key is no operator's, whatever its scopes
            right = found == 401
        if not right:
            wrong.append((who, method, path, found))
    assert wrong == []


async def test_a_disabled_tenants_keys_open_nothing(api: Api, redis: Redis, partitions: int) -> None:
    operator, _ = await tenants.create_key(redis, partitions, "_system", "op", ["operator"], PEPPER, 0, None)
    async with client_of(api.app, {"Authorization": f"Bearer {operator}"}) as http:
        assert (await http.post(f"{PREFIX}/tenants/{api.tenant}/disable")).status_code == 200
    found = {await status(api.http, method, path) for method, path in ROUTES}
    assert found == {401}


async def test_nobody_reads_what_another_tenant_has(api: Api, keys: dict[str, dict[str, str]]) -> None:
    assert (await api.respond("secret-key", customerId="secret-customer")).status_code == 201
    other = {**keys["another tenant's"], "X-Tenant-Id": f"{api.tenant}-other"}
    async with client_of(api.app, other) as http:
        for method, path in ROUTES:
            if method == "get" and not path.startswith("/tenants"):
                filled = path.replace("{customer_id}", "secret-customer").replace("{item_id}", "o1")
                filled = filled.replace("{model_id}", "model_default")
                told = (await http.get(PREFIX + filled, params={"customerId": "secret-customer"})).text
                assert "int_" not in told, path
                assert "Gold" not in told, path
