"""The console with a key, in a real browser: what it shows, what it says when things are wrong, who can use it."""

import re

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.shop import HOSTILE, Shop
from tests.service import Service

SERIOUS = {"serious", "critical"}


def serious(page: Page) -> list[str]:
    """Return axe-core's grave complaints, each with where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found if one["impact"] in SERIOUS
    ]


def try_key(page: Page, url: str, tenant: str, key: str) -> None:
    page.goto(f"{url}/console")
    page.fill("[name=tenant]", tenant)
    page.fill("[name=key]", key)
    page.click("button[type=submit]")


def test_every_section_shows_the_tenants_own(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    expect(page.locator("#status")).to_have_text("Live")
    row = page.locator("#offers-table tr[data-offer=o1]")
    arm = shop.service.state(shop.headers)["o1"]
    assert float(row.locator("data").get_attribute("value") or "nan") == arm["mean"]
    expect(row.locator("td").nth(3)).to_have_text(str(arm["pulls"]))
    expect(page.locator("#learning svg").first).to_be_visible()
    expect(page.locator("#models-table thead")).to_contain_text("rival")
    expect(page.locator("#experiments h3")).to_contain_text("rivals")
    expect(page.locator("#experiments tbody tr")).to_have_count(4)
    expect(page.locator("#learners-table tbody th")).to_have_text("learner-00")
    expect(page.locator("#service figcaption").first).to_contain_text("recorded")
    assert page.locator("#tail-table tbody tr").count() >= 10


def test_another_model_can_be_looked_at(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    page.select_option("#model", "m2")
    expect(page.locator("#offers-table caption")).to_contain_text("model rival")
    arm = shop.service.state(shop.headers, "m2")["o1"]
    expect(page.locator("#offers-table tr[data-offer=o1] data")).to_have_attribute("value", str(arm["mean"]))


def test_names_are_words_never_markup(context: BrowserContext, shop: Shop) -> None:
    shop.respond("click", creativeId="cr3")
    page = shop.enter(context)
    expect(page.locator("#offers-table tr[data-offer=o3] th")).to_have_text(HOSTILE)
    expect(page.locator("#tail-table")).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert page.title() == "Console · Rewardloop"


def test_an_outcome_appears_in_the_tail(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    shop.respond("purchase", creativeId="cr2", customerId="somebody-new", conversionValue=149.99)
    row = page.locator("#tail-table tr", has_text="somebody-new")
    expect(row).to_contain_text("purchase")
    expect(row).to_contain_text("150.0")


@pytest.mark.parametrize(
    ("tenant", "key"), [("browser", "rl_wrong"), ("browser", "schlüssel"), ("nobody", ""), ("tenänt", "")]
)
def test_a_wrong_key_is_told_plainly(context: BrowserContext, shop: Shop, tenant: str, key: str) -> None:
    page = context.new_page()
    try_key(page, shop.service.url, tenant, key or shop.key)
    expect(page.get_by_role("alert")).to_have_text(re.compile("does not know this key|does not exist|belong"))
    expect(page.locator("#figures")).to_be_hidden()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_key_that_may_not_read_is_told_so(context: BrowserContext, shop: Shop) -> None:
    key = shop.service.command("keys", "create", "--tenant", shop.tenant, "--scope", "respond").strip()
    page = context.new_page()
    try_key(page, shop.service.url, shop.tenant, key)
    expect(page.get_by_role("alert")).to_contain_text("may not read")


def test_a_key_that_is_revoked_closes_the_page(context: BrowserContext, shop: Shop) -> None:
    made = shop.post("/api-keys", {"name": "short", "scopes": ["read"]}, 201)
    page = context.new_page()
    try_key(page, shop.service.url, shop.tenant, made["key"])
    expect(page.locator("#status")).to_have_text("Live")
    httpx.delete(f"{shop.service.url}/api/v1/api-keys/{made['id']}", headers=shop.headers)
    expect(page.get_by_role("alert")).to_contain_text("revoked")
    expect(page.locator("#figures")).to_be_hidden()


def test_an_empty_tenant_is_told_what_to_do(context: BrowserContext, service: Service) -> None:
    service.command("tenants", "create", "bare")
    key = service.command("keys", "create", "--tenant", "bare").strip()
    page = context.new_page()
    try_key(page, service.url, "bare", key)
    expect(page.locator("#offers")).to_contain_text("has no offers yet")
    expect(page.locator("#learning")).to_contain_text("Nothing happened")
    expect(page.locator("#experiments")).to_contain_text("No experiment runs")
    expect(page.locator("#tail")).to_contain_text("No outcome yet")
    assert serious(page) == []


def test_a_service_that_is_down_is_told_and_found_again(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    expect(page.locator("#status")).to_have_text("Live")
    context.set_offline(True)
    expect(page.locator("#status")).to_contain_text("does not answer", timeout=15_000)
    expect(page.locator("#status")).to_contain_text("may be old")
    expect(page.locator("#offers-table tr[data-offer=o1]")).to_be_visible()
    context.set_offline(False)
    expect(page.locator("#status")).to_have_text("Live", timeout=40_000)


def test_a_page_that_did_not_come_whole_is_told_and_loaded_again(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    page.route("**/static/format.js", lambda route: route.fulfill(status=503, body="{}"), times=1)
    page.reload()
    expect(page.locator("#status")).to_have_text("The page did not come whole. Trying again.")
    expect(page.locator("#status")).to_have_text("Live", timeout=15_000)


def test_a_service_that_cannot_answer_and_a_limit_are_told(context: BrowserContext, shop: Shop) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        error = '{"error":{"code":"RATE_LIMITED","message":"too many","status":429,"requestId":"r"}}'
        route.fulfill(status=429, headers={"Retry-After": "30"}, content_type="application/json", body=error)

    page = shop.enter(context)
    page.route("**/state", refuse)
    expect(page.locator("#status")).to_contain_text("limit is used up")
    page.wait_for_timeout(3000)
    assert len(asked) == 1, "it waits as long as it was told"
    page.unroute("**/state")
    page.route("**/interaction-history*", lambda route: route.fulfill(status=503, body="{}"))
    expect(page.locator("#status")).to_contain_text("storage or learners are away")


def test_a_page_that_nobody_sees_asks_for_nothing(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(300)  # what was under way ends
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    assert asked


def test_the_key_is_kept_only_where_it_was_asked_for(browser: Browser, shop: Shop) -> None:
    context = browser.new_context()
    page = shop.enter(context)
    assert page.evaluate("localStorage.getItem('rewardloop.session')") is None
    page.reload()
    page.wait_for_selector("#offers-table tr[data-offer=o1]")  # the tab knows it
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#entry")).to_be_visible()
    page.check("[name=remember]")
    page.fill("[name=tenant]", shop.tenant)
    page.fill("[name=key]", shop.key)
    page.click("button[type=submit]")
    page.wait_for_selector("#offers-table tr[data-offer=o1]")
    other = context.new_page()
    other.goto(f"{shop.service.url}/console")
    other.wait_for_selector("#offers-table tr[data-offer=o1]")
    other.get_by_role("button", name="Sign out").click()
    assert other.evaluate("localStorage.getItem('rewardloop.session')") is None
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, shop: Shop, scheme: str) -> None:
    context = browser.new_context(color_scheme="light" if scheme == "light" else "dark")
    page = context.new_page()
    page.goto(f"{shop.service.url}/console")
    expect(page.locator("#entry")).to_be_visible()
    assert serious(page) == []
    shop.log_in(context)
    for path in (
        "/console/d/models",
        "/console/d-solo/models/x?panelId=41",
        "/console/d-solo/rayServeDashboard?panelId=7",
    ):
        page.goto(f"{shop.service.url}{path}{'&' if '?' in path else '?'}theme={scheme}")
        expect(page.locator("#status")).to_have_text("Live")
        assert serious(page) == []
    page = shop.enter(context)
    expect(page.locator("#experiments tbody tr")).to_have_count(4)
    expect(page.locator("#tail-table tbody tr").first).to_be_visible()
    assert serious(page) == []
    context.close()


def test_the_theme_follows_the_system_until_somebody_chooses(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{shop.service.url}/console")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(background) != dark
    page.reload()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) == dark
    context.close()


def test_a_phone_never_scrolls_sideways(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800})
    page = shop.enter(context)
    expect(page.locator("#experiments tbody tr")).to_have_count(4)
    expect(page.locator("#tail-table tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()


def test_the_keyboard_reaches_everything(context: BrowserContext, shop: Shop) -> None:
    page = context.new_page()
    page.goto(f"{shop.service.url}/console")
    expect(page.locator("[name=tenant]")).to_be_focused()
    page.keyboard.type(shop.tenant)
    page.keyboard.press("Tab")
    page.keyboard.type(shop.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#offers-table tr[data-offer=o1]")
    expect(page.locator("#experiments tbody tr")).to_have_count(4)
    expect(page.locator("#main")).to_be_focused()
    page.focus(".skip")
    met = []
    focused = "(({id, ariaLabel, textContent}) => id || ariaLabel || textContent)(document.activeElement)"
    for _ in range(30):
        page.keyboard.press("Tab")
        met.append(page.evaluate(focused))
        if not met[-1] or met[-1] == "Outcomes, table":
            break
        outlined = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outlined != "none", met[-1]
    wanted = {"model", "theme", "leave", "Offers", "Learning", "Offers, table", "Models, table", "Outcomes, table"}
    assert wanted <= set(met)


def test_nothing_jumps_when_figures_come(context: BrowserContext, shop: Shop) -> None:
    page = shop.enter(context)
    expect(page.locator("#experiments tbody tr")).to_have_count(4)
    expect(page.locator("#tail-table tbody tr").first).to_be_visible()
    page.wait_for_timeout(1500)
    height = page.evaluate("document.documentElement.scrollHeight")
    for _ in range(3):
        shop.respond("click", creativeId="cr1")
    page.wait_for_timeout(3000)
    tops = page.evaluate("document.documentElement.scrollHeight")
    assert abs(tops - height) <= 4
