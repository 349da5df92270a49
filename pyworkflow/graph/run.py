"""One process of a graph: the state of its steps, folded from its history event by event.

Decisions count from where they were made, and other events from where a decider first saw them. An event that is recorded while a
decision is being made stands in the history before what was decided, and is read after it: so whoever folds the history again finds
what the decider had found.
"""

from copy import deepcopy
from typing import Any

from pyworkflow.codec import Json
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    Decision,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.graph import marks
from pyworkflow.graph.flow import Flow
from pyworkflow.graph.keys import Key, child_prefix, read_key, read_timer_id
from pyworkflow.graph.model import Busy, Graph, SignalWork
from pyworkflow.graph.signals import Signals
from pyworkflow.graph.state import Outcome, Part, StepState, StepStatus, outcome_of
from pyworkflow.process import Process


class Run:
    """What has become of a graph in one process.

    Attributes:
        graph: The graph.
        flow: The state of each step, and which are to be looked at.
        stale: How to end what is open and nobody waits for any more, by id.
        busy: The parts that somebody works on, of all steps.
        delayed: Steps that had to wait because there were too many of those.
        cancel_details: What was said when the process was to be canceled.
    """

    def __init__(self, graph: Graph, process: Process) -> None:
        self.graph = graph
        self.flow = Flow(graph)
        self.stale: dict[str, Decision] = {}
        self.busy: set[tuple[str, int]] = set()
        self.delayed: set[str] = set()
        self.cancel_details: Json = None
        self._input = process.input
        self._children = child_prefix(process)
        self._signals = Signals()
        self._held: list[Event] | None = None

    # -- events ---------------------------------------------------------------------------------------------------------------------

    def read(self, event: Event) -> None:
        """Go on by one event."""
        self.flow.now = event.datetime or self.flow.now
        if isinstance(event, DecisionEvent):
            self.apply(event.decision)
        elif isinstance(event, DecisionStartedEvent):
            self.decide()
        elif self._held is not None:
            self._held.append(event)
        else:
            self._take(event)

    def decide(self) -> None:
        """Count all events so far as seen by a decider: what it decides comes next."""
        self.flow.todo.update(dict.fromkeys(self.delayed))
        self.delayed.clear()
        held, self._held = self._held or [], []
        for event in held:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case ProcessStartedEvent():
                self.flow.begin(self._input)
            case ActivityEvent(activity_execution=execution, result=result):
                self.stale.pop(execution.id, None)
                self._end(read_key(execution.id), outcome_of(result))
            case ChildProcessEvent(process_id=child, result=result):
                self.stale.pop(str(self._child(child)), None)
                self._end(self._child(child), outcome_of(result))
            case SignalEvent(signal=signal):
                self._signals.came(signal.name, signal.data)
                self._match(signal.name)
            case TimerEvent(timer=timer):
                self._fire(timer)
            case DecisionRejectedEvent(decision=decision, reason=reason):
                self._reject(decision, reason)
            case CancelRequestedEvent(details=details):
                self._cancel(details)
            case _:
                pass
        self._unwind()

    def _cancel(self, details: Json) -> None:
        # What has begun to end otherwise ends so.
        if not self.flow.is_lost:
            self.flow.canceled = True
            self.cancel_details = details

    def _unwind(self) -> None:
        """If the process will not complete, let go of what is under way, and undo what was done."""
        if not self.graph.compensations or not self.flow.is_lost:
            return
        if self.flow.unfinished:
            for state in self.flow.states.values():
                if state.step.compensates is None and not state.is_ended:
                    self._let_go(state)
                    self.flow.stop(state)
        self.flow.undo()

    def is_full(self, state: StepState) -> bool:
        """Tell whether a step has to wait because there is too much going on; if so, note that it does."""
        limit = self.graph.concurrency
        full = limit is not None and len(self.busy) >= limit
        if not full or not isinstance(state.step.work, Busy):
            return False
        self.delayed.add(state.step.name)
        return True

    def _child(self, process_id: str) -> Key | None:
        if not process_id.startswith(self._children):
            return None
        return read_key(process_id.removeprefix(self._children))

    def _fire(self, timer: Timer) -> None:
        self.stale.pop(timer.id, None)
        kind, key = read_timer_id(timer.id)
        if kind == "timer":
            self._end(key, Outcome(StepStatus.COMPLETED))
        elif kind == "pause" and (found := self._find(key)) and key:
            found[0].parts[key.part].open = None
            found[0].due[key.part] = True
            self.flow.look_at(key.step)
        elif kind == "timeout" and (found := self._attempt(key)) and key:
            found[1].timer = None
            if found[1].open is not None:
                self.stale[str(key)] = found[1].open
            self._wait_no_more(found[0])
            self._end(key, Outcome(StepStatus.TIMED_OUT, None, "timed out"))

    def _reject(self, decision: Decision, reason: str) -> None:
        failed = Outcome(StepStatus.FAILED, None, reason)
        match decision:
            case ScheduleActivity(id=name) | ScheduleLambda(id=name):
                self._end(read_key(name), failed)
            case StartChildProcess(process=process):
                self._end(self._child(process.id), failed)
            case Timer(id=name):
                self._end(read_timer_id(name)[1], failed)
            case _:
                pass  # what was to be ended had ended

    # -- decisions ------------------------------------------------------------------------------------------------------------------

    def apply(self, decision: Decision) -> None:
        """Go on by one decision."""
        match decision:
            case ScheduleActivity(id=name, input=given):
                self._open(read_key(name), given, CancelActivity(name))
            case ScheduleLambda(id=name, input=given):
                # Lambda itself cannot be canceled; where a worker does its work, nobody waits for that.
                self._open(read_key(name), given, None)
            case StartChildProcess(process=new):
                self._open(self._child(new.id), new.input, RequestCancelProcess(new.id))
            case Timer(id=name):
                self._start_timer(name)
            case CancelTimer(id=name):
                self.stale.pop(name, None)
            case CancelActivity(id=name):
                self.stale.pop(name, None)
            case RequestCancelProcess(process_id=name):
                self.stale.pop(str(self._child(name)), None)
            case _ if decision.closing:
                self.flow.close()
            case _:
                if (mark := marks.read(decision)) is not None:
                    self._settle(mark)
        self._unwind()

    def _start_timer(self, name: str) -> None:
        kind, key = read_timer_id(name)
        if kind == "timer":
            self._open(key, None, CancelTimer(name))
        elif kind == "pause" and (found := self._find(key)) and key:
            part = found[0].parts.setdefault(key.part, Part())
            part.open = CancelTimer(name)
            self.flow.pause(found[0], key.part)
        elif kind == "timeout" and (running := self._attempt(key)):
            running[1].timer = name

    def _settle(self, mark: dict[str, Any]) -> None:
        state = self.flow.states.get(mark["step"])
        if state is None or state.is_ended:
            return
        match mark["did"]:
            case "skip":
                outcome = Outcome(StepStatus.SKIPPED, None, "its condition said no")
                self.flow.end(state, outcome)
            case "drop":
                self._let_go(state)
                self.flow.end(state, Outcome(StepStatus.SKIPPED, None, "another step was first"))
            case "items":
                state.items = list(mark["items"])
                self.flow.start(state)
                if not state.items:
                    self.flow.complete(state)
            case "give":
                key = Key(state.step.name)
                self._open(key, None, None)
                self._end(key, Outcome(StepStatus.COMPLETED, mark["output"]))
            case "done":
                outcome = Outcome(StepStatus.COMPLETED, state.outputs())
                self.flow.end(state, outcome, mark["next"])
            case "fail":
                self.flow.end(state, Outcome(StepStatus.FAILED, None, mark["reason"]))
            case "wait":
                self._wait(state, mark)
            case _:
                pass  # of a later version

    def _wait(self, state: StepState, mark: dict[str, Any]) -> None:
        work = state.step.work
        if isinstance(work, SignalWork):
            key = Key(mark["step"], mark["part"], mark["attempt"])
            self._open(key, None, None)
            self._signals.wait(work.signal, key)
            self._match(work.signal)

    def _match(self, name: str) -> None:
        for key, data in self._signals.matches(name):
            self._end(key, Outcome(StepStatus.COMPLETED, data))

    def _wait_no_more(self, state: StepState) -> None:
        if isinstance(state.step.work, SignalWork):
            self._signals.forget(state.step.work.signal, state.step.name)

    # -- attempts -------------------------------------------------------------------------------------------------------------------

    def _find(self, key: Key | None) -> tuple[StepState, Part | None] | None:
        """Return the state of a step that has not ended, and the part of it that a key means."""
        state = None if key is None else self.flow.states.get(key.step)
        if key is None or state is None or state.is_ended:
            return None
        return state, state.parts.get(key.part)

    def _attempt(self, key: Key | None) -> tuple[StepState, Part] | None:
        """Return the attempt that a key means, if it is the present one and has not ended."""
        found = self._find(key)
        if key is None or found is None:
            return None
        state, part = found
        if part is None or part.attempt != key.attempt or part.outcome or part.failed:
            return None
        return state, part

    def _open(self, key: Key | None, given: Json, cancel: Decision | None) -> None:
        found = self._find(key)
        if key is None or found is None:
            return
        state, part = found
        if part is None or part.attempt == 0:
            state.open += 1
        part = state.parts.setdefault(key.part, Part())
        part.attempt = key.attempt
        part.input = given
        part.open = cancel
        part.failed = None
        state.due.pop(key.part, None)
        if isinstance(state.step.work, Busy):
            self.busy.add((key.step, key.part))
        self.flow.start(state)

    def _end(self, key: Key | None, outcome: Outcome) -> None:
        found = self._attempt(key)
        if key is None or found is None:
            return
        state, part = found
        self.busy.discard((key.step, key.part))
        if state.step.judge is not None:
            outcome = state.step.judge(deepcopy(outcome), deepcopy(part.input))
        part.open = None
        if part.timer is not None:
            self.stale[part.timer] = CancelTimer(part.timer)
            part.timer = None
        if outcome.status is StepStatus.COMPLETED:
            part.outcome = outcome
            state.open -= 1
            state.finished += 1
            self.flow.advance(state)
        elif self._may_retry(state, part, outcome):
            part.failed = outcome
            state.due[key.part] = False
            self.flow.look_at(key.step)
        else:
            part.outcome = outcome
            self._let_go(state)
            self.flow.end(state, outcome)

    def _may_retry(self, state: StepState, part: Part, outcome: Outcome) -> bool:
        retry = state.step.retry
        return (
            retry is not None
            and outcome.status in (StepStatus.FAILED, StepStatus.TIMED_OUT)
            and retry.allows(part.attempt, outcome.reason, outcome.type_name)
        )

    def _let_go(self, state: StepState) -> None:
        """Take what a step has open for stale."""
        for number, part in state.parts.items():
            self.busy.discard((state.step.name, number))
            if part.outcome is not None:
                continue
            if part.timer is not None:
                self.stale[part.timer] = CancelTimer(part.timer)
            if isinstance(part.open, CancelTimer | CancelActivity):
                self.stale[part.open.id] = part.open
            elif part.open is not None:
                self.stale[str(Key(state.step.name, number, part.attempt))] = part.open
        self._wait_no_more(state)


def fold(graph: Graph, process: Process) -> Run:
    """Return how far a graph has come in a process, by the whole of its history."""
    run = Run(graph, process)
    for event in process.history:
        run.read(event)
    run.decide()
    return run
