"""From a task to its outcome: the only places where users' code runs and any exception is an answer."""

import asyncio
import inspect
import threading
import traceback
from typing import Any

from pyworkflow.activity import Activity, ActivityMonitor, AnyActivity, running
from pyworkflow.backend.base import FailedDecision
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError, StalledError
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.workflow import decisions_of

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
        return returned
    return ActivityCompleted(returned) if activity.auto_complete else None


def failure(error: BaseException) -> ActivityResult:
    """Return the result that an exception stands for."""
    if isinstance(error, ActivityCanceled | ActivityFailed):
        return error
    shown = "".join(traceback.format_exception(error))
    kind = type(error).__name__
    # The code of a SystemExit alone would say nothing.
    reason = str(error) if isinstance(error, Exception) else f"{kind}: {error}"
    return ActivityFailed(reason or kind, shown, kind)


def decide(manager: Manager, task: DecisionTask) -> list[Decision] | FailedDecision:
    """Ask the workflow of a task; return its decisions, or how it failed.

    Raises:
        KeyboardInterrupt: The user interrupts.
    """
    try:
        workflow = manager.workflow_for_task(task)
        return decisions_of(workflow.decide(task.process), task.process)
    except StalledError as error:
        return FailedDecision(str(error), park=True)
    except PyworkflowError as error:
        return FailedDecision(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit in a decider is no reason to end the worker
        shown = "".join(traceback.format_exception(error))
        return FailedDecision(f"{type(error).__name__}: {error}", shown)
