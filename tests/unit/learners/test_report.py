import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from learners.evaluation.plots import Curve as PlottedCurve
from learners.evaluation.plots import Interval, histogram_plot, interval_plot, line_plot
from learners.evaluation.report import PolicyResult, Report, number, policy_result, render, software, write_report
from learners.evaluation.scales import Scale, scale_of

HOSTILE = """"><img src=x onerror=alert(1)><script>alert('it')</script>&amp;"""

LEARNED = PolicyResult(
    policy="lin_ts:explore=0.3",
    estimates=[
        Interval("ips", 0.0045528812, 0.0031, 0.0062, -0.011, 0.021),
        Interval("dr", 0.004727, None, None, None, None),
    ],
    diagnostics={"ess": 1639.512, "meanWeight": 0.9533, "supportGaps": 0, "matched": None},
    verdict="The log can tell.",
    progressive={"reward": 0.0046, "logLoss": 0.0261234567, "auc": 0.6125},
    curve=[(100, 0.07), (200, 0.05), (300, 0.04)],
    calibration=[(0.002, 0.0015, 5000), (0.01, 0.012, 40)],
)
UNIFORM = PolicyResult(policy="uniform", estimates=[Interval("ips", 0.0038, 0.003, 0.0046, None, None)])
REPORT = Report(
    source="random-all.ndjson.gz",
    command="rewardloop evaluate random-all.ndjson.gz --policy lin_ts:explore=0.3 --policy uniform",
    versions={"rewardloop": "0.1.0", "numpy": "2.4.1"},
    log={"decisions": 10000, "meanReward": 0.0038, "from": "2019-11-24T00:00:17.004Z"},
    policies=[LEARNED, UNIFORM],
    reference=0.0038,
    propensity_edges=[0.01, 0.1, 1.0],
    propensity_counts=[7, 3],
)
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; elements that are not closed in order fail."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def numbers(self) -> list[float]:
        return [float(str(attrs["value"])) for attrs in self.of("data")]


def test_the_page_holds_every_number_in_full() -> None:
    page = Page(render(REPORT))

    wanted = [0.0045528812, 0.0031, 0.0062, -0.011, 0.021, 0.004727, 0.003, 0.0046, 1639.512, 0.9533]
    wanted += [0.0261234567, 0.6125, 10000, 0.0038]
    assert set(wanted) <= set(page.numbers())
    assert ("data", "0.004553") in page.words
    assert ("data", "1,640") in page.words


def test_a_policy_of_the_json_report_has_the_same_numbers() -> None:
    given = {
        "policy": "uniform",
        "estimates": [
            {
                "estimator": "dr",
                "value": 0.5,
                "ciLower": 0.25,
                "ciUpper": 0.75,
                "anytimeLower": 0.125,
                "anytimeUpper": 0.875,
            }
        ],
        "diagnostics": {"ess": 12.5, "supportGaps": 3, "verdict": "The log can tell."},
        "progressive": None,
    }

    result = policy_result(given)

    assert result == PolicyResult(
        policy="uniform",
        estimates=[Interval("dr", 0.5, 0.25, 0.75, 0.125, 0.875)],
        diagnostics={"ess": 12.5, "supportGaps": 3},
        verdict="The log can tell.",
    )


def test_the_software_is_named_with_versions() -> None:
    named = software()

    assert list(named) == ["rewardloop", "python", "numpy", "scikit-learn"]
    assert all(re.match(r"\d+\.\d+", version) for version in named.values())


def test_the_page_tells_how_it_was_made_and_what_it_means() -> None:
    text = " ".join(words for _, words in Page(render(REPORT)).words)

    for said in (REPORT.command, "2.4.1", "The log can tell.", "effective sample size", "+19.8 %", "from", "numpy"):
        assert said in text


def test_the_page_can_be_read_by_all() -> None:
    page = Page(render(REPORT))

    assert page.of("html") == [{"lang": "en"}]
    plots = page.of("svg")
    assert len(plots) == len(page.of("figure")) == len(page.of("figcaption")) == 4
    titles = {attrs.get("id") for attrs in page.of("title")}
    assert all(plot["role"] == "img" and plot["aria-labelledby"] in titles for plot in plots)
    assert len(page.of("caption")) == len(page.of("table"))
    assert all("scope" in attrs for attrs in page.of("th"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_from_anywhere() -> None:
    page = Page(render(REPORT))

    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if {"src", "href", "srcset"} & attrs.keys()]
    assert not re.search(r"https?:|//[a-z]|url\(|@import", render(REPORT))
    policy = {attrs.get("http-equiv"): attrs.get("content") for attrs in page.of("meta")}
    assert str(policy["Content-Security-Policy"]).startswith("default-src 'none'")


def test_text_from_a_log_stays_text() -> None:
    harmless = Page(render(REPORT))
    hostile = replace(
        LEARNED,
        policy=HOSTILE,
        verdict=HOSTILE,
        estimates=[replace(LEARNED.estimates[0], name=HOSTILE), LEARNED.estimates[1]],
        diagnostics={HOSTILE: HOSTILE, "meanWeight": 1.0, "supportGaps": 0, "matched": 1},
    )
    text = render(
        replace(
            REPORT,
            source=HOSTILE,
            command=HOSTILE,
            versions={HOSTILE: HOSTILE, "numpy": "2"},
            log={HOSTILE: HOSTILE, "decisions": 1, "meanReward": 1.0},
            policies=[hostile, UNIFORM],
        )
    )
    page = Page(text)

    assert "<script" not in text
    assert "<img" not in text
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in harmless.tags}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert any(HOSTILE in words for _, words in page.words)


@pytest.mark.parametrize(
    ("report", "figures"),
    [
        (replace(REPORT, propensity_edges=(), propensity_counts=()), 3),
        (replace(REPORT, policies=[UNIFORM]), 2),
        (replace(REPORT, policies=[replace(UNIFORM, estimates=())], reference=None, propensity_counts=()), 1),
    ],
)
def test_what_is_not_known_is_left_out(report: Report, figures: int) -> None:
    assert len(Page(render(report)).of("figure")) == figures


def test_a_report_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(REPORT, path)
    assert path.read_text(encoding="utf-8") == render(REPORT)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(replace(REPORT, source="other"), path)

    assert path.read_text(encoding="utf-8") == render(REPORT)
    assert list(path.parent.iterdir()) == [path]


def test_estimates_lie_where_their_values_say() -> None:
    plot = interval_plot([("p", [Interval("ips", 1.0, 0.0, 2.0, -50.0, 1.5)])], reference=1.0)
    (row,) = plot.groups[0].rows

    # From 112 to 744 px, values from 0 to 2 with 5 % of room: -0.1 to 2.1, so 1 is in the middle.
    assert row.x == plot.reference == 428.0
    assert row.ci is not None
    assert (row.ci.x1, row.ci.x2) == (140.7, 715.3)  # 112 + 632 * 0.1 / 2.2, and the same from the right
    assert row.anytime is not None
    assert (row.anytime.x1, row.anytime.cut_left, row.anytime.cut_right) == (112.0, True, False)
    assert [tick.label for tick in plot.ticks] == ["0.0", "0.5", "1.0", "1.5", "2.0"]


def test_columns_are_as_high_as_their_counts() -> None:
    first, second = histogram_plot([0.01, 0.1, 1.0], [10, 5]).columns

    assert first.height == pytest.approx(2 * second.height, abs=0.2)  # places are rounded to 0.1
    assert (first.label, second.label) == ("0.01 to 0.1", "0.1 to 1")
    assert second.x - first.x == 340  # half of 680 px


def test_long_curves_keep_their_end_and_lose_what_is_not_finite() -> None:
    values = [float("nan"), *(1 / step for step in range(1, 5001))]

    (line,) = line_plot([PlottedCurve("a", 3, range(len(values)), values)]).lines

    points = line.points.split()
    assert 200 < len(points) <= 400
    assert "nan" not in line.points
    assert [float(part) for part in points[-1].split(",")] == [744.0, line.end[1]]
    assert line.colour == 3


@pytest.mark.parametrize("values", [[], [0.0], [5.0, 5.0], [1e-9, 2e-9], [-3e12, 4e12], [float("inf"), 1.0]])
def test_every_axis_has_ticks_within(values: list[float]) -> None:
    scale = scale_of(values, 0.0, 100.0)
    ticks = scale.ticks()

    assert 3 <= len(ticks) <= 9
    assert all(0 <= tick.at <= 100 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_ticks_are_round() -> None:
    assert [tick.label for tick in Scale(0.0031, 0.0062, 0, 1).ticks()] == [
        "0.0035",
        "0.0040",
        "0.0045",
        "0.0050",
        "0.0055",
        "0.0060",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0, "0"), (12345, "12,345"), (0.5, "0.5000"), (-0.00012345, "-0.0001234"), (1639.5, "1,640")],
)
def test_numbers_are_printed_with_four_digits(value: float, text: str) -> None:
    assert number(value) == text
    assert json.loads(text.replace(",", "")) == pytest.approx(value, rel=5e-4)
