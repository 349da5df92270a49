"""Every rule of history, under many orders of operations, on memory and another store beside each other."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RequestCancelProcess,
    ScheduleActivity,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import PyworkflowError
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from tests.postgresql import Server

IDS = st.sampled_from(["p1", "p2", "p3"])
SMALL = st.integers(0, 2)

DECISIONS: dict[str, Callable[[int], Decision]] = {
    "schedule": lambda n: ScheduleActivity("a", id=f"a{n}", retry=Retry(2, 5) if n else None),
    "cancel activity": lambda n: CancelActivity(f"a{n}"),
    "timer": lambda n: Timer(n * 10, n, id=f"t{n}"),
    "cancel timer": lambda n: CancelTimer(f"t{n}"),
    "child": lambda n: StartChildProcess(
        Process("w" if n else "polite", id=f"p{n + 1}"), ChildPolicy.ALL[n]
    ),
    "signal": lambda n: SignalProcess(f"p{n + 1}", Signal("s", n)),
    "request cancel": lambda n: RequestCancelProcess(f"p{n + 1}", n),
    "unknown": lambda n: ScheduleActivity("unknown"),
    "complete": lambda n: CompleteProcess(n),
    "fail": lambda n: FailProcess("x", n),
    "continue": lambda n: ContinueProcess(input=n),
}
LISTS = st.lists(st.tuples(st.sampled_from(sorted(DECISIONS)), SMALL), max_size=4)


def described(backend: Backend) -> Any:
    """Return all that can be seen, without tokens and new ids."""
    return [
        (p.id, p.run, p.status, p.result, p.parked, list(backend.history(f"{p.id}:{p.run}")))
        for p in backend.processes(status=None)
    ]


class Machine(RuleBasedStateMachine):
    """The same operations on both stores: they must answer alike, and every invariant must hold after each."""

    other: Callable[[FakeClock], Backend] = staticmethod(
        lambda clock: SQLiteBackend(":memory:", clock=clock)
    )

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.backends: list[Backend] = [MemoryBackend(self.clock), self.other(self.clock)]
        self.decisions: list[list[DecisionTask]] = []
        self.activities: list[list[ActivityTask]] = []

    @initialize()
    def register(self) -> None:
        for backend in self.backends:
            backend.register_workflow("w", timeout=1000, decision_timeout=30)
            backend.register_workflow("polite", timeout=1000, handles_cancel=True)
            backend.register_activity(
                "a", scheduled_timeout=50, execution_timeout=80, heartbeat_timeout=40
            )

    def both(self, act: Callable[[int, Backend], Any]) -> list[Any]:
        """Do the same to both; return the answers, which are both errors of one class or neither."""
        answers: list[Any] = []
        for place, backend in enumerate(self.backends):
            before = described(backend)
            try:
                answers.append(act(place, backend))
            except PyworkflowError as error:
                answers.append(error)
                if type(error).__name__ != "UnseenEventsError":
                    assert described(backend) == before, "a refused call has changed something"
        kinds = [type(a) if isinstance(a, PyworkflowError) else None for a in answers]
        assert kinds[0] == kinds[1], answers
        return answers

    @rule(process_id=IDS, workflow=st.sampled_from(["w", "polite"]), given=SMALL)
    def start(self, process_id: str, workflow: str, given: int) -> None:
        self.both(lambda _, b: b.start_process(Process(workflow, process_id, given)))

    @rule(process_id=IDS, n=SMALL, named=st.booleans())
    def signal(self, process_id: str, n: int, named: bool) -> None:
        signal_id = f"s{n}" if named else None
        self.both(lambda _, b: b.signal_process(process_id, "s", n, signal_id=signal_id))

    @rule(process_id=IDS)
    def cancel(self, process_id: str) -> None:
        self.both(lambda _, b: b.cancel_process(process_id))

    @rule(process_id=IDS)
    def terminate(self, process_id: str) -> None:
        self.both(lambda _, b: b.terminate_process(process_id))

    @rule(process_id=IDS)
    def retry(self, process_id: str) -> None:
        self.both(lambda _, b: b.retry_process(process_id))

    @rule(lease=st.sampled_from([None, 5]))
    def take_decision(self, lease: float | None) -> None:
        tasks = [b.turn(polls=[Poll(DecisionTask, lease=lease)]).tasks for b in self.backends]
        assert len(tasks[0]) == len(tasks[1])
        pair = [task for found in tasks for task in found if isinstance(task, DecisionTask)]
        if pair:
            assert pair[0].process == pair[1].process
            self.decisions.append(pair)

    @rule(which=SMALL, wanted=LISTS)
    def decide(self, which: int, wanted: list[tuple[str, int]]) -> None:
        if self.decisions:
            pair = self.decisions[-1 - which % len(self.decisions)]
            listed = [DECISIONS[name](n) for name, n in wanted]
            self.both(lambda place, b: b.complete_decision_task(pair[place], listed))

    @rule(which=SMALL)
    def fail_to_decide(self, which: int) -> None:
        if self.decisions:
            pair = self.decisions[-1 - which % len(self.decisions)]
            self.both(lambda place, b: b.fail_decision_task(pair[place], "broken"))

    @rule(lease=st.sampled_from([None, 5]))
    def take_activity(self, lease: float | None) -> None:
        tasks = [b.turn(polls=[Poll(ActivityTask, lease=lease)]).tasks for b in self.backends]
        assert len(tasks[0]) == len(tasks[1])
        pair = [task for found in tasks for task in found if isinstance(task, ActivityTask)]
        if pair:
            assert pair[0].activity_execution == pair[1].activity_execution
            self.activities.append(pair)

    @rule(which=SMALL, how=st.sampled_from(["complete", "fail", "heartbeat", "extend", "release"]))
    def carry_on(self, which: int, how: str) -> None:
        if not self.activities:
            return
        pair = self.activities[-1 - which % len(self.activities)]
        acts: dict[str, Callable[[int, Backend], Any]] = {
            "complete": lambda i, b: b.complete_activity_task(pair[i], ActivityCompleted(which)),
            "fail": lambda i, b: b.complete_activity_task(pair[i], ActivityFailed("x")),
            "heartbeat": lambda i, b: b.heartbeat_activity_task(pair[i], which),
            "extend": lambda i, b: b.extend_leases([pair[i]], 5),
            "release": lambda i, b: b.release_tasks([pair[i]]),
        }
        answers = self.both(acts[how])
        if not isinstance(answers[0], PyworkflowError):
            assert answers[0] == answers[1]

    @rule(which=SMALL, wanted=LISTS, seconds=st.sampled_from([0, 0.5, 10, -100]))
    def complete_and_decide(
        self, which: int, wanted: list[tuple[str, int]], seconds: float
    ) -> None:
        if not self.activities:
            return
        pair = self.activities[-1 - which % len(self.activities)]
        listed = [DECISIONS[name](n) for name, n in wanted]
        result = ActivityCompleted(which)
        foreseen = [
            backend.foresee(task, result, "foresighted")
            for task, backend in zip(pair, self.backends, strict=True)
        ]
        one, other = (task and task.process for task in foreseen)
        assert one == other
        self.clock.advance(seconds)

        def act(place: int, backend: Backend) -> None:
            task = foreseen[place]
            then = None if task is None else Completion(task, listed)
            if error := backend.turn([Completion(pair[place], result, then)]).errors[0]:
                raise error

        self.both(act)

    @rule(seconds=st.sampled_from([0.5, 5, 10, 30, 60, 1000, -100]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_invariant_holds(self) -> None:
        for backend in self.backends:
            assert backend.check() == []

    @invariant()
    def both_stores_tell_the_same(self) -> None:
        assert described(self.backends[0]) == described(self.backends[1])

    def teardown(self) -> None:
        for backend in self.backends:
            backend.close()


def machine(examples: int, steps: int, kind: type[Machine] = Machine) -> Any:
    case = kind.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return case


def test_any_order_of_operations_keeps_every_rule() -> None:
    machine(60, 40)("runTest").runTest()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_thousands_of_orders_keep_every_rule() -> None:
    machine(3000, 60)("runTest").runTest()


def postgresql_machine(server: Server, schema: str) -> type[Machine]:
    """Return the machine with PostgreSQL in it: each of its runs has a domain of its own."""
    domains = count(1)

    class PostgreSQLMachine(Machine):
        other = staticmethod(
            lambda clock: PostgreSQLBackend(
                server.url(), schema=schema, domain=f"d{next(domains)}", clock=clock
            )
        )

    return PostgreSQLMachine


def test_any_order_of_operations_keeps_every_rule_on_postgresql(
    postgresql_server: Server, schema: str
) -> None:
    machine(8, 40, postgresql_machine(postgresql_server, schema))("runTest").runTest()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_thousands_of_orders_keep_every_rule_on_postgresql(
    postgresql_server: Server, schema: str
) -> None:
    machine(1000, 50, postgresql_machine(postgresql_server, schema))("runTest").runTest()
