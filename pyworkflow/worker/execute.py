"""From a task to its outcome: the only places where users' code runs and any exception is an answer."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Hashable
from contextvars import copy_context
from functools import partial
from typing import Any

from msgspec import Struct

from pyworkflow.activity import Activity, ActivityMonitor, AnyActivity, running
from pyworkflow.backend.base import FailedDecision
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import (
    BlockedDecisionError,
    OtherReleaseError,
    PayloadError,
    PyworkflowError,
    StalledError,
    UnknownWorkflowError,
    UnregisteredNameError,
    is_outage,
)
from pyworkflow.failure import describe, leaves, repr_of, text_of
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
from pyworkflow.watch import Dropped, Limit, watched
from pyworkflow.workflow import decisions_of

log = logging.getLogger("pyworkflow.worker")

AWAITS_DEPLOYMENT = (OtherReleaseError, UnknownWorkflowError, UnregisteredNameError)
"""What ends when a program is deployed that has the code. It is no failure of the process."""

LONGEST_DECISION = 0.9
"""The share of a decision timeout after which a decider is abandoned."""

_PLAIN = frozenset((type(None), bool, int, float, str, list, dict, ActivityCompleted))
"""What is returned most, and awaited never."""


class Postponed(Struct, frozen=True):
    """Stands in for an outcome where users' code could not do its work, such as while the store could not be reached: the task is done again later.

    Attributes:
        reason: One line.
        begun: Whether users' code has run: if not, it counts for nothing, and an `at_most_once` activity is handed out again.
    """

    reason: str
    begun: bool = True


ActivityOutcome = ActivityResult | Postponed | None
"""How an execution ended; None if somebody else completes the activity later."""

DecisionOutcome = list[Decision] | FailedDecision | Postponed
"""What a decider decided, or why it did not."""


def execute(manager: Manager, task: ActivityTask, monitor: ActivityMonitor) -> ActivityOutcome:
    """Execute an activity in a context of its own; return how it ended.

    Raises:
        KeyboardInterrupt: The user interrupts the main thread.
    """
    return copy_context().run(_execute, manager, task, monitor)


def _execute(manager: Manager, task: ActivityTask, monitor: ActivityMonitor) -> ActivityOutcome:
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
        return outcome_of(manager, task, error)


async def execute_async(
    manager: Manager, task: ActivityTask, monitor: ActivityMonitor
) -> ActivityOutcome:
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
        return outcome_of(manager, task, error)


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


def outcome_of(
    manager: Manager, task: ActivityTask, error: BaseException
) -> ActivityResult | Postponed:
    """Return what an exception of an activity stands for: an outage of the store is no failure of the activity, nor is the end of another."""
    if is_outage(error) or any(isinstance(leaf, Dropped) for leaf in leaves(error)):
        activity = manager.find_activity(task.activity_execution.activity)
        if activity is not None and not activity.at_most_once:
            return Postponed(describe(error).line)
    return failure(error)


def failure(error: BaseException) -> ActivityResult:
    """Return the result that an exception stands for; of a group, what failed counts for more than what was canceled because of that."""
    each = list(leaves(error))
    failures = [leaf for leaf in each if not isinstance(leaf, ActivityCanceled)]
    first, *more = failures or each[:1]
    if isinstance(first, ActivityResult) and not more:
        return recordable(first)
    return _failed(error)


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


def decide(manager: Manager, task: DecisionTask) -> DecisionOutcome:
    """Ask the workflow of a task, in a context of its own; return its decisions, or how it failed. Raises nothing."""
    return copy_context().run(_decide, manager, task)


def _decide(manager: Manager, task: DecisionTask) -> DecisionOutcome:
    try:
        workflow = manager.workflow_for_task(task)
        return decisions_of(workflow.decide(task.process), task.process)
    except BaseException as error:  # SystemExit in a decider is no reason to end the worker
        if is_outage(error):
            return Postponed(describe(error).line)
        return failed_decision(error)


def failed_decision(error: BaseException) -> FailedDecision:
    """Return what is recorded of a decision that failed, or that its workflow or the backend refused."""
    description = describe(error)
    each = list(leaves(error))
    if all(isinstance(leaf, PyworkflowError) for leaf in each):
        return FailedDecision(
            description.reason,
            park=any(isinstance(leaf, StalledError) for leaf in each),
            waits=any(isinstance(leaf, AWAITS_DEPLOYMENT) for leaf in each),
        )
    return FailedDecision(description.line, description.details)


def decision_limit(manager: Manager, task: DecisionTask) -> Limit:
    """Return how long the decider of a task may take: a little less than its timeout, so that its failure can be recorded."""
    workflow = manager.find_workflow(task.process.workflow)
    seconds = LONGEST_DECISION * (60.0 if workflow is None else workflow.decision_timeout)
    return Limit(seconds, f"the decider did not return within {seconds:g} s")


def decision_key(manager: Manager, task: DecisionTask) -> Hashable:
    """Return what tells the processes of a program from each other."""
    return id(manager.backend), task.process.id, task.process.run


def decide_watched(manager: Manager, task: DecisionTask) -> DecisionOutcome:
    """Ask the workflow of a task in a thread that can be abandoned, as `decide`.

    Raises:
        KeyboardInterrupt: The user interrupts.
    """
    limit = decision_limit(manager, task)
    try:
        return watched(partial(decide, manager, task), decision_key(manager, task), limit)
    except BlockedDecisionError as error:
        log.error("the decider of %s is abandoned: %s", task.process.id, error)
        return failed_decision(error)
