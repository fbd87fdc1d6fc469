"""Where the marks of a report's plots lie: numbers in, coordinates out; the template draws them as SVG.

Coordinates are those of the plot's own `viewBox`: x to the right, y down, a unit is a CSS pixel at full width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from learners.evaluation.scales import Scale, Tick, scale_of

WIDTH: Final = 760.0
_LEFT: Final = 64.0
"""Room for the labels of a y axis."""
_RIGHT: Final = 16.0
_TOP: Final = 12.0
_BOTTOM: Final = 44.0
"""Room for the labels of an x axis and its title."""
_ROW: Final = 22.0
_HEADING: Final = 26.0
_NAMES: Final = 112.0
"""Room for the names of estimators."""
_POINTS: Final = 400
"""Points of a line that are drawn; more cannot be told apart on 700 pixels."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its intervals; None where there is none."""

    name: str
    value: float
    lower: float | None
    upper: float | None
    anytime_lower: float | None
    anytime_upper: float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """A line from `x1` to `x2`; it goes on where it is cut at an end of the axis."""

    x1: float
    x2: float
    cut_left: bool
    cut_right: bool


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One estimate of the plot."""

    name: str
    y: float
    x: float
    ci: Bar | None
    anytime: Bar | None


@dataclass(frozen=True, slots=True)
class IntervalGroup:
    """The estimates of one policy."""

    name: str
    y: float
    colour: int
    rows: list[IntervalRow]


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """Estimates below each other on one axis."""

    height: float
    bottom: float
    groups: list[IntervalGroup]
    ticks: list[Tick]
    reference: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """A series to be drawn: `ys` at ascending `xs`, in the colour of its policy."""

    name: str
    colour: int
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bins:
    """A policy's predictions in bins: mean prediction, mean observation and number of cases of each."""

    name: str
    colour: int
    bins: Sequence[tuple[float, float, int]]


def interval_plot(groups: Sequence[tuple[str, Sequence[Interval]]], reference: float | None) -> IntervalPlot:
    """Lay out the estimates of policies.

    The axis has room for the values and their confidence intervals; anytime intervals, which may be many times as
    wide, are cut where they leave it.

    Args:
        groups: Name of a policy, and its estimates.
        reference: A value to compare with, as a line from top to bottom.
    """
    rows = [row for _, estimates in groups for row in estimates]
    wanted = [edge for row in rows for edge in (row.value, row.lower, row.upper) if edge is not None]
    x = scale_of([*wanted, *([] if reference is None else [reference])], _NAMES, WIDTH - _RIGHT)
    y = _TOP
    laid = []
    for colour, (name, estimates) in enumerate(groups):
        heading = y + _HEADING / 2
        y += _HEADING
        lines = [_interval_row(row, x, y + (place + 0.5) * _ROW) for place, row in enumerate(estimates)]
        laid.append(IntervalGroup(name, heading, colour, lines))
        y += len(estimates) * _ROW
    at = None if reference is None else x.at(reference)
    return IntervalPlot(y + _BOTTOM, y + 4, laid, x.ticks(), at)


def _interval_row(row: Interval, x: Scale, y: float) -> IntervalRow:
    ci = _bar(x, row.lower, row.upper)
    anytime = _bar(x, row.anytime_lower, row.anytime_upper)
    return IntervalRow(row.name, y, x.at(row.value), ci, anytime)


def _bar(x: Scale, lower: float | None, upper: float | None) -> Bar | None:
    if lower is None or upper is None:
        return None
    inside = max(lower, x.low), min(upper, x.high)
    return Bar(x.at(inside[0]), x.at(inside[1]), lower < x.low, upper > x.high)


@dataclass(frozen=True, slots=True)
class Line:
    """A drawn series; `end` is its last point."""

    name: str
    colour: int
    points: str
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LinePlot:
    """Series over a common axis."""

    height: float
    left: float
    right: float
    bottom: float
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def line_plot(curves: Sequence[Curve], *, height: float = 280) -> LinePlot:
    """Lay out curves; points that are not finite are left out."""
    kept = [(curve, _thinned(list(zip(curve.xs, curve.ys, strict=True)))) for curve in curves]
    right, bottom = WIDTH - _RIGHT, height - _BOTTOM
    everything = [point for _, points in kept for point in points]
    across, up = [point[0] for point in everything], [point[1] for point in everything]
    x = scale_of(across, _LEFT, right, margin=0.0)
    y = scale_of(up, bottom, _TOP)
    lines = []
    for curve, points in kept:
        places = [(x.at(step), y.at(value)) for step, value in points]
        if places:
            text = " ".join(f"{left:g},{top:g}" for left, top in places)
            lines.append(Line(curve.name, curve.colour, text, places[-1]))
    return LinePlot(height, _LEFT, right, bottom, lines, x.ticks(), y.ticks())


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    finite = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    stride = math.ceil(len(finite) / _POINTS) or 1
    # Counted from the end, so that the last value is there.
    return finite[::-1][::stride][::-1]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a histogram."""

    x: float
    y: float
    width: float
    height: float
    count: int
    label: str


@dataclass(frozen=True, slots=True)
class HistogramPlot:
    """Columns of equal width, whatever the widths of their bins."""

    height: float
    left: float
    right: float
    bottom: float
    columns: list[Column]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def histogram_plot(edges: Sequence[float], counts: Sequence[int], *, height: float = 240) -> HistogramPlot:
    """Lay out a histogram of n counts between n + 1 edges; the edges may be spaced as one likes."""
    right, bottom = WIDTH - _RIGHT, height - _BOTTOM
    x = Scale(0, len(counts), _LEFT, right)
    y = Scale(0, max([*counts, 1]) * 1.05, bottom, _TOP)
    names = [f"{edge:.3g}" for edge in edges]
    width = round(x.at(1) - x.at(0) - 2, 1)
    columns = [
        Column(
            x.at(bin_) + 1, y.at(count), width, bottom - y.at(count), count, f"{names[bin_]} to {names[bin_ + 1]}"
        )
        for bin_, count in enumerate(counts)
    ]
    every = math.ceil(len(edges) / 12)
    x_ticks = [Tick(x.at(place), names[place]) for place in range(0, len(edges), every)]
    return HistogramPlot(height, _LEFT, right, bottom, columns, x_ticks, y.ticks(4))


@dataclass(frozen=True, slots=True)
class Dot:
    """A bin of a calibration plot; its area grows with the number of cases."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class CalibrationSeries:
    """The bins of one policy."""

    name: str
    colour: int
    dots: list[Dot]


@dataclass(frozen=True, slots=True)
class CalibrationPlot:
    """Predicted against observed; what is calibrated lies on the diagonal."""

    size: float
    left: float
    bottom: float
    top: float
    right: float
    series: list[CalibrationSeries]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def calibration_plot(policies: Sequence[Bins], *, size: float = 400) -> CalibrationPlot:
    """Lay out predictions against what came, on the same scale both ways."""
    bins = [each for policy in policies for each in policy.bins]
    edges = [edge for predicted, observed, _ in bins for edge in (predicted, observed)]
    low, high = min([0.0, *edges]), max([0.0, *edges]) * 1.05 or 1.0
    x, y = Scale(low, high, _LEFT, size - _RIGHT), Scale(low, high, size - _BOTTOM, _TOP)
    most = max((count for _, _, count in bins), default=1)
    series = [
        CalibrationSeries(
            policy.name,
            policy.colour,
            [Dot(x.at(p), y.at(o), round(2 + 7 * math.sqrt(n / most), 1)) for p, o, n in policy.bins],
        )
        for policy in policies
    ]
    return CalibrationPlot(size, _LEFT, size - _BOTTOM, _TOP, size - _RIGHT, series, x.ticks(5), y.ticks(5))
