"""Line charts as SVG that needs nothing else, readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from learners.evaluation.scales import Scale

WIDTH: Final = 860.0
LEFT: Final = 64.0
NAMES: Final = 190.0
"""Room right of a panel, for the names of its lines."""
TOP: Final = 40.0
"""Room above a panel, for its title."""
BOTTOM: Final = 48.0
"""Room below a panel, for the labels and the title of its x axis."""
ROW: Final = 16.0
"""A name and the gap to the next."""
COLOURS: Final = 7
STYLE: Final = """
svg { --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --c0: #0b6bcb; --c1: #c2410c; --c2: #047857;
  --c3: #7c3aed; --c4: #a16207; --c5: #be185d; --c6: #475569; font: 12px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14171c; --ink: #e8ebef; --soft: #9aa4b0; --line: #333a43; --c0: #6cb2ff; --c1: #ff9d66;
    --c2: #4cd3a0; --c3: #bda4ff; --c4: #e8c34d; --c5: #ff8fc2; --c6: #a9b4c2; } }
.paper { fill: var(--paper); } text { fill: var(--ink); } .soft { fill: var(--soft); } .title { font-weight: 600; }
.grid { stroke: var(--line); } .mark { stroke: var(--soft); stroke-dasharray: 3 4; }
polyline { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.dashed { stroke-dasharray: 7 3; } .leader { stroke: currentColor; opacity: .5; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A series, `ys` over `xs`; its colour goes by `number`, dashed from the eighth on."""

    name: str
    number: int
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over common axes, with vertical marks at `marks` (place and what it says)."""

    title: str
    x_title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    lines: Sequence[Line]
    marks: Sequence[tuple[float, str]] = ()
    height: float = 300.0
    y_ticks: bool = True


def draw(title: str, description: str, panels: Sequence[Panel]) -> str:
    """Return the panels below each other as an SVG document."""
    parts, top = [], 0.0
    for panel in panels:
        parts.append(_panel(panel, top + TOP))
        top += TOP + panel.height + BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {top:g}" role="img">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH:g}" height="{top:g}" rx="8"/>\n{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, top: float) -> str:
    right, bottom = WIDTH - NAMES, top + panel.height
    x = Scale(*panel.x_range, LEFT, right)
    y = Scale(*panel.y_range, bottom, top)
    parts = [_text(LEFT, top - 16, panel.title, "title"), _axes(panel, x, y)]
    for place, says in panel.marks:
        at = x.at(place)
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{top:g}" y2="{bottom:g}"/>\n')
        parts.append(_text(at + 5, top + 10, says, "soft"))
    parts += [_line(line, x, y) for line in panel.lines]
    parts.append(_names(panel, y, top))
    return "".join(parts)


def _axes(panel: Panel, x: Scale, y: Scale) -> str:
    right, bottom = x.end, y.start
    parts = []
    for tick in y.ticks(5) if panel.y_ticks else ():
        parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{right:g}" y1="{tick.at}" y2="{tick.at}"/>\n')
        parts.append(_text(LEFT - 8, tick.at + 4, tick.label, "soft", "end"))
    parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{right:g}" y1="{bottom:g}" y2="{bottom:g}"/>\n')
    parts += [_text(tick.at, bottom + 18, tick.label, "soft", "middle") for tick in x.ticks(6)]
    parts.append(_text((LEFT + right) / 2, bottom + 36, panel.x_title, "soft", "middle"))
    return "".join(parts)


def _line(line: Line, x: Scale, y: Scale) -> str:
    points = " ".join(f"{x.at(a):g},{y.at(b):g}" for a, b in zip(line.xs, line.ys, strict=True))
    return f'<polyline {_look(line)} points="{points}"/>\n'


def _names(panel: Panel, y: Scale, top: float) -> str:
    """Put names beside the ends of their lines, apart from each other, with a thin line to where they belong."""
    right, bottom = WIDTH - NAMES, top + panel.height
    lines = sorted(panel.lines, key=lambda line: y.at(line.ys[-1]))
    places: list[float] = []
    for line in lines:
        places.append(max(y.at(line.ys[-1]), places[-1] + ROW if places else top))
    for place in reversed(range(len(places))):  # what would hang below the panel moves up, and pushes the others
        lowest = bottom if place == len(places) - 1 else places[place + 1] - ROW
        places[place] = min(places[place], lowest)
    parts = []
    for line, at in zip(lines, places, strict=True):
        colour = f"color: var(--c{line.number % COLOURS})"
        end = y.at(line.ys[-1])
        parts.append(
            f'<line class="leader" style="{colour}" x1="{right:g}" x2="{right + 16:g}" y1="{end:g}" y2="{at:g}"/>\n'
        )
        parts.append(_text(right + 20, at + 4, line.name, style=f"fill: var(--c{line.number % COLOURS})"))
    return "".join(parts)


def _look(line: Line) -> str:
    dashed = ' class="dashed"' if line.number >= COLOURS else ""
    return f'style="color: var(--c{line.number % COLOURS})"{dashed}'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start", style: str = "") -> str:
    attributes = {"class": kind, "text-anchor": "" if anchor == "start" else anchor, "style": style}
    given = "".join(f' {name}="{value}"' for name, value in attributes.items() if value)
    return f'<text x="{x:g}" y="{y:g}"{given}>{escape(text)}</text>\n'
