"""Bars on a logarithmic axis, as SVG that reads well on light and dark pages."""

import math
from html import escape

from msgspec import Struct

WIDTH, LABELS, MARGIN, ROW, BAR = 860, 230, 96, 26, 16
TOP, BOTTOM = 64, 34

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.axis { font-size: 11px; fill: #656d76 }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
.grid { stroke: #d0d7de }
.ours { fill: #0969da } .limit { fill: #afb8c1 } .peer { fill: #bc6c25 }
text.ours { fill: #0969da; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } .value { stroke: #0d1117 }
  text { fill: #e6edf3 } .axis { fill: #8d96a0 } .grid { stroke: #30363d }
  .ours, text.ours { fill: #4493f8 } .limit { fill: #6e7681 } .peer { fill: #d29a5b }
}
"""


class Bar(Struct, frozen=True):
    """One bar.

    Attributes:
        label: What it stands for.
        value: Its length; more than 0.
        kind: Its colour: ``ours``, ``limit`` or ``peer``.
    """

    label: str
    value: float
    kind: str


def bars(title: str, unit: str, rows: list[Bar]) -> str:
    """Return a drawing of some bars, from top to bottom as they are given, as an SVG document."""
    values = [row.value for row in rows]
    low = math.floor(math.log10(min(values, default=1)))
    # A bar of the lowest value must still be seen.
    if math.log10(min(values, default=1)) - low < 0.1:
        low -= 1
    high = max(math.ceil(math.log10(max(values, default=10))), low + 1)
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        f'<text class="axis" x="16" y="46">{escape(unit)}, logarithmic axis</text>',
        *_axis(low, high, height),
    ]
    for number, row in enumerate(rows):
        parts.extend(_bar(row, TOP + number * ROW, _x(row.value, low, high)))
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float, low: int, high: int) -> float:
    """Return where a value lies."""
    share = (math.log10(value) - low) / (high - low)
    return LABELS + share * (WIDTH - LABELS - MARGIN)


def _axis(low: int, high: int, height: int) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        bottom = height - BOTTOM
        line = f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        at = f'x="{x:.1f}" y="{bottom + 18}" text-anchor="middle"'
        parts += [line, f'<text class="axis" {at}>{number(10.0**power)}</text>']
    return parts


def _bar(row: Bar, y: int, end: float) -> list[str]:
    middle = y + BAR - 3
    mark = "ours" if row.kind == "ours" else ""
    return [
        f'<text class="{mark}" x="{LABELS - 10}" y="{middle}" text-anchor="end">'
        f"{escape(row.label)}</text>",
        f'<rect class="{row.kind}" x="{LABELS}" y="{y}" width="{end - LABELS:.1f}"'
        f' height="{BAR}" rx="2"/>',
        f'<text class="value {mark}" x="{end + 6:.1f}" y="{middle}">{number(row.value)}</text>',
    ]


def number(value: float) -> str:
    """Return a number with three digits that count, and no more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
