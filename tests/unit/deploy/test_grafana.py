"""deploy/grafana and deploy/prometheus: every figure that is asked for is one that the service gives."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, Field

from learners.answers import LearnerStatus
from learners.beliefs import newest_beliefs
from learners.gauges import Gauges
from learners.shard import Shard
from serve.metrics import Metrics
from tests.figures import Figures
from tests.learning import model_entry, outcome_entry
from tests.manifests import DEPLOY, ROOT

pytestmark = pytest.mark.anyio

DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
GRAFANA_VARIABLES = {"$__rate_interval": "1m", "$tenant": "shop"}


class Open(BaseModel):
    """What Grafana needs; it may have more."""

    model_config = ConfigDict(strict=True)


class DataSource(Open):
    type: Literal["prometheus"]
    uid: Literal["${datasource}"]


class Place(Open):
    x: int = Field(ge=0, lt=24)
    y: int = Field(ge=0)
    w: int = Field(ge=1, le=24)
    h: int = Field(ge=1)


class Target(Open):
    ref_id: str = Field(alias="refId", pattern="^[A-Z]$")
    datasource: DataSource
    expr: str = Field(min_length=1)


class Panel(Open):
    id: int = Field(ge=1)
    type: Literal["timeseries", "stat"]
    title: str = Field(min_length=1)
    grid: Place = Field(alias="gridPos")
    datasource: DataSource
    targets: list[Target] = Field(min_length=1)


class Dashboard(Open):
    uid: str = Field(pattern="^[A-Za-z0-9_-]{1,40}$")
    title: str = Field(min_length=1)
    schema_version: int = Field(alias="schemaVersion", ge=36)
    templating: dict[Literal["list"], list[dict[str, Any]]]
    panels: list[Panel] = Field(min_length=1)


def dashboards() -> list[Dashboard]:
    return [Dashboard.model_validate_json(path.read_text(encoding="utf-8")) for path in DASHBOARDS]


def selectors(expression: str) -> Iterator[tuple[str, Mapping[str, tuple[str, str]]]]:
    """Yield each series that a PromQL expression asks for: its name, and label → (operator, value)."""
    for name, value in GRAFANA_VARIABLES.items():
        expression = expression.replace(name, value)
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    assert found, expression
    for one in found:
        matchers = {m.name: (str(m.op), m.value) for m in one.matchers.matchers}
        yield str(one.name), matchers


async def exported() -> list[tuple[str, dict[str, str]]]:
    """Return the series of a service in which everything has happened once, with their labels."""
    replica = Metrics(lambda: 0, {"replica": "r"})
    for route in ("/api/v1/respond", "/api/v1/recommend"):
        for status in (200, 400, 503):
            replica.request(route, status, 0.001)
    for became in ("recorded", "duplicate", "refused"):
        replica.outcome(became)
    replica.decision(0)
    replica.decision(1)
    families = text_string_to_metric_families(replica.text().decode())
    series = [(sample.name, dict(sample.labels)) for family in families for sample in family.samples]
    figures = Figures()
    gauges = Gauges(figures, "learner-00", offers=True)
    gauges.tell(LearnerStatus("learner-00", 1, 0, 0, {0: 2}), {"outcomes": 1, "snapshots": 1})
    shard = Shard(0)
    shard.apply([model_entry(1, tenant="shop"), outcome_entry(2, "o", "positive", tenant="shop")])
    gauges.tell_offers(await newest_beliefs([shard]))
    return series + [(f"ray_{name}", dict(tags)) for name, tags in figures.as_exported()]


def test_dashboards_have_what_grafana_needs() -> None:
    assert len(DASHBOARDS) == 2
    found = dashboards()
    assert len({one.uid for one in found}) == len(found)
    for one in found:
        ids = [panel.id for panel in one.panels]
        assert len(set(ids)) == len(ids)
        sources = [v for v in one.templating["list"] if v["type"] == "datasource"]
        assert [(v["name"], v["query"]) for v in sources] == [("datasource", "prometheus")]
        named = {variable["name"] for variable in one.templating["list"]}
        for panel in one.panels:
            for target in panel.targets:
                used = set(re.findall(r"\$(\w+)", target.expr)) - {"__rate_interval"}
                assert used <= named


def test_panels_do_not_lie_upon_each_other() -> None:
    for one in dashboards():
        cells = [
            (x, y)
            for panel in one.panels
            for x in range(panel.grid.x, panel.grid.x + panel.grid.w)
            for y in range(panel.grid.y, panel.grid.y + panel.grid.h)
        ]
        assert max(x for x, _ in cells) < 24
        assert len(set(cells)) == len(cells)


async def test_every_series_of_the_dashboards_is_exported_with_the_labels_they_ask_for() -> None:
    series = await exported()
    asked = set()
    for one in dashboards():
        for panel in one.panels:
            for target in panel.targets:
                for name, matchers in selectors(target.expr):
                    asked.add(name)
                    assert any(fits(labels, matchers) for found, labels in series if found == name), target.expr
    assert {name for name, _ in series if name.startswith("ray_")} <= asked, "every figure of a learner is shown"
    assert "rewardloop_commits_waiting" in asked


def fits(labels: dict[str, str], matchers: Mapping[str, tuple[str, str]]) -> bool:
    """Return whether a series has what a selector wants."""
    for name, (operator, value) in matchers.items():
        regular = "Re" in operator
        if name not in labels or not (re.fullmatch(value, labels[name]) if regular else labels[name] == value):
            return False
    return True


async def test_labels_that_series_are_summed_by_are_there() -> None:
    series = await exported()
    for one in dashboards():
        for panel in one.panels:
            for target in panel.targets:
                by = {label for names in re.findall(r"by \(([^)]*)\)", target.expr) for label in names.split(", ")}
                names = {name for name, _ in selectors(target.expr)}
                assert all(by <= set(labels) for found, labels in series if found in names), target.expr


def test_the_check_can_fail() -> None:
    with pytest.raises(ValueError, match="parenthesis"):
        list(selectors("sum(rate(a[5m])"))
    assert not fits({"status": "recorded"}, {"status": ("MatchOp.Equal", "already_recorded")})
    with pytest.raises(ValueError, match="schemaVersion"):
        Dashboard.model_validate({**json.loads(DASHBOARDS[0].read_text(encoding="utf-8")), "schemaVersion": "x"})


def test_prometheus_scrapes_both_and_its_paths_are_those_of_the_service() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    own, ray = config["scrape_configs"]
    assert own["metrics_path"] == "/-/metrics"
    assert own["static_configs"] == [{"targets": ["127.0.0.1:8000"]}]
    [discovery] = ray["http_sd_configs"]
    assert discovery["url"] == "http://127.0.0.1:8265/api/prometheus/sd", "tests/cluster/test_dashboard.py asks it"
    assert discovery["authorization"]["type"] == "Bearer"
    assert discovery["authorization"]["credentials_file"].endswith("/ray_token")
    [relabel] = ray["metric_relabel_configs"]
    assert re.fullmatch(relabel["regex"], "ray_rewardloop_learner_lag_seconds")


async def test_every_figure_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, _ in await exported():
        if name.endswith("_created"):
            continue  # when a counter began
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f"`{base}`" in text, base
