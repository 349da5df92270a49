"""What the end of one step means for the others. Nothing here knows of histories or decisions."""

from collections import deque
from collections.abc import Collection
from datetime import datetime as DateTime

from pyworkflow.codec import Json
from pyworkflow.graph.model import START, After, Graph, Join, OnFailure, Step
from pyworkflow.graph.state import FAILURES, Outcome, StepState, StepStatus


class Flow:
    """The states of the steps of one process.

    Attributes:
        states: By name, the start first.
        todo: Names of steps that the decider has to look at; in vain, for some.
        failed: Steps that failed, and whose failure is one of the process.
        fatal: The first of them that ends the process at once.
        canceled: Whether the process is to be canceled.
        unfinished: How many steps have not ended, besides those that compensate.
        now: The time of the last event.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.states = {name: StepState(step) for name, step in graph.steps.items()}
        self.todo: dict[str, None] = {}
        self.failed: list[str] = []
        self.fatal: str | None = None
        self.canceled = False
        self.unfinished = sum(state.step.compensates is None for state in self.states.values())
        self._done: list[str] = []
        self.now: DateTime | None = None

    def begin(self, given: Json) -> None:
        """Begin with the input of the process."""
        start = self.states[START]
        if start.is_ended:
            return
        for state in self.states.values():
            if state is not start and not state.step.depends_on:
                state.ready = True
                self.look_at(state.step.name)
        self.end(start, Outcome(StepStatus.COMPLETED, given))

    def look_at(self, name: str) -> None:
        """Have the decider look at a step."""
        self.todo[name] = None

    def start(self, state: StepState) -> None:
        """Note that a step is under way."""
        state.status = StepStatus.RUNNING
        state.ready = True
        state.answer = False
        if state.started is None:
            state.started = self.now
        if not state.due and not state.has_more_items():
            self.todo.pop(state.step.name, None)

    def pause(self, state: StepState, part: int) -> None:
        """Note that a part of a step is to be begun later."""
        state.status = StepStatus.RETRYING
        state.answer = False
        state.due.pop(part, None)

    def advance(self, state: StepState) -> None:
        """Note that a part of a step has completed."""
        if state.items is None or state.finished == len(state.items):
            self.complete(state)
        else:
            self.look_at(state.step.name)

    def complete(self, state: StepState) -> None:
        """Complete a step, unless the decider has to say what comes after its output."""
        if state.needs_an_answer():
            state.answer = True
            self.look_at(state.step.name)
        else:
            self.end(state, Outcome(StepStatus.COMPLETED, state.outputs()))

    def end(
        self, state: StepState, outcome: Outcome, chosen: Collection[str] | None = None
    ) -> None:
        """End a step, and all others that cannot run any more; those that can from now on are looked at.

        Args:
            state: The step's.
            outcome: How it ended.
            chosen: The dependents that may run; None for all.
        """
        ends = deque([(state, outcome, chosen)])
        while ends:
            state, outcome, chosen = ends.popleft()
            name = state.step.name
            state.status, state.outcome, state.ended = outcome.status, outcome, self.now
            self.todo.pop(name, None)
            if state.step.compensates is not None:
                continue
            self.unfinished -= 1
            if outcome.status in FAILURES:
                self._count(name)
            elif outcome.status is StepStatus.COMPLETED and name in self.graph.compensations:
                self._done.append(name)
            for follower in map(self.states.__getitem__, self.graph.followers[name]):
                if follower.ready or follower.is_ended:
                    continue
                taken = chosen is None or follower.step.name in chosen
                end = self._tell(follower, name, outcome.status if taken else StepStatus.SKIPPED)
                if end is not None:
                    ends.append((follower, end, None))

    def stop(self, state: StepState) -> None:
        """End a step together with the process: nothing follows that."""
        begun = state.ready or state.parts
        state.status = StepStatus.CANCELED if begun else StepStatus.BLOCKED
        state.outcome = Outcome(state.status, None, "the process is being undone")
        state.ended = self.now
        self.todo.pop(state.step.name, None)
        self.unfinished -= 1

    @property
    def is_lost(self) -> bool:
        """Whether the process will end otherwise than by completing."""
        at_the_end = bool(self.failed) and not self.unfinished
        return self.canceled or self.fatal is not None or at_the_end

    def undo(self) -> bool:
        """Have the next step run that undoes what was done, the last first; tell whether there is one."""
        while self._done:
            for name in self.graph.compensations[self._done[-1]]:
                state = self.states[name]
                if not state.is_ended:
                    if not state.ready:
                        state.ready = True
                        self.look_at(name)
                    return True
            self._done.pop()
        return False

    def close(self) -> None:
        """Note that the process is closed: what would have undone something is not needed any more."""
        for names in self.graph.compensations.values():
            for state in map(self.states.__getitem__, names):
                if not state.is_ended:
                    self.end(state, Outcome(StepStatus.SKIPPED, None, "there was nothing to undo"))

    def _count(self, name: str) -> None:
        policy = self.graph.policy_of(name)
        if policy is not OnFailure.IGNORE:
            self.failed.append(name)
        if policy is OnFailure.FAIL and self.fatal is None:
            self.fatal = name

    def _tell(self, state: StepState, dependency: str, status: StepStatus) -> Outcome | None:
        """Tell a step how a dependency ended; return how the step ends with that, if it does."""
        state.left -= 1
        if _follows(state.step, status):
            state.succeeded += 1
            state.first = state.first or dependency
        elif status is not StepStatus.SKIPPED and state.step.after is After.SUCCESS:
            state.failed += 1
        takes_first = state.step.join in (Join.ANY, Join.RACE)
        if takes_first and state.succeeded:
            pass  # the others are as good as none
        elif state.left:
            return None
        elif state.failed:
            return Outcome(StepStatus.BLOCKED, None, "something that it depends on has failed")
        elif not state.succeeded or (_needs_all(state.step) and _was_skipped(state)):
            return Outcome(StepStatus.SKIPPED, None, "something that it depends on was skipped")
        state.ready = True
        self.look_at(state.step.name)
        return None

    def inputs_of(self, state: StepState) -> dict[str, Json]:
        """Return the outputs that a step is given, by the names of its dependencies."""
        step, given = state.step, dict[str, Json]()
        for name in dict.fromkeys(step.depends_on):
            other = self.states[name]
            if step.join in (Join.ANY, Join.RACE) and name not in (START, state.first):
                continue
            if other.has_output:
                given[name] = other.output
            elif step.after is not After.SUCCESS and other.outcome and other.status in FAILURES:
                given[name] = other.outcome.as_input()
        return given


def _follows(step: Step, status: StepStatus) -> bool:
    """Tell whether the end of a dependency is one that a step follows."""
    if step.after is After.SUCCESS:
        return status is StepStatus.COMPLETED
    if step.after is After.CATCH:
        return status in FAILURES
    failed = status in FAILURES or status is StepStatus.BLOCKED
    return failed or step.after is After.END


def _needs_all(step: Step) -> bool:
    """Tell whether a step is skipped with any of its dependencies. One that mends is enough with any failure."""
    return step.join is Join.ALL and step.after not in (After.FAILURE, After.CATCH)


def _was_skipped(state: StepState) -> bool:
    return state.succeeded + state.failed < len(set(state.step.rivals))
