"""The console inside Ray's dashboard, in a real browser."""

import time

import pytest
from playwright.sync_api import BrowserContext, Frame, expect

from tests.browser.shop import Shop, framed
from tests.service import until

SEEN_WITHIN_S = 2.0
ROUNDS = 3
"""A machine that is busy elsewhere may spoil a round, not all of them."""
MEAN = "#offers-table tr[data-offer=o1] td:nth-of-type(2) data"


def shown_mean(frame: Frame) -> float:
    return float(frame.get_attribute(MEAN, "value") or "nan")


def test_the_metrics_page_shows_what_the_model_believes_and_follows_it(context: BrowserContext, shop: Shop) -> None:
    shop.log_in(context)
    page = context.new_page()
    page.goto(f"{shop.dashboard}/#/metrics")
    frame = framed(page, "/console/d/models")
    expect(frame.locator("h1")).to_have_text("Model state")
    expect(frame.locator("#status")).to_have_text("Live", timeout=30_000)
    frame.select_option("#tenant", shop.tenant)
    until(lambda: shown_mean(frame) == shop.mean("o1"), 10, "the page's mean is that of the API")

    took = []
    for _ in range(ROUNDS):
        before = shown_mean(frame)
        for _ in range(10):
            shop.respond("click", creativeId="cr1")
        sent_at = time.monotonic()
        until(lambda: shown_mean(frame) == shop.mean("o1"), 10, "ten outcomes move the page's mean as the API's")
        took.append(time.monotonic() - sent_at)
        assert shown_mean(frame) > before
        if min(took) < SEEN_WITHIN_S:
            break
    assert min(took) < SEEN_WITHIN_S


@pytest.mark.parametrize(
    ("path", "frames"),
    [
        ("/#/overview", [("models", 41), ("models", 24)]),
        ("/#/serve", [("rayServeDashboard", number) for number in (7, 8, 15)]),
        ("/#/serve/system", [("rayServeDashboard", number) for number in range(20, 26)]),
    ],
)
def test_no_frame_of_the_dashboard_is_empty(
    context: BrowserContext, shop: Shop, path: str, frames: list[tuple[str, int]]
) -> None:
    shop.log_in(context)
    page = context.new_page()
    page.goto(shop.dashboard + path)
    for uid, number in frames:
        frame = framed(page, f"/console/d-solo/{uid}")
        frame = next(one for one in page.frames if f"panelId={number}&" in f"{one.url}&" and uid in one.url)
        expect(frame.locator("#status")).to_have_text("Live", timeout=20_000)
        expect(frame.locator("#panel").locator("svg, tbody tr").first).to_be_visible(timeout=20_000)
        assert frame.locator("#panel").inner_text().strip()
        assert frame.locator("h1").inner_text().strip() not in ("", uid)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_frame_has_the_theme_that_the_dashboard_asks_for(context: BrowserContext, shop: Shop, theme: str) -> None:
    shop.log_in(context)
    page = context.new_page()
    page.goto(f"{shop.service.url}/console/d-solo/models/x?panelId=41&theme={theme}")
    expect(page.locator("#panel tbody tr").first).to_be_visible()
    red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red > 128) == (theme == "light")


@pytest.mark.parametrize("page_of", ["d/models", "d/rayDataDashboard", "d-solo/models/x?panelId=41"])
def test_who_has_not_logged_in_is_told_what_to_do(context: BrowserContext, shop: Shop, page_of: str) -> None:
    page = context.new_page()
    page.goto(f"{shop.service.url}/console/{page_of}")
    expect(page.get_by_text("Log in to the dashboard")).to_be_visible()
    assert page.locator("tbody tr").count() == 0
    if page_of.startswith("d/"):  # a key is the other way in
        page.fill("[name=tenant]", shop.tenant)
        page.fill("[name=key]", shop.key)
        page.keyboard.press("Enter")
        expect(page.locator("#tail tbody tr").first).to_be_visible()
