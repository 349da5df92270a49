"""Starting, signaling, canceling and closing processes."""

from hashlib import blake2b

from msgspec import UNSET, Struct

from pyworkflow.codec import Json, encode, stored
from pyworkflow.decision import CancelProcess, ChildPolicy, ContinueProcess
from pyworkflow.errors import (
    InvalidRequestError,
    ProcessAlreadyExistsError,
    ProcessClosedError,
    UnknownProcessError,
    UnknownWorkflowError,
)
from pyworkflow.event import (
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    SignalEvent,
)
from pyworkflow.ledger.rows import (
    MAX_EVENTS,
    NEVER,
    STARTED,
    ChildRow,
    DecisionRow,
    ProcessRow,
)
from pyworkflow.ledger.unit import DIGEST_BYTES, Unit
from pyworkflow.result import (
    AnyProcessResult,
    ProcessCanceled,
    ProcessContinued,
    ProcessResult,
    ProcessTerminated,
)
from pyworkflow.signal import Signal

OPEN = "open"
COMPLETED = "completed"


class Start(Struct, frozen=True, gc=False):
    """A checked request to start a process. Durations in microseconds; None for the workflow's own."""

    workflow: str
    id: str
    input: bytes
    tags: tuple[str, ...] = ()
    category: str | None = None
    timeout: int | None = None

    def fingerprint(self) -> bytes:
        """Return a digest of what makes two starts the same."""
        told = encode([self.workflow, self.tags, self.category, self.timeout])
        return blake2b(told + self.input, digest_size=DIGEST_BYTES).digest()


def start(
    unit: Unit, request: Start, *, allow: bool = False, allow_failed: bool = False
) -> ProcessRow:
    """Start a process, or return the one that the same request has started before.

    Args:
        unit: The transaction.
        request: What to start.
        allow: Whether the id of a closed process may be used again.
        allow_failed: Whether it may if that process did not complete.

    Raises:
        UnknownWorkflowError: The workflow is not registered.
        ProcessAlreadyExistsError: The id is taken.
    """
    before = unit.find(request.id)
    if before is not None:
        free = before.status != OPEN and (allow or (allow_failed and before.status != COMPLETED))
        if not free and before.fingerprint == request.fingerprint():
            return before
        if not free:
            raise ProcessAlreadyExistsError(
                request.id, f"it is {before.status} and was started with something else"
            )
    return begin(unit, request, run=1 if before is None else before.run + 1)


def begin(unit: Unit, request: Start, *, run: int, parent: ProcessRow | None = None) -> ProcessRow:
    """Start a run of a process whose id is free.

    Raises:
        UnknownWorkflowError: The workflow is not registered.
    """
    workflow = unit.workflow(request.workflow)
    if workflow is None:
        raise UnknownWorkflowError(request.workflow, "it is not registered with this backend")
    timeout = workflow.timeout if request.timeout is None else request.timeout
    row = ProcessRow(
        key=unit.next_key(),
        id=request.id,
        run=run,
        workflow=workflow.name,
        category=request.category or workflow.category,
        tags=request.tags,
        parent_key=None if parent is None else parent.key,
        parent_id=None if parent is None else parent.id,
        timeout=timeout,
        decision_timeout=workflow.decision_timeout,
        handles_cancel=workflow.handles_cancel,
        fingerprint=request.fingerprint(),
        started=unit.now,
        deadline=unit.now + timeout,
        time=unit.now,
    )
    unit.add_process(row, request.input)
    tell(unit, row, ProcessStartedEvent(datetime=unit.time_for(row)))
    unit.staged[row.key].input = request.input
    return row


def new_decision(unit: Unit, process: ProcessRow) -> DecisionRow:
    """Return the next decision of a process, ready at once."""
    return DecisionRow(
        key=process.key, name=process.workflow, category=process.category, ready=unit.now
    )


def tell(unit: Unit, process: ProcessRow, event: Event) -> None:
    """Add an event that calls for a decision, and see to it that there is one: never two, and never none."""
    unit.append(process, event)
    decision = unit.decision(process.key)
    if decision is None:
        unit.add(new_decision(unit, process))
    elif decision.state == STARTED and not decision.pending:
        decision.pending = True
        unit.changed(decision)
    elif decision.ready == NEVER:
        decision.ready = unit.now
        unit.changed(decision)


def opened(unit: Unit, process_id: str) -> ProcessRow:
    """Return the open process of an id.

    Raises:
        UnknownProcessError: There is no such process.
        ProcessClosedError: It is closed.
    """
    process = unit.find(process_id)
    if process is None:
        raise UnknownProcessError(process_id)
    if process.status != OPEN:
        raise ProcessClosedError(process_id, process.status)
    return process


def signal(unit: Unit, process_id: str, told: Signal) -> ProcessRow:
    """Signal a process; a repeat of a signal's id changes nothing.

    Raises:
        UnknownProcessError: There is no such process.
        ProcessClosedError: It is closed.
        InvalidRequestError: Its history is full.
    """
    process = unit.find(process_id)
    if process is not None and told.id is not None and unit.signaled(process, told.id):
        return process
    process = opened(unit, process_id)
    if process.last_seq >= MAX_EVENTS:
        raise InvalidRequestError(
            f"process {process_id!r}", f"has {process.last_seq} events and takes no more signals"
        )
    _record_signal(unit, process, told)
    return process


def _record_signal(unit: Unit, process: ProcessRow, told: Signal) -> None:
    if told.id is not None:
        unit.add_signal(process, told.id)
    tell(unit, process, SignalEvent(told, datetime=unit.time_for(process)))


def cancel(unit: Unit, process_id: str, details: Json) -> ProcessRow:
    """Ask a process to cancel itself if it handles that, else close it as canceled.

    Raises:
        UnknownProcessError: There is no such process.
        ProcessClosedError: It is closed.
    """
    process = opened(unit, process_id)
    if process.handles_cancel:
        tell(unit, process, CancelRequestedEvent(details, datetime=unit.time_for(process)))
    else:
        event = DecisionEvent(CancelProcess(details), datetime=unit.time_for(process))
        close(unit, process, event, ProcessCanceled(details))
    return process


def terminate(
    unit: Unit, process_id: str, reason: str | None = None, details: Json = None
) -> ProcessRow:
    """Close a process by force.

    Raises:
        UnknownProcessError: There is no such process.
        ProcessClosedError: It is closed.
    """
    process = opened(unit, process_id)
    event = ProcessTerminatedEvent(reason, details, datetime=unit.time_for(process))
    close(unit, process, event, ProcessTerminated(reason, details))
    return process


def close(unit: Unit, process: ProcessRow, event: Event, result: ProcessResult) -> None:
    """Close a process with its last event, and whoever has to go with it."""
    waiting: list[tuple[ProcessRow, Event, ProcessResult]] = [(process, event, result)]
    while waiting:
        closing, last, outcome = waiting.pop()
        children = _close_one(unit, closing, last, outcome)
        _tell_parent(unit, closing, outcome)
        for child in children:
            end = _by_policy(unit, child)
            if end is not None:
                waiting.append(end)


def _close_one(
    unit: Unit, process: ProcessRow, event: Event, result: ProcessResult
) -> list[ChildRow]:
    """Close a process and return the children it leaves."""
    unit.append(process, event)
    process.status = result.type
    process.closed = process.time
    process.result = encode(result)
    decision = unit.decision(process.key)
    if decision is not None:
        unit.drop(decision)
    children: list[ChildRow] = []
    if process.opened:
        for activity in unit.activities(process.key):
            unit.drop(activity)
        for timer in unit.timers(process.key):
            unit.drop(timer)
        children = unit.children(process.key)
        for child in children:
            unit.drop(child)
        process.opened = 0
    return children


def _tell_parent(unit: Unit, process: ProcessRow, result: ProcessResult) -> None:
    if process.parent_key is None:
        return
    link = unit.child(process.parent_key, process.id)
    parent = unit.process(process.parent_key)
    if link is None or parent is None:
        return
    unit.drop(link)
    parent.opened -= 1
    event = ChildProcessEvent(
        process.id, _known(result), process.workflow, process.tags, datetime=unit.time_for(parent)
    )
    tell(unit, parent, event)


def _known(result: ProcessResult) -> AnyProcessResult:
    assert isinstance(result, AnyProcessResult)  # noqa: S101 - narrows to the union that events carry
    return result


def _by_policy(unit: Unit, child: ChildRow) -> tuple[ProcessRow, Event, ProcessResult] | None:
    """Do to a child what its parent's end demands; return its own end, if that is it."""
    process = unit.find(child.id)
    if process is None or process.status != OPEN or child.policy == ChildPolicy.ABANDON:
        return None
    reason = "its parent has closed"
    if child.policy == ChildPolicy.TERMINATE:
        event: Event = ProcessTerminatedEvent(reason, datetime=unit.time_for(process))
        return process, event, ProcessTerminated(reason)
    if process.handles_cancel:
        tell(unit, process, CancelRequestedEvent(reason, datetime=unit.time_for(process)))
        return None
    event = DecisionEvent(CancelProcess(reason), datetime=unit.time_for(process))
    return process, event, ProcessCanceled(reason)


def continue_as_new(
    unit: Unit, process: ProcessRow, decision: ContinueProcess, request: Start
) -> ProcessRow:
    """Close a run and begin the next one of the same id. Open children, the parent, and what the run has not consumed go over to it.

    Raises:
        UnknownWorkflowError: The new workflow is not registered; nothing has been changed.
    """
    if unit.workflow(request.workflow) is None:
        raise UnknownWorkflowError(request.workflow)
    children = unit.children(process.key) if process.opened else []
    event = DecisionEvent(decision, datetime=unit.time_for(process))
    _close_one(unit, process, event, ProcessContinued(process.run + 1))
    successor = begin(unit, request, run=process.run + 1)
    successor.parent_key, successor.parent_id = process.parent_key, process.parent_id
    # Whoever repeats the start of the first run means this process.
    successor.fingerprint = process.fingerprint
    for child in children:
        child.key = successor.key
        unit.add(child)
        successor.opened += 1
        _adopt(unit, child, successor)
    unit.changed(successor)
    successor.origin = process.first_key
    for each in decision.signals:
        _record_signal(unit, successor, each)
    if decision.cancel_details is not UNSET:
        cancel(unit, successor.id, stored(decision, "cancel_details"))
    return successor


def _adopt(unit: Unit, child: ChildRow, parent: ProcessRow) -> None:
    process = unit.find(child.id)
    if process is not None:
        process.parent_key = parent.key
        unit.changed(process)
