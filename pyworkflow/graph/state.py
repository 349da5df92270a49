"""Where each step of a process stands."""

from datetime import datetime as DateTime
from enum import StrEnum

from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.graph.model import Step, TimerWork
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
    AnyProcessResult,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessTerminated,
    ProcessTimedOut,
)


class StepStatus(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    """For its dependencies."""
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt has failed, and the next one is due later."""
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timedout"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    """Its condition said no, nobody chose it, another was first, or all it depends on was skipped."""
    BLOCKED = "blocked"
    """It never ran, because something it depends on has failed."""


FAILURES = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.CANCELED})
ENDED = FAILURES | {StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.BLOCKED}


class Outcome:
    """How an attempt or a step ended.

    Attributes:
        status: In one word.
        output: Of one that completed.
        reason: Of one that did not, in one line.
        details: More of that.
        type_name: The name of the exception's class, if it was one.
    """

    __slots__ = ("details", "output", "reason", "status", "type_name")

    def __init__(
        self,
        status: StepStatus,
        output: Json = None,
        reason: str | None = None,
        details: Json = None,
        type_name: str | None = None,
    ) -> None:
        self.status = status
        self.output = output
        self.reason = reason
        self.details = details
        self.type_name = type_name

    def as_input(self) -> Json:
        """Return what a step that follows the failure is given."""
        return {"status": self.status.value, "reason": self.reason, "details": self.details}


def outcome_of(result: ActivityResult | AnyProcessResult) -> Outcome:
    """Return how an activity or a child process ended."""
    match result:
        case ActivityCompleted(result=output) | ProcessCompleted(result=output):
            return Outcome(StepStatus.COMPLETED, output)
        case ActivityFailed():
            told = (result.reason, result.details, result.type_name)
            return Outcome(StepStatus.FAILED, None, *told)
        case ProcessFailed(reason=reason, details=details):
            return Outcome(StepStatus.FAILED, None, reason, details)
        case ActivityTimedOut(details=details) | ProcessTimedOut(details=details):
            return Outcome(StepStatus.TIMED_OUT, None, f"timed out: {details}", details)
        case ActivityCanceled(details=details) | ProcessCanceled(details=details):
            return Outcome(StepStatus.CANCELED, None, "canceled", details)
        case ProcessTerminated(reason=reason, details=details):
            return Outcome(StepStatus.CANCELED, None, f"terminated: {reason}", details)
        case _:
            return Outcome(StepStatus.FAILED, None, f"ended as {result!r}")


class Part:
    """One item of a ``for_each``, one run of a ``repeat``, or all there is of another step.

    Attributes:
        attempt: The number of the present or last attempt.
        input: What it was given.
        outcome: How it ended; None while it has not.
        open: How to end what it has open, if it can be.
        timer: The id of its open timeout timer.
        failed: How the last attempt failed, while the next one is due.
    """

    __slots__ = ("attempt", "failed", "input", "open", "outcome", "timer")

    def __init__(self) -> None:
        self.attempt = 0
        self.input: Json = None
        self.outcome: Outcome | None = None
        self.open: Decision | None = None
        self.timer: str | None = None
        self.failed: Outcome | None = None


class StepState:
    """Where one step stands.

    Attributes:
        step: Which.
        status: In one word.
        outcome: How it ended; None while it has not.
        parts: What it has begun, by number.
        items: The inputs of a ``for_each``, once they are known.
        started: When it began.
        ended: When it ended.
        left: Dependencies that have not ended.
        succeeded: Dependencies that ended in the way that it follows.
        failed: Dependencies that ended otherwise.
        first: The first that succeeded.
        ready: Whether it may begin.
        due: Parts that an attempt is due for; whether the pause before it is over.
        open: How many parts are begun and have not ended.
        finished: How many have completed.
        answer: Whether the decider is to say what comes after the output that is there.
    """

    __slots__ = (
        "answer",
        "due",
        "ended",
        "failed",
        "finished",
        "first",
        "items",
        "left",
        "open",
        "outcome",
        "parts",
        "ready",
        "started",
        "status",
        "step",
        "succeeded",
    )

    def __init__(self, step: Step) -> None:
        self.step = step
        self.status = StepStatus.WAITING
        self.outcome: Outcome | None = None
        self.parts: dict[int, Part] = {}
        self.items: list[Json] | None = None
        self.started: DateTime | None = None
        self.ended: DateTime | None = None
        self.left = len(set(step.rivals))
        self.succeeded = 0
        self.failed = 0
        self.first: str | None = None
        self.ready = False
        self.due: dict[int, bool] = {}
        self.open = 0
        self.finished = 0
        self.answer = False

    @property
    def has_output(self) -> bool:
        """Whether it completed, and gives something to those that depend on it."""
        return self.status is StepStatus.COMPLETED and not isinstance(self.step.work, TimerWork)

    @property
    def output(self) -> Json:
        """What it gave; None if it did not complete."""
        return None if self.outcome is None else self.outcome.output

    @property
    def attempts(self) -> int:
        """How many attempts were made, of all parts."""
        return sum(part.attempt for part in self.parts.values())

    @property
    def is_ended(self) -> bool:
        """Whether it has ended, or never will begin."""
        return self.status in ENDED

    def has_more_items(self) -> bool:
        """Tell whether there are items that were not begun."""
        return self.items is not None and len(self.parts) < len(self.items)

    def outputs(self) -> Json:
        """Return the output that its completed parts make."""
        if self.items is not None:
            return [self._of(number) for number in range(1, len(self.items) + 1)]
        return self._of(len(self.parts))

    def _of(self, number: int) -> Json:
        outcome = self.parts[number].outcome
        return None if outcome is None else outcome.output

    def needs_an_answer(self) -> bool:
        """Tell whether the decider has a say in what comes after an output."""
        return self.step.repeat is not None or self.step.choose is not None
