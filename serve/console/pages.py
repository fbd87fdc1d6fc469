"""The console's pages: which there are, and the headers that all of its answers carry."""

from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from serve.console.dashboard import Dashboard

Access: TypeAlias = Literal["key", "dashboard"]
"""How a page reads: the public API with the person's key, or the mirror with the dashboard's login."""
Theme: TypeAlias = Literal["light", "dark", ""]

NOBODY: Final = "'none'"


class Section(NamedTuple):
    """A part of the console's page."""

    id: str
    title: str


SECTIONS: Final = (
    Section("offers", "Offers"),
    Section("learning", "Learning"),
    Section("models", "Models"),
    Section("experiments", "Experiments"),
    Section("service", "Service"),
    Section("tail", "Outcomes"),
)
ALL: Final = tuple(section.id for section in SECTIONS)

DASHBOARDS: Final = {
    "models": ("Model state", ALL),
    "rayDataDashboard": ("Outcomes as they come", ("tail", "offers", "learning")),
    "rayServeDashboard": ("Service", ("service", "tail")),
    "rayServeDeploymentDashboard": ("Service", ("service", "tail")),
}
"""What stands where Ray's dashboard would show one of Grafana's, by its uid."""

PANELS: Final = {
    ("models", 41): "best",
    ("models", 24): "learners",
    ("rayServeDashboard", 7): "outcomes",
    ("rayServeDashboard", 8): "refused",
    ("rayServeDashboard", 15): "latency",
    ("rayServeDashboard", 20): "means",
    ("rayServeDashboard", 21): "share",
    ("rayServeDashboard", 22): "best",
    ("rayServeDashboard", 23): "learners",
    ("rayServeDashboard", 24): "requests",
    ("rayServeDashboard", 25): "tail",
    ("rayServeDeploymentDashboard", 2): "outcomes",
    ("rayServeDeploymentDashboard", 3): "refused",
    ("rayServeDeploymentDashboard", 5): "latency",
}
"""The figure in each of the dashboard's small frames, by dashboard and panel. Ray 2.60 asks for these."""


def page(access: Access, title: str, sections: tuple[str, ...], theme: Theme = "") -> str:
    """Return a page of some sections; no theme: the person's choice."""
    shown = [section for section in SECTIONS if section.id in sections]
    return _render("page.html", access=access, title=title, sections=shown, theme=theme)


def panel(uid: str, number: int | None, theme: Theme) -> str:
    """Return the page for a small frame: one figure. What nobody has asked for yet shows the outcomes."""
    figure = PANELS.get((uid, number or 0), "outcomes")
    return _render("panel.html", access="dashboard", figure=figure, theme=theme)


def message(title: str, text: str) -> str:
    """Return a page that says one thing."""
    return _render("message.html", title=title, text=text, theme="")


def html(text: str, ancestors: str = NOBODY, status: int = 200) -> Response:
    """Return the answer for a page that `ancestors` may put into a frame."""
    return secured(HTMLResponse(text, status), ancestors)


def secured(response: Response, ancestors: str = NOBODY) -> Response:
    """Return the answer with the headers that keep a page to itself: no script, style or word but our own."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    )
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


def framed_by(dashboard: Dashboard | None) -> str:
    """Return who may put the dashboard's pages into a frame."""
    return NOBODY if dashboard is None else dashboard.origins


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("serve.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)
