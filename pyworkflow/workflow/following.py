"""Deciding again along a recorded history, decision by decision: what was new, what was decided then and now, and where the code stands."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime as DateTime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pyworkflow import codec
from pyworkflow.codec import Json
from pyworkflow.decision import CancelProcess, Decision
from pyworkflow.event import (
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
)
from pyworkflow.process import Process, Status
from pyworkflow.workflow.base import decisions_of

if TYPE_CHECKING:
    from pyworkflow.workflow.base import Workflow

_DECIDING = (DecisionStartedEvent, DecisionEvent)

_MADE_UP = re.compile(rb'"[0-9a-f]{32}"')
"""Ids that nobody chose: they are others each time."""


class Follower:
    """Decides along a history, and tells where the workflow stands. Styles that know more of that have their own.

    Args:
        workflow: The workflow.
    """

    def __init__(self, workflow: "Workflow") -> None:
        self.workflow = workflow

    def decide(self, process: Process, recorded: Sequence[Decision] | None) -> list[Decision]:
        """Return what is decided at the end of a history; it begins with the one that was given before.

        Args:
            process: The process, with the history up to there.
            recorded: What was decided there then; None if the history ends before that.
        """
        return decisions_of(self.workflow.decide(process), process)

    def state(self, process: Process) -> dict[str, Json]:
        """Return where the workflow stands after that, for people."""
        activities = {e.id: e.activity for e in process.unfinished_activities()}
        timers = [timer.id for timer in process.untriggered_timers()]
        return {"activities": activities, "timers": timers}

    def is_alike(self, recorded: Sequence[Decision], decided: Sequence[Decision]) -> bool:
        """Tell whether two lists of decisions mean the same."""
        return _told(recorded) == _told(decided)


def _told(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    # Compared as values: 60 and 60.0 are one duration.
    return codec.decode(_MADE_UP.sub(b'""', codec.encode(list(decisions))), list[dict[str, Any]])


class Step(Struct, frozen=True):
    """One decision of a history, made again.

    Attributes:
        number: The number of events in the history when it began.
        datetime: When it began.
        news: The events that it was the first to see, without what the one before decided.
        recorded: What was decided then; None if the history ends before that.
        decided: What is decided now.
        differs: Whether that means something else.
        state: Where the workflow stands after it.
    """

    number: int
    datetime: DateTime | None
    news: list[Event]
    recorded: Sequence[Decision] | None
    decided: list[Decision]
    differs: bool
    state: dict[str, Json]


def follow(workflow: "Workflow", process: Process) -> Iterator[Step]:
    """Yield the decisions of a process, made again by a workflow. Those that failed or timed out left no trace, and are left out.

    Args:
        workflow: The code.
        process: The process with its history.

    Raises:
        Exception: What the code raises.
    """
    follower = workflow.follower()
    history = process.history
    starts = [n for n, event in enumerate(history) if isinstance(event, DecisionStartedEvent)]
    for index, end in pairwise([*starts, len(history)]):
        later = history[index + 1 : end]
        if any(isinstance(e, DecisionFailedEvent | DecisionTimedOutEvent) for e in later):
            continue
        recorded = [e.decision for e in later if isinstance(e, DecisionEvent)]
        known = None if end == len(history) and not recorded else recorded
        shown = _as_it_was(process, index + 1)
        decided = follower.decide(shown, known)
        if known and not workflow.handles_cancel and _cancels(known) and not _cancels(decided):
            # No history tells who canceled: where no decider is asked, it was somebody else.
            known = known[:-1] or None
        yield Step(
            number=index + 1,
            datetime=history[index].datetime,
            news=[e for e in shown.unseen_events() if not isinstance(e, _DECIDING)],
            recorded=known,
            decided=decided,
            differs=known is not None and not follower.is_alike(known, decided),
            state=follower.state(shown),
        )


def _cancels(decisions: Sequence[Decision]) -> bool:
    return len(decisions) > 0 and isinstance(decisions[-1], CancelProcess)


def _as_it_was(process: Process, length: int) -> Process:
    """Return a process as it was after the first events of its history."""
    history = process.history.prefix(length)
    earlier = {"status": Status.OPEN, "result": None, "closed": None, "parked": None}
    return process.copy_with_id(str(process.id), history=history, **earlier)
