"""The report of an evaluation: one HTML page that needs nothing else, for those who decide by it."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from learners.evaluation.plots import (
    Bins,
    CalibrationPlot,
    Curve,
    HistogramPlot,
    Interval,
    IntervalPlot,
    LinePlot,
    calibration_plot,
    histogram_plot,
    interval_plot,
    line_plot,
)

Fact: TypeAlias = str | int | float | None
"""Something told about a log or a policy; None where nobody can know."""

_SPOKEN: Final = {"ess": "effective sample size", "auc": "AUC", "ips": "IPS", "logLoss": "log-loss"}
"""Names that are not words."""

_DIGITS: Final = 4
"""Significant digits that are printed; the page holds each number in full as well."""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What the log says about one policy.

    Attributes:
        policy: Its SPEC.
        estimates: Its value by each estimator.
        diagnostics: How far the log can be trusted about it, by name, as in the JSON report.
        verdict: The same in a sentence.
        progressive: Losses and rewards of predicting before learning, by name, as in the JSON report.
        curve: The progressive loss after numbers of outcomes, as pairs in order.
        calibration: Mean prediction, mean observation and number of cases of each bin.
    """

    policy: str
    estimates: Sequence[Interval]
    diagnostics: Mapping[str, Fact] = field(default_factory=dict)
    verdict: str = ""
    progressive: Mapping[str, Fact] = field(default_factory=dict)
    curve: Sequence[tuple[float, float]] = ()
    calibration: Sequence[tuple[float, float, int]] = ()


def policy_result(
    given: Mapping[str, Any],
    curve: Sequence[tuple[float, float]] = (),
    calibration: Sequence[tuple[float, float, int]] = (),
) -> PolicyResult:
    """Return a policy of the JSON report for the page, so that both have the same numbers.

    Args:
        given: One of the JSON report's `policies`.
        curve: As of `PolicyResult`; the JSON report has none.
        calibration: The same.
    """
    diagnostics = dict(given.get("diagnostics") or {})
    return PolicyResult(
        policy=given["policy"],
        estimates=[
            Interval(
                each["estimator"],
                each["value"],
                each.get("ciLower"),
                each.get("ciUpper"),
                each.get("anytimeLower"),
                each.get("anytimeUpper"),
            )
            for each in given.get("estimates") or ()
        ],
        verdict=diagnostics.pop("verdict", None) or "",
        diagnostics=diagnostics,
        progressive=given.get("progressive") or {},
        curve=curve,
        calibration=calibration,
    )


def software() -> dict[str, str]:
    """Return the versions on which an evaluation's numbers depend, by name."""
    packages = {name: version(name) for name in ("numpy", "scikit-learn")}
    return {"rewardloop": version("rewardloop"), "python": platform.python_version(), **packages}


@dataclass(frozen=True, slots=True)
class Report:
    """All that goes onto the page.

    Attributes:
        source: The log's name.
        command: The command line that made the report.
        versions: Of the software that made it, by name.
        log: What the log holds, by name.
        policies: The policies in the order of the command line.
        level: Of the confidence intervals, in (0, 1).
        reference: The logged policy's mean reward; None if unknown.
        propensity_edges: n + 1 edges of the propensities' histogram.
        propensity_counts: n numbers of decisions.
        curve_name: What the policies' curves show.
    """

    source: str
    command: str
    versions: Mapping[str, str]
    log: Mapping[str, Fact]
    policies: Sequence[PolicyResult]
    level: float = 0.95
    reference: float | None = None
    propensity_edges: Sequence[float] = ()
    propensity_counts: Sequence[int] = ()
    curve_name: str = "Progressive log-loss"

    @property
    def intervals(self) -> IntervalPlot:
        """The plot of all estimates."""
        return interval_plot([(result.policy, result.estimates) for result in self.policies], self.reference)

    @property
    def curves(self) -> LinePlot | None:
        """The plot of the learning curves; None if no policy learns."""
        drawn = [
            Curve(each.policy, colour, *zip(*each.curve, strict=True))
            for colour, each in enumerate(self.policies)
            if each.curve
        ]
        return line_plot(drawn) if drawn else None

    @property
    def propensities(self) -> HistogramPlot | None:
        """The plot of the logged propensities; None if the log has none."""
        return histogram_plot(self.propensity_edges, self.propensity_counts) if self.propensity_counts else None

    @property
    def calibration(self) -> CalibrationPlot | None:
        """The plot of predictions against what came; None if no policy predicts."""
        drawn = [
            Bins(each.policy, colour, each.calibration)
            for colour, each in enumerate(self.policies)
            if each.calibration
        ]
        return calibration_plot(drawn) if drawn else None


def words(name: str) -> str:
    """Return a name of the JSON report as words.

    >>> words("maxWeightShare"), words("ess")
    ('max weight share', 'effective sample size')
    """
    if name in _SPOKEN:
        return _SPOKEN[name]
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def number(value: float) -> str:
    """Return a number as it is printed: integers in full, others with four significant digits.

    >>> number(10000), number(0.0045528812), number(1639.512), number(1e-7)
    ('10,000', '0.004553', '1,640', '1e-07')
    """
    if isinstance(value, int) or value == 0 or abs(value) >= 10 ** (_DIGITS - 1):
        return f"{value:,.0f}"
    return f"{value:#.{_DIGITS}g}" if abs(value) >= 1e-5 else f"{value:.{_DIGITS}g}"


def render(report: Report) -> str:
    """Return the page. All text from outside is escaped, and the page asks for nothing from anywhere."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("learners.evaluation"), PackageLoader("learners", "look")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "words": words}
    return environment.get_template("report.html").render(report=report)


def write_report(report: Report, path: Path) -> None:
    """Put the page at `path`, whole or not at all."""
    page = render(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
