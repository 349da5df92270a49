"""Why SWF did not apply a decision, in the words that every backend uses."""

from pyworkflow.decision import (
    Decision,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
)

_REASONS = {
    "ACTIVITY_ID_ALREADY_IN_USE": "activity id {id!r}: is open already",
    "ACTIVITY_ID_UNKNOWN": "the activity is not open any more",
    "ACTIVITY_TYPE_DEPRECATED": "activity {type!r}: is deprecated on Amazon SWF",
    "ACTIVITY_TYPE_DOES_NOT_EXIST": "activity {type!r}: is not registered",
    "ID_ALREADY_IN_USE": "activity id {id!r}: is open already",
    "TIMER_ID_ALREADY_IN_USE": "timer id {id!r}: is open already",
    "TIMER_ID_UNKNOWN": "the timer is not open any more",
    "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION": "unknown process {id!r}",
    "WORKFLOW_ALREADY_RUNNING": "process {id!r} already exists: it is open",
    "WORKFLOW_TYPE_DEPRECATED": "workflow {type!r}: is deprecated on Amazon SWF",
    "WORKFLOW_TYPE_DOES_NOT_EXIST": "workflow {type!r}: is not registered",
}


def reason_of(cause: str, decision: Decision) -> str:
    """Return the reason of a `DecisionRejectedEvent`: the cause itself where no other backend has its like."""
    return cause if decision.closing else _REASONS.get(cause, cause).format_map(_names(decision))


def cause_of(reason: str, decision: Decision) -> str:
    """Return the cause that a reason stands for."""
    names = _names(decision)
    causes = (cause for cause, text in _REASONS.items() if text.format_map(names) == reason)
    return next(causes, reason)


def _names(decision: Decision) -> dict[str, str]:
    if isinstance(decision, ScheduleActivity):
        return {"id": decision.id, "type": decision.activity}
    if isinstance(decision, ScheduleLambda):
        return {"id": decision.id, "type": decision.function}
    if isinstance(decision, StartChildProcess):
        return {"id": decision.process.id, "type": decision.process.workflow}
    if isinstance(decision, SignalProcess | RequestCancelProcess):
        return {"id": decision.process_id, "type": ""}
    return {"id": str(getattr(decision, "id", "")), "type": ""}
