"""Pictures as text: to read, and for the programs that draw Mermaid and DOT."""

from pyworkflow.graph.colours import FILL, INK, LINE
from pyworkflow.graph.layout import depths
from pyworkflow.graph.picture import Box, Picture

_MERMAID = {
    "start": ("([", "])"),
    "activity": ("[", "]"),
    "lambda": ("[", "]"),
    "workflow": ("[[", "]]"),
    "signal": (">", "]"),
    "timer": ("(", ")"),
    "pass": ("((", "))"),
}

_DOT = {
    "start": "ellipse",
    "activity": "box",
    "lambda": "box",
    "workflow": "box3d",
    "signal": "cds",
    "timer": "ellipse",
    "pass": "circle",
}


def outline(picture: Picture) -> str:
    """Return a line for each step, after those that it follows and further to the right, with what it is and what it follows."""
    depth = depths(
        (box.name for box in picture.boxes), [(a.source, a.target) for a in picture.arrows]
    )
    titles = {box.name: _line(box.title) for box in picture.boxes}
    rows: list[tuple[str, str, str]] = []
    for box in sorted(picture.boxes, key=lambda box: depth[box.name]):
        followed = [arrow.source for arrow in picture.arrows if arrow.target == box.name]
        after = f"<- {', '.join(titles[name] for name in followed)}" if followed else ""
        told = ", ".join(map(_line, box.lines))
        rows.append(("  " * depth[box.name] + titles[box.name], told, after))
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    return "".join(f"{line}\n" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def mermaid(picture: Picture) -> str:
    """Return a Mermaid flowchart."""
    names = {box.name: f"s{number}" for number, box in enumerate(picture.boxes)}
    lines = ["flowchart TD"]
    for box in picture.boxes:
        before, after = _MERMAID[box.kind]
        text = "<br/>".join(map(_mermaid_text, (box.title, *box.lines)))
        status = f":::{box.status.value}" if box.status is not None else ""
        lines.append(f'    {names[box.name]}{before}"{text}"{after}{status}')
    for arrow in picture.arrows:
        line = "-.->" if arrow.label or arrow.taken is False else "-->"
        label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    {names[arrow.source]} {line}{label} {names[arrow.target]}")
    for status in sorted({box.status for box in picture.boxes if box.status is not None}):
        style = f"fill:{FILL[status]},stroke:{LINE[status]},color:{INK}"
        lines.append(f"    classDef {status.value} {style}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    # Mermaid writes entities with a number sign, which itself has to be one.
    escaped = "".join(f"#{ord(c)};" if c in '#&"<>`\\|[]{}()\n' else c for c in text)
    return escaped


def dot(picture: Picture) -> str:
    """Return the picture in the language of Graphviz."""
    lines = [
        f"digraph {_quoted(picture.name)} {{",
        '    node [fontname="sans-serif", fontsize=11, style=filled, fillcolor=white]',
        '    edge [fontname="sans-serif", fontsize=9]',
    ]
    lines += [f"    {_quoted(box.name)} [{_dot_box(box)}]" for box in picture.boxes]
    for arrow in picture.arrows:
        style = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        style += ["style=dashed"] if arrow.label or arrow.taken is False else []
        told = f" [{', '.join(style)}]" if style else ""
        lines.append(f"    {_quoted(arrow.source)} -> {_quoted(arrow.target)}{told}")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_box(box: Box) -> str:
    told = [f"label={_quoted(chr(10).join((box.title, *box.lines)))}", f"shape={_DOT[box.kind]}"]
    if box.status is not None:
        told += [f'fillcolor="{FILL[box.status]}"', f'color="{LINE[box.status]}"']
    if box.reason:
        told.append(f"tooltip={_quoted(box.reason)}")
    return ", ".join(told)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
