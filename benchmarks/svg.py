"""
Plots as SVG: bars and lines, legible on a light and on a dark page.

Pure: what is shown comes in, the text of the file comes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 760
LEFT, RIGHT, TOP = 190, 90, 58
BAR, GAP, GROUP_GAP = 20, 7, 34
PLOT_HEIGHT = 260
LABEL_HEIGHT = 17

STYLE = """
    .card { fill: #ffffff; stroke: #d0d7de; }
    text { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 16px; }
    .group { font-weight: 600; }
    .small { font-size: 12.5px; fill: #57606a; }
    .grid { stroke: #d8dee4; }
    .bar-0 { fill: #0969da; } .bar-1 { fill: #afb8c1; }
    polyline { fill: none; stroke-width: 2.5; }
    .line-0 { stroke: #0969da; } .line-1 { stroke: #57606a; stroke-dasharray: 7 4; }
    .line-2 { stroke: #1a7f37; stroke-dasharray: 2 4; } .line-3 { stroke: #bc4c00; }
    .dot-0 { fill: #0969da; } .dot-1 { fill: #57606a; } .dot-2 { fill: #1a7f37; }
    .dot-3 { fill: #bc4c00; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d; }
      text { fill: #e6edf3; }
      .small { fill: #9da7b1; }
      .grid { stroke: #30363d; }
      .bar-0 { fill: #58a6ff; } .bar-1 { fill: #6e7681; }
      .line-0 { stroke: #58a6ff; } .line-1 { stroke: #9da7b1; } .line-2 { stroke: #3fb950; }
      .line-3 { stroke: #f0883e; }
      .dot-0 { fill: #58a6ff; } .dot-1 { fill: #9da7b1; } .dot-2 { fill: #3fb950; }
      .dot-3 { fill: #f0883e; }
    }"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One value."""

    label: str
    value: float
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Values, one for each place on the x axis."""

    label: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands above a plot."""

    title: str
    unit: str
    """What a number is, and which way is better."""


def bars(caption: Caption, groups: Mapping[str, Sequence[Bar]]) -> str:
    """Horizontal bars in groups, all with one scale."""
    largest = max(bar.value for group in groups.values() for bar in group)
    scale = (WIDTH - LEFT - RIGHT) / largest
    parts, y = [], TOP
    for name, group in groups.items():
        y += GROUP_GAP
        parts.append(_text(24, y - 10, name, "group"))
        for bar in group:
            width = max(2.0, bar.value * scale)
            parts.append(_text(LEFT - 10, y + 15, bar.label, "", "end"))
            kind = "bar-0" if bar.is_ours else "bar-1"
            parts.append(
                f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}"/>'
            )
            parts.append(_text(LEFT + width + 8, y + 15, _number(bar.value)))
            y += BAR + GAP
    return _document(caption, parts, y + 14)


def lines(caption: Caption, places: Sequence[str], series: Sequence[Line]) -> str:
    """Lines over places at equal distances, from 0 up."""
    top = _round_up(max(value for line in series for value in line.values))
    left, right = 70, WIDTH - 170
    bottom = TOP + 20 + PLOT_HEIGHT
    step = (right - left) / max(1, len(places) - 1)
    parts = []
    for part in range(5):
        y = bottom - PLOT_HEIGHT * part / 4
        parts.append(f'<line class="grid" x1="{left}" y1="{y:g}" x2="{right}" y2="{y:g}"/>')
        parts.append(_text(left - 10, y + 4, _number(top * part / 4), "small", "end"))
    for number, place in enumerate(places):
        parts.append(_text(left + number * step, bottom + 22, place, "small", "middle"))
    parts.append(_text((left + right) / 2, bottom + 44, "connections", "small", "middle"))
    ends: list[tuple[float, str]] = []
    for kind, line in enumerate(series):
        points = [
            (left + number * step, bottom - PLOT_HEIGHT * value / top)
            for number, value in enumerate(line.values)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line-{kind % 4}" points="{path}"/>')
        parts += [
            f'<circle class="dot-{kind % 4}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
            for x, y in points
        ]
        ends.append((points[-1][1], f"{line.label}  {_number(line.values[-1])}"))
    parts += [_text(right + 12, y + 5, label) for y, label in _apart(ends)]
    return _document(caption, parts, bottom + 62)


def _apart(labels: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The labels from top to bottom, none upon another."""
    placed: list[tuple[float, str]] = []
    for y, label in sorted(labels):
        least = placed[-1][0] + LABEL_HEIGHT if placed else y
        placed.append((max(y, least), label))
    return placed


def _round_up(value: float) -> float:
    """The next number that is easily divided into quarters."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * part for part in (1, 2, 4, 6, 8, 10, 12) if power * part >= value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    known = f' class="{kind}"' if kind else ""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text{known} {where}>{escape(text)}</text>"


def _document(caption: Caption, parts: Sequence[str], height: float) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t">',
            f'  <title id="t">{escape(caption.title)}</title>',
            f"  <style>{STYLE}\n  </style>",
            f'  <rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}"'
            ' rx="10"/>',
            f"  {_text(24, 32, caption.title, 'title')}",
            f"  {_text(24, 52, caption.unit, 'small')}",
            *(f"  {part}" for part in parts),
            "</svg>\n",
        ]
    )
