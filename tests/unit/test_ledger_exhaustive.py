"""Every order of the operations on one process, up to a length: not a sample of them, all of them.

The process has two activities, a timer, a child and signals. Two orders that lead to the same histories and the same open work are one
state, and each state is gone on from once. What such a merging may hide is looked for by a search that merges nothing, to a smaller
depth, which must come to the same states.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from itertools import accumulate, product

import pytest

from pyworkflow.backend.base import Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import encode
from pyworkflow.decision import (
    ChildPolicy,
    CompleteProcess,
    Decision,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import PyworkflowError, UnseenEventsError
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock

SHORT, LEASE = 10.0, 20.0
FAR = 100.0
"""Deadlines farther away than this are alike: no search lets so much time pass, short of ending everything."""
ALL_TIME = 10_000.0

Operation = Callable[["World"], bool]


class World:
    """One process, its child, the decider and the worker that hold tasks of it, and what completed decisions were shown."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(self.clock)
        self.decisions: list[DecisionTask] = []
        self.activities: list[ActivityTask] = []
        self.shown: Counter[int] = Counter()
        self.backend.register_workflow(
            "parent", timeout=1000, decision_timeout=LEASE, handles_cancel=True
        )
        self.backend.register_workflow("child", category="children", timeout=1000)
        self.backend.register_activity("a", scheduled_timeout=LEASE, execution_timeout=LEASE)
        self.backend.start_process(Process("parent", id="p"))

    def poll(self, kind: type[DecisionTask | ActivityTask], category: str = "default") -> bool:
        for task in self.backend.turn(polls=[Poll(kind, category)]).tasks:
            if isinstance(task, DecisionTask):
                self.decisions.append(task)
            else:
                self.activities.append(task)
            return True
        return False

    def decide(self, *decisions: Decision, held: int = 1) -> bool:
        """Complete the decision task that was handed out last, or one before it."""
        if len(self.decisions) < held:
            return False
        task = self.decisions[-held]
        self.backend.complete_decision_task(task, decisions)
        places = {id(event): place for place, event in enumerate(task.process.history)}
        self.shown.update(places[id(event)] for event in task.process.unseen_events())
        return True

    def finish(self, result: ActivityCompleted | ActivityFailed, which: int) -> bool:
        """Give a result for one of the attempts that go on; if none does, for one whose lease has ended."""
        if not self.activities:
            return False
        going_on = {(p.id, p.attempt) for p in self.backend.pending("p") if p.state == "started"}
        held = [t for t in self.activities if (t.activity_execution.id, t.attempt) in going_on]
        self.backend.complete_activity_task((held or self.activities)[which], result)
        return True

    def close_child(self) -> bool:
        for task in self.backend.turn(polls=[Poll(DecisionTask, "children")]).tasks:
            assert isinstance(task, DecisionTask)
            self.backend.complete_decision_task(task, CompleteProcess("grown up"))
            return True
        return False

    def pass_time(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return True

    def done(self, call: Callable[[], None]) -> bool:
        call()
        return True

    def state(self) -> Hashable:
        """Return all that the future depends on: histories without their times, open work, and what was shown."""
        now = self.clock.datetime()
        told: list[Hashable] = [tuple(sorted(self.shown.items()))]
        for process in self.backend.processes(status=None):
            name = process.id or ""
            for pending in self.backend.pending(name):
                left = None if pending.until is None else (pending.until - now).total_seconds()
                shown = None if left is None else min(left, FAR)
                told.append((pending.kind, pending.id, pending.state, pending.attempt, shown))
            told.append((name, process.status, encode(process.result)))
            told.extend(
                repr([getattr(e, f) for f in e.__struct_fields__ if f != "datetime"]) + e.type
                for e in self.backend.history(name)
            )
        return tuple(told)


def schedule_both(world: World) -> bool:
    first = ScheduleActivity("a", id="once")
    return world.decide(first, ScheduleActivity("a", id="twice", retry=Retry(2, 1)))


def start_child(world: World) -> bool:
    return world.decide(StartChildProcess(Process("child", id="c"), ChildPolicy.TERMINATE))


OPERATIONS: dict[str, Operation] = {
    "poll a decision": lambda w: w.poll(DecisionTask),
    "schedule both activities": schedule_both,
    "start the timer": lambda w: w.decide(Timer(SHORT, id="t")),
    "start the child": start_child,
    "decide nothing": lambda w: w.decide(),
    "decide under the lease before": lambda w: w.decide(Timer(SHORT, id="late"), held=2),
    "complete the process": lambda w: w.decide(CompleteProcess("done")),
    "poll an activity": lambda w: w.poll(ActivityTask),
    "complete an activity": lambda w: w.finish(ActivityCompleted(1), 0),
    "fail an activity": lambda w: w.finish(ActivityFailed("x"), -1),
    "signal": lambda w: w.done(lambda: w.backend.signal_process("p", "s")),
    "the child closes": lambda w: w.close_child(),
    "the timer's time passes": lambda w: w.pass_time(SHORT),
    "every lease ends": lambda w: w.pass_time(LEASE),
    "all time passes": lambda w: w.pass_time(ALL_TIME),
    "cancel": lambda w: w.done(lambda: w.backend.cancel_process("p")),
    "terminate": lambda w: w.done(lambda: w.backend.terminate_process("p")),
}
NAMES = tuple(OPERATIONS)
Path = tuple[str, ...]


def replayed(path: Path) -> World:
    world = World()
    for name in path:
        world.backend.processes()  # What is due comes before the next operation.
        with suppress(PyworkflowError):
            OPERATIONS[name](world)
    return world


class Search:
    """Goes from state to state, checking each that is new.

    Attributes:
        tried: How many operations were tried.
        did: How many of them had an effect, by name.
        refused: How many of them were refused, by the error's name.
    """

    def __init__(self) -> None:
        self.tried = 0
        self.did: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def levels(self, start: Path, depth: int) -> list[int]:
        """Go on from each state once; return how many states are new after 0, 1, 2... operations."""
        root = replayed(start)
        check(root)
        known = {root.state()}
        frontier: list[tuple[Path, Hashable]] = [(start, root.state())]
        found = [1]
        for _ in range(depth):
            following: list[tuple[Path, Hashable]] = []
            for (path, before), name in product(frontier, NAMES):
                world = replayed(path)
                state = self.step(world, before, name)
                if state not in known:
                    known.add(state)
                    check(world)
                    following.append(((*path, name), state))
            frontier = following
            found.append(len(frontier))
        return found

    def step(self, world: World, before: Hashable, name: str) -> Hashable:
        """Do one more operation and return the state after it; see to it that a refused one changes nothing."""
        self.tried += 1
        world.backend.processes()
        try:
            self.did[name] += OPERATIONS[name](world)
        except UnseenEventsError as error:
            # The one refusal that is recorded: the decision is taken back, and made again.
            self.refused[type(error).__name__] += 1
            state = world.state()
            assert state != before
        except PyworkflowError as error:
            self.refused[type(error).__name__] += 1
            state = world.state()
            assert state == before, f"{name!r} was refused and has changed something"
        else:
            state = world.state()
        return state


def check(world: World) -> None:
    """See that every invariant holds, and that no event is lost or shown as new twice."""
    assert world.backend.check() == []
    status = world.backend.process_by_id("p").status
    called = any(pending.kind == "decision" for pending in world.backend.pending("p"))
    for place, event in enumerate(world.backend.history("p")):
        times = world.shown[place]
        assert times <= 1, f"event {place + 1} was new to {times} completed decisions"
        if event.wakes and not times:
            assert status is not Status.COMPLETED, f"it completed over event {place + 1}"
            assert called or status is not Status.OPEN, f"event {place + 1} is lost"


BUSY = (
    *("poll a decision", "schedule both activities", "signal"),
    *("poll a decision", "start the timer", "signal"),
    *("poll a decision", "start the child"),
)
"""Leads to a process that has everything open and no decision."""

STATES: dict[Path, list[int]] = {
    (): [1, 5, 21, 87, 369, 1678, 7903, 38326],
    BUSY: [1, 8, 50, 331, 2177, 14240],
}
"""How many states there are that so many operations lead to and no fewer. A rule that is changed on purpose changes them."""

STARTS = pytest.mark.parametrize("start", [(), BUSY], ids=["fresh", "busy"])


def searched(start: Path, depth: int) -> Search:
    search = Search()

    found = search.levels(start, depth)

    assert found == STATES[start][: depth + 1]
    assert search.tried == sum(found[:-1]) * len(NAMES)
    return search


@STARTS
def test_every_order_of_operations_keeps_every_rule(start: Path) -> None:
    search = searched(start, 6 if start == () else 4)

    had_effect = {name for name, times in search.did.items() if times}
    idle = {"decide under the lease before"}
    if start == BUSY:
        # One of them has a retry: it takes more operations until both have ended.
        idle.add("schedule both activities")
    assert had_effect == set(NAMES) - idle
    assert search.refused.keys() == {
        "InvalidDecisionError",
        "ProcessClosedError",
        "StaleActivityTaskError",
        "StaleDecisionTaskError",
        "UnseenEventsError",
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
@STARTS
def test_longer_orders_keep_every_rule(start: Path) -> None:
    searched(start, 7 if start == () else 5)


@STARTS
def test_merging_equal_states_hides_none(start: Path) -> None:
    found = {replayed(start).state()}
    counted = [1]
    depth = 3 if start == () else 2
    for length in range(1, depth + 1):
        for path in product(NAMES, repeat=length):
            found.add(replayed((*start, *path)).state())
        counted.append(len(found))

    assert counted == list(accumulate(STATES[start][: depth + 1]))
