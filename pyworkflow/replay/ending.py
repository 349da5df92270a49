"""How a process ends when its code does."""

import asyncio
from typing import Any

from pyworkflow.codec import Json
from pyworkflow.decision import CancelProcess, CompleteProcess, Decision, FailProcess
from pyworkflow.failure import describe
from pyworkflow.mistakes import is_mistake
from pyworkflow.replay.arguments import plain
from pyworkflow.replay.failures import continuing


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
    if (new := continuing(error)) is not None:
        return new.decision
    if is_mistake(error, parks_on):
        raise error
    description = describe(error)
    return FailProcess(description.line, description.details)
