"""From a task to its outcome: the only places where users' code runs and any exception is an answer."""

import asyncio
import inspect
import threading
from typing import Any

from pyworkflow.activity import Activity, ActivityMonitor, AnyActivity, running
from pyworkflow.backend.base import FailedDecision
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import (
    OtherReleaseError,
    PayloadError,
    PyworkflowError,
    StalledError,
    UnknownWorkflowError,
    UnregisteredNameError,
)
from pyworkflow.failure import describe, repr_of, text_of
from pyworkflow.manager import Manager
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_payload
from pyworkflow.workflow import decisions_of

AWAITS_DEPLOYMENT = (OtherReleaseError, UnknownWorkflowError, UnregisteredNameError)
"""What ends when a program is deployed that has the code. It is no failure of the process."""

_PLAIN = frozenset((type(None), bool, int, float, str, list, dict, ActivityCompleted))
"""What is returned most, and awaited never."""


def execute(
    manager: Manager, task: ActivityTask, monitor: ActivityMonitor
) -> ActivityResult | None:
    """Execute an activity; return how it ended, or None if somebody else completes it later.

    Raises:
        KeyboardInterrupt: The user interrupts the main thread.
    """
    try:
        activity = manager.activity_for_task(task, monitor)
        with running(activity):
            returned = activity.execute()
            if type(returned) not in _PLAIN and inspect.isawaitable(returned):
                returned = asyncio.run(_awaited(returned))
        return _result(activity, returned)
    except KeyboardInterrupt as error:
        if threading.current_thread() is threading.main_thread():
            raise
        return failure(error)
    except BaseException as error:  # SystemExit in an activity is no reason to end the worker
        return failure(error)


async def execute_async(
    manager: Manager, task: ActivityTask, monitor: ActivityMonitor
) -> ActivityResult | None:
    """Execute an activity in the running event loop.

    Raises:
        CancelledError: The coroutine was canceled, or canceled itself.
    """
    try:
        activity = manager.activity_for_task(task, monitor)
        with running(activity):
            returned = activity.execute()
            if type(returned) not in _PLAIN and inspect.isawaitable(returned):
                returned = await returned
        return _result(activity, returned)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # as above
        return failure(error)


def is_async(activity: AnyActivity) -> bool:
    """Tell whether an activity's work is a coroutine function."""
    work = activity.execute if isinstance(activity, type) else activity.function
    return inspect.iscoroutinefunction(work)


async def _awaited(thing: Any) -> Any:
    return await thing


def _result(activity: Activity, returned: Any) -> ActivityResult | None:
    if isinstance(returned, ActivityResult):
        return recordable(returned)
    return ActivityCompleted(returned) if activity.auto_complete else None


def failure(error: BaseException) -> ActivityResult:
    """Return the result that an exception stands for."""
    return recordable(error) if isinstance(error, ActivityResult) else _failed(error)


def _failed(error: BaseException) -> ActivityFailed:
    description = describe(error)
    # The code of a SystemExit alone would say nothing.
    reason = description.reason if isinstance(error, Exception) else description.line
    return ActivityFailed(reason, description.details, description.kind)


def recordable(result: ActivityResult) -> ActivityResult:
    """Return a result of the users' making with texts where texts belong, and details that can be recorded."""
    if isinstance(result, ActivityCompleted):
        return result
    try:
        details = _details(getattr(result, "details", None))
        if isinstance(result, ActivityCanceled):
            return ActivityCanceled(details)
        if isinstance(result, ActivityTimedOut):
            return ActivityTimedOut(details)
        return ActivityFailed(
            _text(getattr(result, "reason", None)),
            details,
            _text(getattr(result, "type_name", None)),
        )
    except Exception as error:  # a subclass may have overridden anything
        return _failed(error)


def _text(value: object) -> str | None:
    if isinstance(value, BaseException):
        return describe(value).reason
    return None if value is None else text_of(value)


def _details(details: Json) -> Json:
    if details is None or isinstance(details, str):
        return _text(details)
    try:
        check_payload(details, "details")
    except PayloadError:
        return repr_of(details)
    return details


def failed_decision(error: PyworkflowError) -> FailedDecision:
    """Return what is recorded of a decision that was refused, by its workflow or by the backend."""
    return FailedDecision(
        describe(error).reason,
        park=isinstance(error, StalledError),
        waits=isinstance(error, AWAITS_DEPLOYMENT),
    )


def decide(manager: Manager, task: DecisionTask) -> list[Decision] | FailedDecision:
    """Ask the workflow of a task; return its decisions, or how it failed.

    Raises:
        KeyboardInterrupt: The user interrupts.
    """
    try:
        workflow = manager.workflow_for_task(task)
        return decisions_of(workflow.decide(task.process), task.process)
    except PyworkflowError as error:
        return failed_decision(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit in a decider is no reason to end the worker
        description = describe(error)
        return FailedDecision(description.line, description.details)
