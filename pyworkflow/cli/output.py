"""What the command line prints, for people and for machines."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime as DateTime
from typing import TYPE_CHECKING

from pyworkflow.codec import Json, to_plain

if TYPE_CHECKING:
    from pyworkflow.process import Process

_KEEP = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def safe(text: object) -> str:
    """Return text from data with its control characters made visible, so that it cannot drive the terminal."""
    return "".join(
        _KEEP.get(c, c if c.isprintable() or c == " " else f"\\x{ord(c):02x}") for c in str(text)
    )


def short(value: Json, width: int = 60) -> str:
    """Return JSON on one line, cut to a width."""
    text = safe(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= width else text[: width - 1] + "…"


def instant(moment: DateTime | None) -> str:
    """Return an instant to the second, UTC."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def emit(value: object) -> None:
    """Print a value as one JSON document on one line, at once: somebody may read along."""
    print(json.dumps(to_plain(value), ensure_ascii=False, default=str), flush=True)


def state(process: "Process") -> str:
    """Return the state of a process in a word: its status, or ``parked``."""
    return "parked" if process.parked else process.status.value


def table(head: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table: with rules and colours on a terminal, plain columns elsewhere."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not cells:
        print(empty)
    elif sys.stdout.isatty():
        _rich_table(head, cells)
    else:
        widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
        for row in [list(head), *cells]:
            print(
                "  ".join(
                    cell.ljust(width) for cell, width in zip(row, widths, strict=True)
                ).rstrip()
            )


def _rich_table(head: Sequence[str], cells: list[list[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(*head, header_style="bold")
    for row in cells:
        drawn.add_row(*(escape(cell) for cell in row))
    Console().print(drawn)


def drop_output() -> None:
    """Have what is still buffered go nowhere, so that its last flush does not fail, too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
