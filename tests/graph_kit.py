"""A tiny engine for graphs: a history in a list, and by hand what becomes of each thing that was opened.

It keeps the rules that a decider could break: ids are unique among what is open, only open things are canceled, a closing decision is
last. Each decision is made twice, with what the decider remembers and from nothing, and has to come out the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pyworkflow import codec
from pyworkflow.activity import ActivityExecution
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    Decision,
    FailProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.graph import ActivityTask, Graph, Workflow
from pyworkflow.graph.decider import decide
from pyworkflow.graph.run import Run, fold
from pyworkflow.graph.state import StepStatus
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityResult, ProcessResult
from pyworkflow.signal import Signal


class Simulation:
    """One process of a graph.

    Attributes:
        decided: What was decided last.
        activities: What is scheduled and has not ended, by id.
        timers: What runs, by id.
        children: What runs, by id.
        closed: The decision that ended the process.
    """

    def __init__(self, graph: Graph | Workflow, given: Any = None, id: str = "p") -> None:
        self.graph = graph.graph() if isinstance(graph, Workflow) else graph
        self.process = Process("w", id, given, history=[ProcessStartedEvent()])
        self.decided: list[Decision] = []
        self.activities: dict[str, ScheduleActivity | ScheduleLambda] = {}
        self.timers: dict[str, Timer] = {}
        self.children: dict[str, StartChildProcess] = {}
        self.closed: Decision | None = None
        self._news = True

    # -- what happens ---------------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        self._append(event)
        self._news = True

    def finish(self, id: str, result: ActivityResult) -> None:
        scheduled = self.activities.pop(id)
        match scheduled:
            case ScheduleActivity(activity=name) | ScheduleLambda(function=name):
                pass
        execution = ActivityExecution(name, id, scheduled.input)
        self._append(ActivityStartedEvent(execution))
        self.tell(ActivityEvent(execution, result))

    def complete(self, step: str, output: Any = None, *, part: int = 1, attempt: int = 1) -> None:
        self.finish(f"{step}#{part}.{attempt}", ActivityCompleted(output))

    def fail(self, step: str, reason: str = "no", *, part: int = 1, attempt: int = 1) -> None:
        self.finish(f"{step}#{part}.{attempt}", ActivityFailed(reason))

    def fire(self, id: str) -> None:
        self.tell(TimerEvent(self.timers.pop(id)))

    def signal(self, name: str, data: Any = None) -> None:
        self.tell(SignalEvent(Signal(name, data)))

    def end_child(self, id: str, result: ProcessResult) -> None:
        child = self.children.pop(id).process
        self.tell(ChildProcessEvent(id, result, child.workflow))  # type: ignore[arg-type]

    # -- what is decided ------------------------------------------------------------------------------------------------------------

    def decide(self, meanwhile: Callable[[], None] | None = None) -> list[Decision]:
        """Decide once; what `meanwhile` does comes in between the start of the decision and its end."""
        assert self.closed is None
        self._append(DecisionStartedEvent())
        self._news = False
        decided = decide(self.graph, self.process)
        assert codec.encode(decided) == codec.encode(self._decided_anew())
        if meanwhile is not None:
            meanwhile()
            if self._news and decided and decided[-1].closing:
                self.decided = []
                return []  # refused: it has not seen all
        before = set(self.open())
        for index, decision in enumerate(decided):
            assert not decision.closing or index + 1 == len(decided)
            if isinstance(decision, CancelActivity | CancelTimer) and decision.id in self.open():
                assert decision.id in before  # no list opens and ends one thing
            self._apply(decision)
        self.decided = decided
        return decided

    def settle(self) -> None:
        """Decide as long as there is anything new."""
        while self._news and self.closed is None:
            self.decide()

    def _decided_anew(self) -> list[Decision]:
        written = codec.encode(self.process)
        return decide(self.graph, codec.decode(written, Process))

    def _append(self, event: Event) -> None:
        history = self.process.history.extended([event])
        self.process = Process(
            self.process.workflow, self.process.id, self.process.input, history=history
        )

    def _apply(self, decision: Decision) -> None:
        self._append(DecisionEvent(decision))  # type: ignore[arg-type]
        match decision:
            case ScheduleActivity(id=id) | ScheduleLambda(id=id):
                assert id not in self.activities
                self.activities[id] = decision
            case CancelActivity(id=id) if id not in self.activities:
                assert self._news  # it ended while this was decided
                self.tell(DecisionRejectedEvent(decision, "not open any more"))
            case CancelActivity():
                pass
            case Timer(id=id):
                assert id not in self.timers
                self.timers[id] = decision
            case CancelTimer(id=id) if id not in self.timers:
                assert self._news
                self.tell(DecisionRejectedEvent(decision, "not open any more"))
            case CancelTimer(id=id):
                del self.timers[id]
            case StartChildProcess(process=child):
                assert child.id not in self.children
                self.children[child.id] = decision
            case RequestCancelProcess(process_id=id) if id not in self.children:
                assert self._news
                self.tell(DecisionRejectedEvent(decision, "closed"))
            case RequestCancelProcess():
                pass
            case RecordMarker():
                pass
            case _:
                assert decision.closing
                self.closed = decision

    # -- what is to be seen ---------------------------------------------------------------------------------------------------------

    @property
    def run(self) -> Run:
        return fold(self.graph, self.process)

    @property
    def statuses(self) -> dict[str, str]:
        """The states of the steps, without the start."""
        return {name: state.status.value for name, state in list(self.run.flow.states.items())[1:]}

    def status(self, step: str) -> StepStatus:
        return self.run.flow.states[step].status

    @property
    def result(self) -> Any:
        """The result of the completed process."""
        assert isinstance(self.closed, CompleteProcess), self.closed
        return self.closed.result

    @property
    def failure(self) -> FailProcess:
        assert isinstance(self.closed, FailProcess), self.closed
        return self.closed

    def input(self, step: str, *, part: int = 1, attempt: int = 1) -> Any:
        return self.activities[f"{step}#{part}.{attempt}"].input

    def open(self) -> list[str]:
        """The ids of all that is open."""
        return sorted([*self.activities, *self.timers, *self.children])


def tasks(*steps: tuple[str, Sequence[str]], **settings: Any) -> Workflow:
    """Return a workflow of activities, by name and what each depends on."""
    workflow = Workflow("w", **settings)
    for name, depends_on in steps:
        workflow.add(ActivityTask(name, depends_on=depends_on))
    return workflow


def anew(process: Process) -> Process:
    """Return a process that nobody has worked out anything of."""
    return Process(process.workflow, process.id, process.input, history=History(process.history))
