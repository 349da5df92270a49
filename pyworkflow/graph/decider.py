"""The graph decider: ``decide(graph, process)`` returns what comes next. All it knows is in the history.

What was folded out of a history is kept beside it, so that a decision costs as much as the events that are new, not as the whole history.
That is a matter of speed only: without it, the same decisions come out.
"""

from collections import deque

from pyworkflow.codec import Json
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    CompleteProcess,
    Decision,
    FailProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import DecisionEvent
from pyworkflow.graph.begin import advance
from pyworkflow.graph.model import START, Graph
from pyworkflow.graph.run import Run, fold
from pyworkflow.graph.state import ENDED, StepStatus
from pyworkflow.process import Process


class _Memory:
    """A run as far as a decider has come, which includes what it decided last.

    Attributes:
        run: The run.
        position: How many events of the history it has read.
        expected: What it decided, which the events to come will tell of, if it was applied.
    """

    def __init__(self, graph: Graph, process: Process) -> None:
        self.run = Run(graph, process)
        self.position = 0
        self.expected: deque[Decision] = deque()

    def catch_up(self, process: Process) -> bool:
        """Read what is new; return False if this is not how it went on."""
        history = process.history
        for index in range(self.position, len(history)):
            event = history[index]
            if self.expected and isinstance(event, DecisionEvent):
                if _identity(self.expected.popleft()) != _identity(event.decision):
                    return False
            else:
                self.run.read(event)
        self.position = len(history)
        self.run.decide()
        return not self.expected


def _identity(decision: Decision) -> tuple[str, object]:
    if isinstance(decision, StartChildProcess):
        return decision.type, decision.process.id
    if isinstance(decision, RecordMarker):
        details = decision.details
        return decision.type, (details.get("step"), details.get("did"))
    return decision.type, getattr(decision, "id", None)


def decide(graph: Graph, process: Process) -> list[Decision]:
    """Return what a process of a graph does next.

    Raises:
        GraphError: A ``for_each`` was given no list.
    """
    shared = process.history.shared()
    # Taken out: another thread that decides the same history meanwhile begins anew.
    memory: _Memory | None = shared.pop(graph, None)
    if memory is None or memory.position > len(process.history) or not memory.catch_up(process):
        memory = _Memory(graph, process)
        memory.catch_up(process)
    run, decided = memory.run, list[Decision]()
    while run.flow.todo and (run.flow.fatal is None or run.graph.compensations):
        # In the order of the graph, not of the events: what is looked at in vain must not make a difference.
        looked_at = sorted(run.flow.todo, key=graph.place.__getitem__)
        run.flow.todo.clear()
        for name in looked_at:
            for decision in advance(run, run.flow.states[name], process):
                run.apply(decision)
                decided.append(decision)
    if run.stale:
        stale = list(run.stale.values())
        for decision in stale:
            run.apply(decision)
        decided = _lasting(decided, stale)
    closing = _closing(run)
    if closing is not None:
        if run.flow.canceled or run.flow.fatal is not None:
            return [closing]
        run.apply(closing)
        decided.append(closing)
    memory.expected.extend(decided)
    shared[graph] = memory
    return decided


def _lasting(decided: list[Decision], stale: list[Decision]) -> list[Decision]:
    """Return what is decided and then what ends something, less what would be opened and ended in one list: nobody waits for that."""
    ended = {_subject(decision) for decision in stale}
    void = {_subject(decision) for decision in decided} & ended - {None}
    return [decision for decision in (*decided, *stale) if _subject(decision) not in void]


def _subject(decision: Decision) -> tuple[str, str] | None:
    """Return what a decision opens or ends."""
    match decision:
        case ScheduleActivity(id=name) | CancelActivity(id=name):
            return "activity", name
        case Timer(id=name) | CancelTimer(id=name):
            return "timer", name
        case StartChildProcess(process=child):
            return "child", child.id
        case RequestCancelProcess(process_id=name):
            return "child", name
        case _:
            return None


def states(graph: Graph, process: Process) -> dict[str, str]:
    """Return where each step stands after what `decide` has just decided, the start left out."""
    memory: _Memory | None = process.history.shared().get(graph)
    run = fold(graph, process) if memory is None else memory.run
    return {name: s.status.value for name, s in run.flow.states.items() if name != START}


def _closing(run: Run) -> Decision | None:
    """Return the decision that ends the process, if all has ended or something failed that ends it."""
    flow = run.flow
    if run.graph.compensations and flow.is_lost and flow.undo():
        return None
    if flow.canceled:
        return CancelProcess(run.cancel_details)
    if flow.fatal is not None:
        return _failure(run, flow.fatal)
    if flow.unfinished:
        return None
    return _failure(run, flow.failed[0]) if flow.failed else CompleteProcess(result_of(run))


def _failure(run: Run, name: str) -> FailProcess:
    outcome = run.flow.states[name].outcome
    told = "failed" if outcome is None else outcome.reason or outcome.status.value
    unfortunate = ENDED - {StepStatus.COMPLETED, StepStatus.SKIPPED}
    steps = {
        name: state.status.value
        for name, state in run.flow.states.items()
        if state.status in unfortunate
    }
    details = None if outcome is None else outcome.details
    return FailProcess(
        f"step {name!r} failed: {told}", {"step": name, "steps": steps, "details": details}
    )


def result_of(run: Run) -> Json:
    """Return the output of a graph: of the step that it names, of each of several, or of its only leaf."""
    states, output = run.flow.states, run.graph.output
    if isinstance(output, str):
        return states[output].output
    if output is not None:
        return {name: states[name].output for name in output}
    leaves = run.graph.leaves()
    return states[leaves[0]].output if len(leaves) == 1 else None
