"""Pictures as SVG: one file, no scripts, no fonts of its own.

The classes of its parts (``step`` with ``s-running`` and its like, ``arrow``, ``label``) are for pages that have colours of their own.
"""

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType

from pyworkflow.graph.colours import FILL, INK, LINE, PLAIN_FILL, PLAIN_LINE
from pyworkflow.graph.layout import Layout, laid_out
from pyworkflow.graph.picture import Arrow, Box, Picture

LETTER, SMALL_LETTER = 7.6, 6.2
"""Widths of a letter, on the generous side: which font there will be is not known."""
LINE_HEIGHT, PADDING, GAP, LEVEL_GAP, MARGIN = 16.0, 12.0, 28.0, 44.0, 16.0
LONGEST = 40
"""Letters of a line; the rest of a longer one is in its tooltip."""

_ROUND = {"start": 18.0, "timer": 18.0, "pass": 18.0}


def svg(picture: Picture, links: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return an SVG image.

    Args:
        picture: What it shows.
        links: Where a click on a step leads, by the step's name; the image is one for pages then, to be gone through by keyboard.
    """
    boxes = {box.name: box for box in picture.boxes}
    widths = {name: _width(box) for name, box in boxes.items()}
    layout = laid_out(widths, ((a.source, a.target) for a in picture.arrows), GAP)
    tops, heights, bottom = _levels(layout, boxes)
    left = min((layout.x[name] - widths[name] / 2 for name in boxes), default=0) - MARGIN
    right = max((layout.x[name] + widths[name] / 2 for name in boxes), default=0) + MARGIN
    size = f'{right - left:.0f}" height="{bottom + MARGIN:.0f}'
    view = f"{left:.1f} 0 {right - left:.1f} {bottom + MARGIN:.1f}"
    body = [_arrow(arrow, layout, tops, heights) for arrow in picture.arrows]
    for name, box in boxes.items():
        drawn = _box(box, layout.x[name], widths[name], tops[name])
        link = links.get(name)
        body.append(drawn if link is None else f'<a href="{escape(link)}">{drawn}</a>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" viewBox="{view}" '
            f'font-family="system-ui, sans-serif" role="{"group" if links else "img"}">',
            f"<title>{escape(picture.name)}</title>",
            '<defs><marker id="pyworkflow-arrow" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{PLAIN_LINE}"/></marker></defs>',
            *body,
            "</svg>",
        ]
    )


def _width(box: Box) -> float:
    letters = max(
        [len(_cut(box.title)) * LETTER, *(len(_cut(line)) * SMALL_LETTER for line in box.lines)]
    )
    return letters + 2 * PADDING


def _height(box: Box) -> float:
    return (1 + len(box.lines)) * LINE_HEIGHT + PADDING


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _levels(
    layout: Layout, boxes: Mapping[str, Box]
) -> tuple[dict[str, float], dict[str, float], float]:
    """Return the top and the height of everything, and where the lowest layer ends."""
    tops: dict[str, float] = {}
    heights: dict[str, float] = {}
    y = MARGIN
    for layer in layout.layers:
        tallest = max(_height(boxes[name]) for name in layer if name in boxes)
        for name in layer:
            heights[name] = _height(boxes[name]) if name in boxes else tallest
            tops[name] = y + (tallest - heights[name]) / 2
        y += tallest + LEVEL_GAP
    return tops, heights, max(MARGIN, y - LEVEL_GAP)


def _arrow(
    arrow: Arrow, layout: Layout, tops: Mapping[str, float], heights: Mapping[str, float]
) -> str:
    path = layout.paths[arrow.source, arrow.target]
    points: list[tuple[float, float]] = []
    for index, name in enumerate(path):
        if index:
            points.append((layout.x[name], tops[name]))
        if index + 1 < len(path):
            points.append((layout.x[name], tops[name] + heights[name]))
    dashed = ' stroke-dasharray="5 4"' if arrow.label or arrow.taken is False else ""
    drawn = (
        f'<path class="arrow" d="{_curve(points)}" fill="none" stroke="{PLAIN_LINE}" stroke-width="1.4"{dashed} '
        'marker-end="url(#pyworkflow-arrow)"/>'
    )
    if not arrow.label:
        return drawn
    x, y = (points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2
    label = f'<text class="label" x="{x + 6:.1f}" y="{y:.1f}" font-size="11" fill="{PLAIN_LINE}">'
    return f"{drawn}\n{label}{escape(arrow.label)}</text>"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a path: straight down through layers, and bent between them."""
    (x, y), *rest = points
    drawn = [f"M{x:.1f} {y:.1f}"]
    for place, (to_x, to_y) in enumerate(rest):
        if place % 2:
            drawn.append(f"L{to_x:.1f} {to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            drawn.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(drawn)


def _box(box: Box, middle: float, width: float, top: float) -> str:
    fill = PLAIN_FILL if box.status is None else FILL[box.status]
    line = PLAIN_LINE if box.status is None else LINE[box.status]
    look = "step" if box.status is None else f"step s-{box.status.value}"
    told = ": ".join(filter(None, (box.title, *box.lines, box.reason)))
    parts = [
        f'<g class="{look}"><title>{escape(told)}</title>',
        f'<rect x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{_height(box):.1f}" rx="{_ROUND.get(box.kind, 5.0)}" fill="{fill}" '
        f'stroke="{line}" stroke-width="1.6"/>',
    ]
    y = top + PADDING / 2 + LINE_HEIGHT * 0.75
    for index, text in enumerate((box.title, *box.lines)):
        font = 'font-size="13" font-weight="600"' if not index else 'font-size="11"'
        parts.append(
            f'<text x="{middle:.1f}" y="{y + index * LINE_HEIGHT:.1f}" text-anchor="middle" '
            f'fill="{INK}" {font}>{escape(_cut(text))}</text>'
        )
    return "\n".join([*parts, "</g>"])
