"""From a task to its outcome: the only places where users' code runs and any exception is an answer."""

import asyncio
import inspect
import traceback
from typing import Any

from pyworkflow.activity import Activity, ActivityMonitor, running
from pyworkflow.backend.base import FailedDecision
from pyworkflow.codec import to_plain
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_payload
from pyworkflow.workflow import decisions_of


def execute(
    manager: Manager, task: ActivityTask, monitor: ActivityMonitor
) -> ActivityResult | None:
    """Execute an activity; return how it ended, or None if somebody else completes it later."""
    try:
        activity = manager.activity_for_task(task, monitor)
        with running(activity):
            returned = activity.execute()
            if inspect.isawaitable(returned):
                returned = asyncio.run(_awaited(returned))
        return _result(activity, returned)
    except Exception as error:
        return failure(error)


async def execute_async(
    manager: Manager, task: ActivityTask, monitor: ActivityMonitor
) -> ActivityResult | None:
    """Execute an activity in the running event loop; what is no coroutine function runs in a thread."""
    try:
        activity = manager.activity_for_task(task, monitor)
        with running(activity):
            if is_async(activity):
                returned = await activity.execute()
            else:
                returned = await asyncio.to_thread(activity.execute)
        return _result(activity, returned)
    except Exception as error:
        return failure(error)


def is_async(activity: Activity) -> bool:
    """Tell whether an activity's work is a coroutine function."""
    function = getattr(activity, "function", None)
    return inspect.iscoroutinefunction(activity.execute) or inspect.iscoroutinefunction(function)


async def _awaited(thing: Any) -> Any:
    return await thing


def _result(activity: Activity, returned: Any) -> ActivityResult | None:
    if isinstance(returned, ActivityResult):
        return returned
    if not activity.auto_complete:
        return None
    value = returned if isinstance(returned, _PLAIN) else to_plain(returned)
    check_payload(value, "result")
    return ActivityCompleted(value)


_PLAIN = (type(None), str, int, float, bool, list, tuple, dict)


def failure(error: Exception) -> ActivityResult:
    """Return the result that an exception stands for."""
    if isinstance(error, ActivityCanceled | ActivityFailed):
        return error
    shown = "".join(traceback.format_exception(error))
    return ActivityFailed(str(error) or type(error).__name__, shown, type(error).__name__)


def decide(manager: Manager, task: DecisionTask) -> list[Decision] | FailedDecision:
    """Ask the workflow of a task; return its decisions, or how it failed."""
    try:
        workflow = manager.workflow_for_task(task)
        return decisions_of(workflow.decide(task.process), task.process)
    except PyworkflowError as error:
        return FailedDecision(str(error))
    except Exception as error:
        shown = "".join(traceback.format_exception(error))
        return FailedDecision(f"{type(error).__name__}: {error}", shown)
