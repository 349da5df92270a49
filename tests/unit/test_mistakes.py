"""A mistake in the code changes nothing, wherever it is made: the repaired program ends as if it had never been there."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution, ActivityMonitor, activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.errors import (
    BackendOutageError,
    BackendVersionError,
    OtherReleaseError,
    PyworkflowError,
    StalledError,
)
from pyworkflow.event import ActivityAttemptEvent
from pyworkflow.graph import ActivityTask
from pyworkflow.graph import Workflow as GraphProgram
from pyworkflow.manager import Manager
from pyworkflow.mistakes import ControlFlow, is_mistake
from pyworkflow.replay import ReplayWorkflow, query
from pyworkflow.result import ActivityCanceled, ActivityFailed, ActivityResult, ProcessCompleted
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask as Task
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner, run_to_end
from pyworkflow.worker.execute import Postponed, execute, failed_decision, outcome_of
from pyworkflow.workflow import Workflow
from tests.mistake_programs import KINDS, OTHERS, REPLAYED, play

PLACES = REPLAYED | OTHERS

ALLOWED = {("a forbidden call", place) for place in ("InSideEffect", "InConstructor", *OTHERS)}
ALLOWED |= {("a wrong type", "in a filter of a rule")}
"""What is no mistake somewhere: a filter may meet values of any type, and not all code is replayed."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_the_repaired_program_ends_as_if_the_mistake_had_never_been_there(
    place: str, kind: str
) -> None:
    if (kind, place) in ALLOWED:
        pytest.skip("is no mistake there")
    program = PLACES[place]
    clock, other_clock = FakeClock(), FakeClock()

    without = play(program, None, MemoryBackend(clock), clock)
    repaired = play(program, KINDS[kind], MemoryBackend(other_clock), other_clock)

    assert not without.parked
    assert repaired.parked
    assert repaired[:3] == without[:3]


@pytest.mark.parametrize(
    ("error", "mistake"),
    [
        (ValueError("no money"), False),
        (KeyError("amount"), False),
        (ActivityFailed("no money"), False),
        (asyncio.CancelledError(), False),
        (ControlFlow(), False),
        (ExceptionGroup("", [ValueError(), ActivityCanceled()]), False),
        (SystemExit(1), True),
        (BackendOutageError("away"), True),
        (ExceptionGroup("", [ValueError(), PyworkflowError("forbidden")]), True),
    ],
)
def test_what_is_a_mistake_and_what_is_an_outcome(error: BaseException, mistake: bool) -> None:
    assert is_mistake(error) is mistake


def test_an_exception_that_replaces_a_mistake_is_an_outcome_unless_it_is_raised_from_it() -> None:
    def raised(cause: Any) -> BaseException:
        try:
            try:
                raise TypeError("a mistake")
            except TypeError as error:
                if cause == "the mistake":
                    raise ValueError("refused") from error
                if cause is None:
                    raise ValueError("refused") from None
                raise ValueError("refused")  # noqa: B904
        except ValueError as error:
            return error

    assert [is_mistake(raised(cause)) for cause in ("the mistake", None, "no")] == [
        True,
        False,
        False,
    ]


def test_the_workflow_says_which_exceptions_are_mistakes() -> None:
    assert not is_mistake(NameError("outcome"), (ValueError,))
    assert is_mistake(ExceptionGroup("", [ValueError("mistake")]), (ValueError,))
    assert is_mistake(BackendOutageError("away"), ())
    assert not is_mistake(BackendVersionError("newer"), ())


def test_a_mistake_that_the_code_has_dealt_with_is_none() -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> str:
            try:
                len(3)  # type: ignore[arg-type]
            except TypeError:
                text = "three"
            await self.sleep(1)
            return text

    def under_way() -> Any:
        try:
            raise TypeError("of the caller")
        except TypeError:
            return run_to_end(Flow).result

    assert under_way() == run_to_end(Flow).result


@activity
def echo(value: Any) -> Any:
    return value


def test_a_mistake_in_a_query_fails_the_query_only() -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> str:
            await self.signal("go")
            return "gone"

        @query
        def state(self) -> Any:
            return self.nothing  # type: ignore[attr-defined]

    runner = Runner(Flow)
    process_id = runner.start(Flow)

    with pytest.raises(AttributeError, match="nothing"):
        runner.manager.query(process_id, "state")
    runner.manager.signal_process(process_id, "go")
    assert runner.finish(process_id).history[-1].decision.result == "gone"  # type: ignore[attr-defined]


# -- activities and deciders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "result"),
    [
        ([ActivityCanceled("asked to")], ActivityCanceled("asked to")),
        ([ActivityCanceled("asked to"), ActivityCanceled()], ActivityCanceled("asked to")),
        ([ActivityCanceled(), ActivityFailed("no money")], ActivityFailed("no money")),
    ],
)
def test_an_outcome_that_an_activity_raises_in_a_group_is_its_outcome(
    errors: Sequence[Exception], result: ActivityResult
) -> None:
    @activity
    def work() -> None:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", errors)])

    manager = Manager(MemoryBackend(), [], [work])
    task = Task(ActivityExecution("work", "work-1"))

    assert execute(manager, task, ActivityMonitor(lambda details: True)) == result


def test_an_outage_in_a_group_is_no_outcome() -> None:
    manager = Manager(MemoryBackend(), [], [echo])
    task = Task(ActivityExecution("echo", "echo-1"))
    error = ExceptionGroup("", [ValueError(), BackendOutageError("away")])

    assert isinstance(outcome_of(manager, task, error), Postponed)


def test_what_a_decider_raises_in_a_group_is_looked_at() -> None:
    stalled = failed_decision(ExceptionGroup("", [StalledError("stands still")]))
    other = failed_decision(ExceptionGroup("", [OtherReleaseError("p", "newer")]))

    assert (stalled.park, stalled.reason) == (True, "stands still")
    assert other.waits


def test_context_variables_belong_to_one_activity_one_decision_and_one_query() -> None:
    tenant: ContextVar[str | None] = ContextVar("tenant", default=None)

    def enter(name: str) -> str | None:
        before = tenant.get()
        tenant.set(name)
        return before

    @activity
    def work(name: str) -> str | None:
        return enter(name)

    class Flow(ReplayWorkflow):
        activities = (work,)
        blocked_after = None

        def __init__(self) -> None:
            self.before = enter("constructor")

        async def run(self, name: str) -> list[str | None]:
            return [self.before, enter(name), await self.activity(work, name), enter("again")]

        @query
        def ask(self) -> str | None:
            return enter("query")

    runner = Runner(Flow)
    for name in ("a", "b"):
        result = runner.finish(runner.start(Flow, name, id=name)).result
        assert result == run_to_end(Flow, name).result
        assert runner.manager.query(name, "ask") != "query"
        assert getattr(result, "result", None) == [None, "constructor", None, name]
    assert tenant.get() is None


@pytest.mark.parametrize("style", ["replayed", "graph"])
def test_a_mistake_in_an_activity_is_a_failed_attempt_and_the_repaired_code_makes_the_next(
    style: str,
) -> None:
    def program(slip: Any) -> tuple[type[Workflow], Any]:
        @activity(name="work", retry=Retry(50))
        def work(value: int) -> int:
            return slip() or value + 1

        class Order(ReplayWorkflow):
            async def run(self) -> int:
                async with self.saga() as saga:
                    saga.compensate(self.activity, echo, "undone")
                    return await self.activity(work, 1)

        graph = GraphProgram("Order")
        graph.add(ActivityTask("only", work, param=1))
        return (Order if style == "replayed" else graph.as_workflow()), work

    clock = FakeClock()
    backend = MemoryBackend(clock)
    broken, work = program(KINDS["a typo"])
    Runner(broken, activities=[work], backend=backend, clock=clock).start(broken, id="p")
    repaired, work = program(lambda: None)
    process = Runner(repaired, activities=[work], backend=backend, clock=clock).finish("p")

    assert process.result == ProcessCompleted(2)
    assert len(process.history.find(ActivityAttemptEvent)) == 1
