"""What becomes of events that no handler or rule takes: a failure fails the process, and a process that nothing can move is stalled."""

from typing import TYPE_CHECKING

from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    Decision,
    FailProcess,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import StalledError
from pyworkflow.event import ActivityEvent, DecisionEvent, Event
from pyworkflow.process import Process
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityTimedOut

if TYPE_CHECKING:
    from pyworkflow.workflow.handlers import DefaultWorkflow
    from pyworkflow.workflow.ruleset import RuleSetWorkflow

_OPENS = (ScheduleActivity, ScheduleLambda, StartChildProcess, Timer)


def unhandled_end(process: Process, event: Event) -> FailProcess | None:
    """Return what fails a process whose activity did not complete; None for anything else, and for a cancellation by the process itself."""
    if not isinstance(event, ActivityEvent) or isinstance(event.result, ActivityCompleted):
        return None
    execution, result = event.activity_execution, event.result
    if isinstance(result, ActivityCanceled) and process.has_decision(CancelActivity(execution.id)):
        return None
    verb = "timed out" if isinstance(result, ActivityTimedOut) else result.type
    cause = [text for text in (getattr(result, "type_name", None), str(result)) if text]
    details = getattr(result, "details", None)
    return FailProcess(": ".join([f"activity {execution.activity!r} {verb}", *cause]), details)


def check_progress(
    workflow: "DefaultWorkflow | RuleSetWorkflow", process: Process, decisions: list[Decision]
) -> None:
    """Refuse decisions after which nothing can move a process any more.

    Raises:
        StalledError: Nothing is open afterwards, and the workflow takes no signal.
    """
    # A later run may have children that its own history does not show.
    if workflow.takes_signals or process.run > 1:
        return
    if any(decision.closing or isinstance(decision, _OPENS) for decision in decisions):
        return
    canceled = {decision.id for decision in decisions if isinstance(decision, CancelTimer)}
    timers = [timer for timer in process.untriggered_timers() if timer.id not in canceled]
    if timers or process.unfinished_activities() or process.history.open_children():
        return
    events = (e for e in process.unseen_events() if not isinstance(e, DecisionEvent))
    latest = ", ".join(dict.fromkeys(event.type for event in events)) or "nothing"
    raise StalledError(
        f"workflow {workflow.name!r} opens nothing and does not close the process after {latest}; nothing else is open, and no handler "
        "takes a signal. Add the handler that is missing, deploy it, and retry the process"
    )
