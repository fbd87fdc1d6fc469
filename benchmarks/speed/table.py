"""What a measurement says: medians of several runs, side by side with what it is compared with."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Series:
    """One side of a row: what each run gave, in the row's unit."""

    name: str
    runs: Sequence[float]

    @property
    def median(self) -> float:
        """The run in the middle."""
        return statistics.median(self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest run."""
        return min(self.runs), max(self.runs)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Args:
        key: Short name, by which it is asked for.
        what: What was measured.
        unit: Of the runs.
        ours: Rewardloop's runs.
        others: What it is compared with, each measured in turn with ours.
        target: What is wanted of `value`.
        value: The number that the target is about; by default the median.
        met: Whether the target is met.
        notes: What else belongs to it, CPU times for example.
    """

    key: str
    what: str
    unit: str
    ours: Series
    others: Sequence[Series] = ()
    target: str = ""
    value: float | None = None
    met: bool | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Row:
        """Return what `to_json` wrote."""
        series = [Series(**one) for one in (row["ours"], *row["others"])]
        return cls(**{**row, "ours": series[0], "others": series[1:]})

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def side_by_side(repeat: int, *runs: Callable[[], float]) -> list[list[float]]:
    """Return what each of `runs` gave, `repeat` times, taking turns so that the machine's moods meet all alike."""
    results: list[list[float]] = [[] for _ in runs]
    for turn in range(repeat):
        order = range(len(runs)) if turn % 2 == 0 else reversed(range(len(runs)))
        for place in order:
            results[place].append(runs[place]())
    return results


def page(title: str, preface: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown page."""
    lines = [f"# {title}", "", *preface, "", "| what | ours | compared with | ratio | target | met |"]
    lines += ["|---|---:|---|---:|---|---|"]
    lines += [_line(row) for row in rows]
    notes = [(row.key, row.notes) for row in rows if row.notes]
    if notes:
        lines += ["", "## Notes", ""]
        lines += [
            f"- **{key}**: {'; '.join(f'{name} {value}' for name, value in found.items())}" for key, found in notes
        ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    others = "<br>".join(f"{one.name} {_shown(one, row.unit)}" for one in row.others) or "–"
    best = max((one.median for one in row.others), default=None)
    ratio = "–" if not best else f"{row.ours.median / best:.2f}"
    met = "–" if row.met is None else "yes" if row.met else "**no**"
    return f"| {row.what} | {_shown(row.ours, row.unit)} | {others} | {ratio} | {row.target} | {met} |"


def _shown(series: Series, unit: str) -> str:
    least, greatest = series.spread
    return f"{_short(series.median)} {unit} ({_short(least)} – {_short(greatest)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
