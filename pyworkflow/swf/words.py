"""Amazon's limits, its way to write durations, and the names that are this package's own within an SWF history."""

import math
import re
from datetime import datetime as DateTime
from datetime import timedelta

from pyworkflow.errors import InvalidRequestError

MAX_TEXT = 32_768
"""Characters of an input, a result, details, a control, an execution context."""

MAX_HEARTBEAT = 2_048
"""Characters of a heartbeat's details."""

MAX_REASON = 256
"""Characters of a reason."""

MAX_ID = 256
"""Characters of an id."""

MAX_DECISIONS = 100
"""Decisions in one completion."""

MAX_REQUEST = 900_000
"""Characters of the decisions of one completion: a request may have 1 MB."""

YEAR = 365 * 86_400
"""Seconds that an execution may be open at most."""

NEVER = "NONE"
"""A timeout that never comes."""

MAX_TIMER = 99_999_999
"""Seconds of the longest timer: eight digits."""

QUIET = "pyworkflow:quiet"
"""The execution context of a decision that no decider was asked for."""

REST = "pyworkflow:rest"
"""The execution context of a decision that goes on with a list that was too long for one completion."""

FAILED = "pyworkflow:failed"
"""The execution context of a decision whose decider failed."""

MISROUTED = "pyworkflow:misrouted"
"""What the execution context of a decision that a worker without its code gave back begins with."""

RESERVED = "pyworkflow."
"""What the names of this package's own markers and signals begin with."""

FAILED_MARKER = "pyworkflow.failed"
"""Tells that a decider failed."""

REST_MARKER = "pyworkflow.rest"
"""Keeps the decisions that did not fit into one completion."""

CANCELED_MARKER = "pyworkflow.canceled"
"""Tells that an activity was canceled while it waited to be tried again."""

RETRY_SIGNAL = "pyworkflow.retry"
"""Asks for a parked process to be decided again."""

CANCEL_SIGNAL = "pyworkflow.cancel"
"""Carries the details of the request to cancel that follows it."""

START_OPTIONS = ("lambdaRole", "taskPriority", "taskStartToCloseTimeout")
"""What a new run takes over from the start of the old one, beside queue, tags and time limit."""

CLOSING_TYPES = frozenset(
    {"CancelWorkflowExecution", "CompleteWorkflowExecution", "FailWorkflowExecution"}
)
"""The decisions that end a process."""

LINE = 1_024
"""Characters of a reason that is kept with other things."""

_ATTEMPT = re.compile(r"(.+)#(\d+)(?:~\d+)?", re.DOTALL)


def seconds(value: float) -> str:
    """Return a duration as SWF writes it: whole seconds, rounded up."""
    return str(max(0, math.ceil(value)))


def timeout(value: float | None) -> str:
    """Return a timeout: None, and a year or more, is none at all, and none comes at once."""
    return NEVER if value is None or value >= YEAR else str(max(1, math.ceil(value)))


def whole_time(scheduled: float | None, execution: float) -> float | None:
    """Return how long an attempt may take with its wait for a worker; None for as long as it takes."""
    return None if scheduled is None else scheduled + execution


def lifetime(value: float) -> str:
    """Return how long an execution may be open: a year at most."""
    return str(max(1, min(YEAR, math.ceil(value))))


def to_seconds(text: str | None) -> float | None:
    """Return what a duration of SWF means; None for none."""
    return None if text is None or text == NEVER else float(text)


def later(at: DateTime | None, duration: float | None) -> DateTime | None:
    """Return the instant some seconds later; None where either is unknown."""
    return None if at is None or duration is None else at + timedelta(seconds=duration)


def cut(text: str) -> str:
    """Return a text as far as it fits beside other things."""
    return text if len(text) <= LINE else text[: LINE - 1] + "…"


def attempt_id(activity_id: str, attempt: int, repeat: int = 0) -> str:
    """Return the id on SWF of one attempt of an activity; the first has the activity's own, unless that looks like an attempt's.

    Args:
        activity_id: The activity's own id.
        attempt: The number of the attempt.
        repeat: How often the attempt was scheduled before.

    Raises:
        InvalidRequestError: The id is too long to be numbered.
    """
    if attempt == 1 and not repeat and not _ATTEMPT.fullmatch(activity_id):
        return activity_id
    numbered = f"{activity_id}#{attempt}" + (f"~{repeat}" if repeat else "")
    if len(numbered) > MAX_ID:
        raise InvalidRequestError(
            f"activity id {activity_id[:80]!r}", f"leaves no room in {MAX_ID} for '#{attempt}'"
        )
    return numbered


def parse_attempt(swf_id: str) -> tuple[str, int]:
    """Return the activity's id and the number of the attempt that an id on SWF stands for."""
    found = _ATTEMPT.fullmatch(swf_id)
    return (found[1], int(found[2])) if found else (swf_id, 1)


def attributes_key(name: str, kind: str) -> str:
    """Return the key of the attributes of a decision or event type."""
    return f"{name[0].lower()}{name[1:]}{kind}Attributes"
