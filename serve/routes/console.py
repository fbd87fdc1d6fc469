"""The console's pages and files, what Ray's dashboard asks a Grafana for, and the dashboard's way to read."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from serve.console import pages
from serve.console.dashboard import COOKIE, COOKIE_LIFE_S
from serve.errors import ApiError, not_found
from serve.routing import GRANTED, services_of
from storage import logins

router = APIRouter(prefix="/console", include_in_schema=False)
_files: Final = StaticFiles(packages=[("serve.console", "static"), ("learners", "look")])

Asked = Annotated[str | None, Query(alias="theme", max_length=16)]


@router.get("")
async def console() -> Response:
    """Answer the page for who has a key; it holds no data."""
    return pages.html(pages.page("key", "Console", pages.ALL))


@router.get("/static/{name:path}")
async def file(request: Request, name: str) -> Response:
    """Answer a style sheet, script or picture."""
    return pages.secured(await _files.get_response(name, request.scope))


@router.get("/login")
async def login(request: Request, once: Annotated[str, Query(max_length=128)] = "") -> Response:
    """Log who brings a one-time code in to Ray's dashboard, and send them there."""
    services = services_of(request)
    dashboard = services.dashboard
    if dashboard is None or dashboard.token is None:
        raise not_found("a dashboard of this service's own")
    if not await logins.redeem(services.redis, once):
        text = (
            "A login link works once, and within a quarter of an hour of the service's start. "
            "The dashboard also takes its token: `rewardloop status` tells which file holds it."
        )
        return pages.html(pages.message("This link has been used or is too old", text), status=401)
    answer = RedirectResponse(dashboard.url, 303, headers={"Cache-Control": "no-store"})
    answer.set_cookie(COOKIE, dashboard.token, max_age=COOKIE_LIFE_S, path="/", httponly=True, samesite="strict")
    return pages.secured(answer)


@router.get("/api/health")
async def health() -> Response:
    """Answer what the dashboard asks a Grafana before it shows anything."""
    return pages.secured(JSONResponse({"database": "ok"}))


@router.get("/api/v1/query")
async def query() -> Response:
    """Answer what the dashboard asks a Prometheus before it shows anything: `vector(1)`, whatever was asked."""
    result = [{"metric": {}, "value": [0, "1"]}]
    return pages.secured(JSONResponse({"status": "success", "data": {"resultType": "vector", "result": result}}))


@router.get("/d/{uid}")
@router.get("/d/{uid}/{slug:path}")
async def dashboard_page(request: Request, uid: str, theme: Asked = None, slug: str = "") -> Response:
    """Answer the whole page that the dashboard shows under the uid; of one it has made up, model state."""
    del slug
    title, sections = pages.DASHBOARDS.get(uid, pages.DASHBOARDS["models"])
    text = pages.page("dashboard", title, sections, _theme(theme))
    return pages.html(text, pages.framed_by(services_of(request).dashboard))


@router.get("/d-solo/{uid}")
@router.get("/d-solo/{uid}/{slug:path}")
async def dashboard_panel(
    request: Request,
    uid: str,
    theme: Asked = None,
    panel_id: Annotated[str, Query(alias="panelId", max_length=16)] = "",
    slug: str = "",
) -> Response:
    """Answer one figure, for a small frame."""
    del slug
    number = int(panel_id) if panel_id.isascii() and panel_id.isdigit() else None
    return pages.html(pages.panel(uid, number, _theme(theme)), pages.framed_by(services_of(request).dashboard))


class Mirror:
    """Answers GET `/api/v1/…` to who has logged in to Ray's dashboard: what asks for `read`, and the tenants."""

    path_format: Final = "/console/read/{path}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let somebody in by the cookie, and hand the request to the route of the API itself."""
        request = Request(scope, receive)
        dashboard = services_of(request).dashboard
        if request.method != "GET":
            raise ApiError(405, "The dashboard's login can only read", headers={"Allow": "GET"})
        if dashboard is None or not dashboard.admits(request.cookies.get(COOKIE)):
            raise ApiError(401, "Log in to Ray's dashboard first, under the same host name as this page")
        path = scope["path_params"]["path"]
        inner = {
            **scope,
            "path": f"{scope.get('root_path', '')}/api/v1/{path}",
            GRANTED: "operator" if path == "tenants" else "read",
        }
        await request.app.router(inner, receive, send)


def _theme(asked: str | None) -> Literal["light", "dark", ""]:
    return "light" if asked == "light" else "dark" if asked == "dark" else ""
