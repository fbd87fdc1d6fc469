"""Chromium, and a tenant that something has happened to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.shop import Shop
from tests.service import Service

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")
"""What the browser would do for itself, much of it over the network."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"{CHROMIUM} is missing: make test installs it"
        )
    flags = ["--no-sandbox", "--no-first-run", *(f"--disable-{one}" for one in QUIET)]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that knows nobody; scripts of ours that break make the test fail."""
    broken: list[str] = []
    made = browser.new_context(viewport={"width": 1280, "height": 1800})
    made.on("weberror", lambda error: broken.append(str(error.error)))
    yield made
    made.close()
    assert broken == []


@pytest.fixture(scope="session")
def shop(service: Service) -> Shop:
    """A tenant with two models, an experiment and some outcomes."""
    shop = Shop(service, "browser")
    shop.open()
    shop.trade(40)
    return shop
