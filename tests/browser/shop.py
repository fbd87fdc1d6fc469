"""A tenant for the console to show, and the ways into the pages that show it."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, Frame, Page

from tests.service import Service, until

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
"""The name of an offer that would like to be markup."""


@dataclass
class Shop:
    """A tenant of a running service."""

    service: Service
    tenant: str
    headers: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    @property
    def key(self) -> str:
        return self.headers["Authorization"].removeprefix("Bearer ")

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.service.environment['REWARDLOOP_DASHBOARD_PORT']}"

    def open(self) -> None:
        """Make the tenant, with an offer of a hostile name, a challenger and an experiment."""
        self.headers = self.service.tenant(self.tenant)
        self.post("/offers", {"id": "o3", "name": HOSTILE}, 201)
        self.post("/creatives", {"id": "cr3", "name": HOSTILE, "offerId": "o3", "channelId": "ch1"}, 201)
        self.post(
            "/algorithm-models", {"id": "m2", "key": "rival", "modelType": "ucb", "status": "challenger"}, 201
        )
        split = {"trafficSplit": {"championPct": 50}, "challengers": [{"modelId": "m2", "trafficPct": 50}]}
        body = {
            "key": "rivals",
            "status": "active",
            "championModelId": "model_default",
            "holdoutPercent": 20,
            **split,
        }
        self.post("/experiments", body, 201)

    def post(self, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
        answer = httpx.post(f"{self.service.url}/api/v1{path}", json=body, headers=self.headers, timeout=30)
        assert answer.status_code == status, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def trade(self, customers: int) -> None:
        """Recommend to customers and have them answer, two of five by a click."""
        for n in range(customers):
            body = {"customerId": f"c{n}", "limit": 1}
            decided = self.post("/recommend", body, 200)
            for one in decided["decisions"]:
                outcome = "click" if n % 5 < 2 else "dismiss"
                self.respond(
                    outcome, recommendationId=decided["recommendationId"], rank=one["rank"], customerId=f"c{n}"
                )

    def respond(self, outcome: str, **more: Any) -> None:
        self.sent += 1
        body = {"customerId": "c1", "outcome": outcome, "idempotencyKey": f"{self.tenant}-{self.sent}", **more}
        self.post("/respond", body, 201)

    def mean(self, offer: str) -> float:
        """Return the posterior mean as the API has it."""
        value: float = self.service.state(self.headers)[offer]["mean"]
        return value

    def log_in(self, context: BrowserContext) -> None:
        """Log in to Ray's dashboard with its token, as its own dialog does."""
        token = (self.service.data_dir / "ray_token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        assert context.request.post(f"{self.dashboard}/api/authenticate", headers=headers).ok

    def enter(self, context: BrowserContext) -> Page:
        """Open the console with the tenant's key."""
        page = context.new_page()
        page.goto(f"{self.service.url}/console")
        page.fill("[name=tenant]", self.tenant)
        page.fill("[name=key]", self.key)
        page.click("button[type=submit]")
        page.wait_for_selector("#offers-table tr[data-offer=o1]")
        return page


def framed(page: Page, part: str) -> Frame:
    """Wait for a frame whose address has `part` in it."""

    def found() -> Frame | None:
        page.wait_for_timeout(50)  # lets the browser's events in
        return next((frame for frame in page.frames if part in frame.url), None)

    frame: Frame = until(found, 30, f"a frame of {part}")
    return frame
