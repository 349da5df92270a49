"""A history as a sequence of decisions: what each was shown, and what it decided."""

from collections.abc import Iterator
from datetime import datetime as DateTime

from msgspec import Struct

from pyworkflow.decision import Decision
from pyworkflow.event import (
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
)
from pyworkflow.history import History


class Window(Struct):
    """One decision.

    Attributes:
        events: What was new to it, oldest first.
        number: The number of events in the history when it began.
        time: When it began.
        decided: What it decided; None if that is not known yet.
    """

    events: list[Event]
    number: int
    time: DateTime | None
    decided: list[Decision] | None = None


class Reader:
    """Reads a history decision by decision, from where it stopped the last time. Decisions that failed or timed out leave no trace."""

    def __init__(self) -> None:
        self.read = 0
        self._inbox: list[Event] = []
        self._shown = 0
        self._open: Window | None = None
        self._handed_out = False

    def windows(self, history: History, *, beyond: bool = False) -> Iterator[Window | None]:
        """Yield each completed decision with what it decided, and the open one at the end.

        A window that was yielded while it was open comes again when it is completed. None says that it will not complete: what was
        made of it is void.

        Args:
            history: The history; it begins with what was read before.
            beyond: Whether to end with what no decision has been shown yet.
        """
        for event in history[self.read :]:
            self.read += 1
            if isinstance(event, DecisionStartedEvent):
                if (window := self._complete()) is not None:
                    yield window
                self._begin(event)
            elif isinstance(event, DecisionFailedEvent | DecisionTimedOutEvent):
                if self._handed_out:
                    yield None
                self._open = None
            elif isinstance(event, DecisionEvent):
                self._record(event)
            else:
                self._inbox.append(event)
        if beyond:
            yield from self._rest(history)
        elif self._open is None:
            # Made by hand, without the beginning of a decision.
            yield Window(self._inbox, self.read, None)
        elif not self._handed_out:
            self._handed_out = True
            yield self._open

    def _begin(self, event: DecisionStartedEvent) -> None:
        self._open = Window(list(self._inbox), self.read, event.datetime)
        self._shown = len(self._inbox)
        self._handed_out = False

    def _record(self, event: DecisionEvent) -> None:
        if self._open is not None:
            if self._open.decided is None:
                self._open.decided = []
            self._open.decided.append(event.decision)

    def _complete(self) -> Window | None:
        window, self._open = self._open, None
        if window is not None:
            window.decided = window.decided or []
            del self._inbox[: self._shown]
            self._handed_out = False
        return window

    def _rest(self, history: History) -> Iterator[Window]:
        """Yield the last decision, if it is known to be completed, and then what came after it."""
        if self._open is not None and self._open.decided:
            window = self._complete()
            assert window is not None  # noqa: S101 - it was open
            yield window
        times = (event.datetime for event in reversed(history))
        yield Window(list(self._inbox), self.read, next((t for t in times if t), None))
