"""The console without a browser: what anybody gets, what the dashboard's login opens, and what it does not."""

import re
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
from redis.asyncio import Redis

from serve.app import build_app
from serve.console.dashboard import COOKIE, Dashboard
from serve.console.pages import PANELS
from serve.plan import Plan
from serve.services import open_services
from storage import logins
from tests.conftest import RedisServer
from tests.integration.conftest import PEPPER, Api, client_of
from tests.integration.source import names

pytestmark = pytest.mark.anyio

TOKEN = "f" * 64
DASHBOARD = Dashboard(8265, TOKEN)
LOGGED_IN = {"Cookie": f"{COOKIE}={TOKEN}"}


@pytest.fixture
async def http(
    redis_server: RedisServer, partitions: int, archive: str, api: Api
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a replica that knows a dashboard, with the cookie of somebody logged in."""
    plan = Plan(redis_server.url, partitions, PEPPER, 4096, archive, {}, DASHBOARD)
    app = build_app(partial(open_services, plan, api.learners))
    headers = {"X-Tenant-Id": api.tenant, **LOGGED_IN}
    async with app.router.lifespan_context(app), client_of(app, headers) as client:
        yield client


async def test_the_page_holds_no_data_and_no_script_of_its_own(api: Api) -> None:
    async with client_of(api.app, {}) as anybody:
        answer = await anybody.get("/console")
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert not re.search(r"\son\w+=|style=|https?://", answer.text)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_every_file_that_a_page_names_is_there(http: httpx.AsyncClient) -> None:
    met: set[str] = set()
    wanted = {"/console", "/console/d/models", "/console/d-solo/models", "/console/login"}
    while fresh := wanted - met:
        for path in fresh:
            answer = await http.get(path)
            assert answer.status_code in (200, 401), path
            assert "frame-ancestors" in answer.headers["Content-Security-Policy"], path
            wanted |= set(re.findall(r'"(/console/static/[^"]+)"', answer.text))
            base = path.rsplit("/", 1)[0]
            wanted |= {f"{base}/{name}" for name in re.findall(r'(?:from|import) "\./([^"]+)"', answer.text)}
        met |= fresh
    assert {"/console/static/look.css", "/console/static/stats.js"} <= met


@pytest.mark.parametrize("path", ["../pages.py", "%2e%2e/pages.py", "report.html", "nothing.js", "", "templates"])
async def test_nothing_but_the_files_is_served(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/console/static/{path}")
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]["status"] == answer.status_code


async def test_a_file_is_not_sent_twice(http: httpx.AsyncClient) -> None:
    first = await http.get("/console/static/page.js")
    again = await http.get("/console/static/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["Content-Type"].startswith("text/javascript")


async def test_the_dashboard_finds_what_it_asks_for(http: httpx.AsyncClient) -> None:
    assert (await http.get("/console/api/health")).json() == {"database": "ok"}
    answer = (await http.get("/console/api/v1/query", params={"query": "vector(1)"})).json()
    assert answer["status"] == "success"
    assert answer["data"]["result"][0]["value"][1] == "1"


@pytest.mark.parametrize("path", ["/console/d/models/", "/console/d/rayDataDashboard/x/y", "/console/d/made-up"])
async def test_pages_for_the_dashboard_may_stand_in_its_frames_alone(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, params={"theme": "dark", "kiosk": "1", "refresh": "5s"})
    assert answer.status_code == 200
    assert 'data-theme="dark"' in answer.text
    assert 'data-access="dashboard"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors http://127.0.0.1:8265 http://localhost:8265")


@pytest.mark.parametrize(("uid", "number"), [*PANELS, ("rayServeDashboard", 99), ("made-up", 1)])
async def test_every_panel_has_a_figure(http: httpx.AsyncClient, uid: str, number: int) -> None:
    answer = await http.get(
        f"/console/d-solo/{uid}/default-dashboard", params={"panelId": number, "theme": "light"}
    )
    figure = re.search(r'data-figure="(\w+)"', answer.text)
    assert figure is not None
    script = (await http.get("/console/static/panel.js")).text
    assert f"\n  {figure[1]}: {{ title:" in script


async def test_what_is_asked_of_a_page_never_comes_back_as_markup(http: httpx.AsyncClient) -> None:
    hostile = '"><script>alert(1)</script>'
    for path in (f"/console/d/{hostile}", f"/console/d-solo/{hostile}"):
        answer = await http.get(path, params={"theme": hostile, "panelId": hostile[:16]})
        assert "alert" not in answer.text


async def test_the_login_opens_what_a_key_that_reads_opens(http: httpx.AsyncClient, api: Api) -> None:
    await api.respond("k")
    for path in (
        "/algorithm-models",
        "/algorithm-models/model_default/state",
        "/offers?limit=1",
        "/interaction-history",
        "/interaction-summary?by=day",
        "/experiments",
    ):
        mirrored = await http.get(f"/console/read{path}")
        assert mirrored.status_code == 200, mirrored.text
        assert mirrored.json() == (await api.get(path)).json(), path
    found: list[str] = []
    cursor: dict[str, str] | None = {}
    while cursor is not None and api.tenant not in found:  # other tests have made more tenants than a page holds
        page = (await http.get("/console/read/tenants?limit=100", params=cursor)).json()
        found = [tenant["id"] for tenant in page["data"]]
        cursor = {"cursor": page["pagination"]["nextCursor"]} if page["pagination"]["hasMore"] else None
    assert api.tenant in found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api-keys", 403),
        ("/settings", 403),
        ("/tenants/demo", 403),
        ("/tenants/demo/settings", 403),
        ("/respond", 405),
        ("/recommend", 405),
        ("/gdpr/erasure", 405),
        ("/nothing", 404),
        ("/%2e%2e/%2e%2e/-/metrics", 404),
    ],
)
async def test_the_login_opens_nothing_else(http: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await http.get(f"/console/read{path}")).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_the_login_only_reads(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/console/read/offers", json={"name": "x"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}={'0' * 64}", f"{COOKIE}={TOKEN}0", f"x={TOKEN}"])
async def test_without_the_cookie_nothing_is_read(http: httpx.AsyncClient, cookie: str) -> None:
    for path in ("/offers", "/tenants", "/nothing"):
        answer = await http.get(f"/console/read{path}", headers={"Cookie": cookie})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
        assert "Gold" not in answer.text


async def test_no_key_opens_the_mirror_and_no_cookie_the_api(http: httpx.AsyncClient, api: Api) -> None:
    assert (await http.get("/api/v1/offers")).status_code == 401
    assert (await http.get("/api/v1/tenants")).status_code == 401
    assert (await http.get("/api/v1/offers", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 401
    key = {"Authorization": f"Bearer {await api.key('admin')}", "Cookie": ""}
    assert (await http.get("/console/read/offers", headers=key)).status_code == 401


@pytest.mark.parametrize("tenant", ["", "nobody", "_system", "a b"])
async def test_the_login_reads_no_tenant_that_is_none(http: httpx.AsyncClient, tenant: str) -> None:
    assert (await http.get("/console/read/offers", headers={"X-Tenant-Id": tenant})).status_code == 401


async def test_a_service_without_a_dashboard_has_no_mirror_and_no_login(api: Api) -> None:
    async with client_of(api.app, {"X-Tenant-Id": api.tenant, **LOGGED_IN}) as http:
        assert (await http.get("/console/read/offers")).status_code == 401
        assert (await http.get("/console/login", params={"once": "x"})).status_code == 404
        page = await http.get("/console/d/models")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


async def test_watching_has_a_window_of_its_own(http: httpx.AsyncClient, api: Api) -> None:
    await api.put("/settings", {"rateLimits": {"default": 3}})
    statuses = [(await http.get("/console/read/offers")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = await http.get("/console/read/offers")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await api.get("/offers")).status_code == 200  # the tenant's own programs lose nothing


async def test_a_link_logs_in_once(http: httpx.AsyncClient, redis: Redis) -> None:
    code = await logins.issue(redis)
    answer = await http.get("/console/login", params={"once": code}, headers={"Cookie": ""})
    assert (answer.status_code, answer.headers["Location"]) == (303, "http://127.0.0.1:8265/#/metrics")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={TOKEN};")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    again = await http.get("/console/login", params={"once": code}, headers={"Cookie": ""})
    assert again.status_code == 401
    assert "Set-Cookie" not in again.headers
    assert TOKEN not in again.text


@pytest.mark.parametrize("code", ["", "wrong", "x" * 128])
async def test_a_wrong_code_logs_nobody_in(http: httpx.AsyncClient, redis: Redis, code: str) -> None:
    await logins.issue(redis)
    answer = await http.get("/console/login", params={"once": code})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


async def test_a_code_expires_and_is_stored_as_a_hash_alone(http: httpx.AsyncClient, redis: Redis) -> None:
    before = await names(redis, "rewardloop:login:*")
    code = await logins.issue(redis)
    [name] = await names(redis, "rewardloop:login:*") - before
    assert code not in name.decode()
    assert 0 < await redis.ttl(name) <= logins.LIFE_S
    await redis.pexpire(name, 1)
    while await redis.exists(name):
        pass
    assert (await http.get("/console/login", params={"once": code})).status_code == 401


async def test_a_look_at_the_link_does_not_use_it_up(http: httpx.AsyncClient, redis: Redis) -> None:
    code = await logins.issue(redis)
    assert (await http.head("/console/login", params={"once": code})).status_code == 405
    assert (await http.get("/console/login", params={"once": code})).status_code == 303


async def test_metrics_know_routes_by_their_templates(http: httpx.AsyncClient, api: Api) -> None:
    await http.get("/console/read/offers/o1")
    await http.get("/nothing/at/all")
    await api.respond("k")
    await api.get("/offers/o1")
    mirrored = (await http.get("/-/metrics")).text
    assert 'route="/console/read/{path}"' in mirrored
    assert 'route="unmatched"' in mirrored
    direct = (await api.http.get("/-/metrics")).text
    assert 'route="/api/v1/respond"' in direct
    assert 'route="/api/v1/offers/{item_id}"' in direct


def test_the_token_is_in_no_representation() -> None:
    assert TOKEN not in repr(DASHBOARD)
    assert not Dashboard(8265, None).admits("")
    assert not DASHBOARD.admits(None)
    assert not DASHBOARD.admits("ü")
