"""Between what an engine knows of a task and what the history of a process says of an activity."""

from pyworkflow.clock import to_instant
from pyworkflow.engine.decider import event_of
from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.states import FutureState
from pyworkflow.engine.workflow import Workflow
from pyworkflow.event import ActivityEvent, ActivityStartedEvent, Event
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityFailed, ActivityResult


def result_of(record: TaskRecord) -> ActivityResult:
    """Return the result of an activity that the end of a task is."""
    kind = _result_type(record)
    if kind is ActivityFailed:
        return ActivityFailed(record.error, record.envelope(), record.error_type)
    if kind is ActivityCanceled:
        return ActivityCanceled(record.envelope())
    return ActivityCompleted(record.envelope())


def _result_type(record: TaskRecord) -> type[ActivityResult]:
    if record.state is FutureState.exception:
        return ActivityFailed
    return ActivityCanceled if record.state is FutureState.cancelled else ActivityCompleted


def begun(workflow: Workflow, event: ActivityStartedEvent, task: str) -> TaskRecord:
    """Return what a history says of a task that has begun, here or elsewhere."""
    execution = event.activity_execution
    given = event_of(execution.input, workflow.template.uid, workflow.uid)
    return TaskRecord(task, execution.id, given.freeze(), _instant(event))


def ended(workflow: Workflow, event: ActivityEvent, task: str) -> TaskRecord:
    """Return what is known of a task that has ended: here, or by what a history says of it."""
    known = workflow.records.get(task)
    # A backend may have refused what a task returned, and have made a failure of it.
    if known is not None and known.is_over and type(event.result) is _result_type(known):
        return known
    execution = event.activity_execution
    given = event_of(execution.input, workflow.template.uid, workflow.uid)
    start = None if known is None else known.start
    record = TaskRecord(task, execution.id, given.freeze(), start, _instant(event))
    match event.result:
        case ActivityCompleted(result=envelope):
            record.read(envelope)
        case ActivityFailed(reason=reason, details=details, type_name=kind):
            # Without details of ours somebody else has failed it.
            if isinstance(details, dict) and "id" in details:
                record.read(details)
            record.state, record.error, record.error_type = FutureState.exception, reason, kind
        case _:
            record.state = FutureState.cancelled
    return record


def _instant(event: Event) -> int | None:
    return None if event.datetime is None else to_instant(event.datetime)
