"""The extension that every job has unless its file names others: where the tasks stand, in the terminal."""

import sys
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from pyworkflow.jobs.eventbus.execution import (
    ExecutionState,
    ExecutionStateTransition,
    SerializableExecutionEvent,
)
from pyworkflow.jobs.eventbus.log import LogWriteEvent, SerializableLogEvent
from pyworkflow.jobs.extensions.extension import Extension, extension

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

STYLES = {
    ExecutionState.RUNNING: "bold cyan",
    ExecutionState.COMPLETED: "green",
    ExecutionState.FAILED: "bold red",
    ExecutionState.DEFAULTED: "yellow",
    ExecutionState.ABORTED: "magenta",
}

IMPORTANT = (
    ExecutionState.RUNNING,
    ExecutionState.FAILED,
    ExecutionState.ABORTED,
    ExecutionState.PENDING,
    ExecutionState.DEFAULTED,
    ExecutionState.COMPLETED,
)
"""What is shown first where not all tasks have room."""

AROUND = 8
"""Lines of the terminal that are not for tasks."""


@dataclass
class _Row:
    state: ExecutionState = ExecutionState.INIT
    attempt: int = 0
    began: float | None = None
    ended: float | None = None
    line: str = ""

    def seconds(self) -> str:
        if self.began is None:
            return ""
        return f"{(self.ended or monotonic()) - self.began:.1f} s"


@extension
class RichProgressBar(Extension):
    """Shows a row for each task on standard error: state, attempt, time, last line. Where that is no terminal, a line for each change."""

    _rows: dict[str, _Row] = PrivateAttr(default_factory=dict)
    _live: "Live | None" = PrivateAttr(default=None)

    def on_create(self) -> None:
        """Begin to show."""
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4)
        self._live.start()

    def update(self, evt: SerializableExecutionEvent) -> None:
        """Show where a task stands."""
        if not isinstance(evt, ExecutionStateTransition):
            return
        row = self._rows.setdefault(evt.name, _Row())
        row.state = evt.to_state
        if evt.to_state is ExecutionState.RUNNING:
            row.attempt += 1
            row.began, row.ended = monotonic(), None
        elif evt.from_state is ExecutionState.RUNNING:
            row.ended = monotonic()
        if self._live is None and evt.from_state is not ExecutionState.INIT:
            self._print(evt.name, row)

    def on_log(self, evt: SerializableLogEvent) -> None:
        """Show what a task has said last."""
        if isinstance(evt, LogWriteEvent):
            lines = evt.message.splitlines()
            self._rows.setdefault(evt.name, _Row()).line = lines[-1] if lines else ""

    def on_destroy(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()

    def _print(self, name: str, row: _Row) -> None:
        attempt = f" (attempt {row.attempt})" if row.attempt > 1 else ""
        time = f" after {row.seconds()}" if row.ended is not None else ""
        word = "tried again later" if row.state is ExecutionState.PENDING else row.state.word
        print(f"{_safe(name)}: {word}{attempt}{time}", file=sys.stderr, flush=True)  # noqa: T201

    def _table(self) -> "Table":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, header_style="bold", expand=True)
        for title in ("task", "state", "attempt", "time"):
            table.add_column(title, no_wrap=True)
        table.add_column("last line", no_wrap=True, overflow="ellipsis", ratio=1)
        for name, row in self._shown():
            cells = (name, row.state.word, str(row.attempt or ""), row.seconds(), row.line)
            table.add_row(*(_text(cell) for cell in cells), style=STYLES.get(row.state, ""))
        table.caption = self._counts()
        return table

    def _shown(self) -> list[tuple[str, _Row]]:
        rows = list(self._rows.items())
        room = max(1, self._live.console.height - AROUND) if self._live else len(rows)
        if len(rows) <= room:
            return rows
        return sorted(rows, key=lambda item: _importance(item[1].state))[:room]

    def _counts(self) -> str:
        states = [row.state for row in list(self._rows.values())]
        counts = {state.word: states.count(state) for state in ExecutionState if state in states}
        return ", ".join(f"{count} {word}" for word, count in counts.items())


def _importance(state: ExecutionState) -> int:
    return IMPORTANT.index(state) if state in IMPORTANT else len(IMPORTANT)


def _safe(text: str) -> str:
    """Return text without what could drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _text(cell: str) -> "Text":
    from rich.text import Text

    return Text(_safe(cell))
