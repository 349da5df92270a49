"""How a process ends when its code does."""

import asyncio
from typing import Any, cast

from pyworkflow.codec import Json
from pyworkflow.decision import CancelProcess, CompleteProcess, Decision, FailProcess
from pyworkflow.errors import is_outage
from pyworkflow.failure import describe
from pyworkflow.replay.arguments import plain
from pyworkflow.replay.failures import ContinueAsNew


def ending(
    main: "asyncio.Task[Any]",
    failure: BaseException | None,
    cancel_details: Json,
    parks_on: tuple[type[BaseException], ...],
) -> Decision:
    """Return the decision that the end of the code stands for.

    Args:
        main: The task of the code; done, unless there is a failure.
        failure: What a signal handler raised.
        cancel_details: Why the process was asked to cancel itself.
        parks_on: Exceptions that leave the process open.

    Raises:
        BaseException: What the code raised, if the process is to be parked for it.
    """
    error = failure
    if error is None:
        if main.cancelled():
            return CancelProcess(cancel_details)
        error = main.exception()
        if error is None:
            return CompleteProcess(plain(main.result(), "result"))
    if (new := _continuing(error)) is not None:
        return new.decision
    if is_outage(error) or isinstance(error, parks_on) or not isinstance(error, Exception):
        raise error
    description = describe(error)
    return FailProcess(description.line, description.details)


def _continuing(error: BaseException) -> ContinueAsNew | None:
    """Return the request to continue as new, also out of the group that a task group makes of it."""
    if isinstance(error, ContinueAsNew):
        return error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return next((new for e in group.exceptions if (new := _continuing(e)) is not None), None)
    return None
