"""The console's arithmetic, run where it runs: densities against scipy, rates against counters that we make up."""

import itertools
import math
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page
from scipy.special import gammaln
from scipy.stats import beta, norm

from tests.service import Service

SCRAPE = """\
rewardloop_outcomes_total{status="recorded"} 7.0
rewardloop_outcomes_total{status="duplicate"} 3.0
rewardloop_outcomes_total{status="no_rank"} 2.0
rewardloop_outcomes_total{status="limited"} 1.0
rewardloop_decisions_total{shown="some"} 4.0
rewardloop_http_request_seconds_bucket{le="0.01",route="/api/v1/respond"} 5.0
rewardloop_http_request_seconds_bucket{le="0.01",route="/api/v1/offers"} 9.0
rewardloop_http_request_seconds_bucket{le="+Inf",route="/api/v1/respond"} 6.0
rewardloop_commits_waiting NaN
"""


@pytest.fixture
def page(context: BrowserContext, service: Service) -> Page:
    opened = context.new_page()
    opened.goto(f"{service.url}/console")
    return opened


def run(page: Page, module: str, expression: str, given: Any) -> Any:
    """Return what an expression over a module `m` and a value `x` gives in the page."""
    return page.evaluate(
        f"async (x) => {{ const m = await import('/console/static/{module}.js'); return {expression}; }}", given
    )


def test_densities_are_those_of_scipy(page: Page) -> None:
    places = [0.001, 0.02, 0.3, 0.5, 0.77, 0.999]
    for a, b in ((1, 1), (0.5, 0.5), (2, 9), (0.3, 40), (300, 900), (12_000, 80_000)):
        found = run(page, "stats", "x[2].map(m.betaDensity(x[0], x[1]))", [a, b, places])
        # Lanczos with nine terms is exact to 1e-14 of ln Γ, of which the largest here is 1e6.
        assert found == pytest.approx(beta.pdf(places, a, b), rel=1e-6, abs=1e-300)
    found = run(page, "stats", "x.map(m.lnGamma)", [0.1, 0.5, 1, 3.7, 150, 1e5])
    assert found == pytest.approx(gammaln([0.1, 0.5, 1, 3.7, 150, 1e5]), rel=1e-12, abs=1e-12)
    found = run(page, "stats", "x.map(m.normalDensity(0.3, 0.02))", places)
    assert found == pytest.approx(norm.pdf(places, 0.3, 0.02), rel=1e-9, abs=1e-300)


def test_only_a_thompson_bandit_has_a_beta_posterior(page: Page) -> None:
    arm = {"mean": 0.25, "ciLower": 0.2, "ciUpper": 0.3, "parameters": {"alpha": 75, "beta": 225}}
    at = "m.posterior(x[0], x[1])(0.25)"
    assert run(page, "stats", at, ["thompson_bandit", arm]) == pytest.approx(beta.pdf(0.25, 75, 225))
    deviation = 0.05 / norm.ppf(0.975)
    assert run(page, "stats", at, ["gaussian_ts", arm]) == pytest.approx(norm.pdf(0, 0, deviation))
    point = {**arm, "ciLower": 0.25, "ciUpper": 0.25}
    assert run(page, "stats", "m.posterior(x[0], x[1])", ["scorecard", point]) is None


def test_quantiles_are_read_from_buckets_as_prometheus_does(page: Page) -> None:
    buckets = [[0.01, 50], [0.1, 90], [1, 100]]
    for q, wanted in ((0.5, 0.01), (0.25, 0.005), (0.9, 0.1), (0.95, 0.55)):
        assert run(page, "stats", "m.quantile(x[0], x[1])", [buckets, q]) == pytest.approx(wanted)
    assert run(page, "stats", "m.quantile(x, 0.5)", [[0.01, 0]]) is None


def test_rates_add_up_over_replicas_and_survive_their_restart(page: Page) -> None:
    scrapes = [  # replica, counter, second: two replicas met in turn, the second is started anew
        ("a", 100, 0),
        ("b", 1000, 1),
        ("a", 120, 2),
        ("b", 1030, 3),
        ("b", 5, 4),
        ("a", 160, 5),
        ("b", 25, 6),
    ]
    expression = """(() => {
        const rates = new m.Rates();
        const seen = x.map(([replica, recorded, second]) => {
          const labels = `replica="${replica}",status="recorded"`;
          const text = `# HELP x\\nrewardloop_outcomes_total{${labels}} ${recorded}.0\\n`;
          rates.take(m.digest(m.parse(text)), second * 1000);
          return rates.now.recorded;
        });
        return [seen, rates.totals.recorded];
    })()"""
    seen, total = run(page, "prometheus", expression, scrapes)
    assert seen == pytest.approx([0, 0, 10, 25, 10, 40 / 3, 40 / 3 + 10])
    assert total == 160 + 25


def test_what_happened_to_outcomes_is_told_apart(page: Page) -> None:
    expression = """(({recorded, duplicates, refused, decisions, buckets}) =>
        [recorded, duplicates, refused, decisions, [...buckets]])(m.digest(m.parse(x)))"""
    assert run(page, "prometheus", expression, SCRAPE) == [7, 3, 3, 4, [[0.01, 5], [math.inf, 6]]]


def test_ticks_are_round_and_within(page: Page) -> None:
    for low, high in ((0, 1), (0.02, 0.0371), (-3, 12_345), (0, 1e-7), (5, 5)):
        ticks = run(page, "scales", "m.ticks(x)", [low, high])
        assert 1 <= len(ticks) <= 11
        assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
        steps = {round(b - a, 14) for a, b in itertools.pairwise(ticks)}
        assert len(steps) <= 1 or max(steps) == pytest.approx(min(steps))
