"""What the replay style costs: a step with the coroutine kept, a step of a long process, a replay, a fan (W7)."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.stores import Store
from benchmarks.workloads import opened, working
from pyworkflow.activity import ActivityExecution, activity
from pyworkflow.decision import Decision, ScheduleActivity
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    DecisionEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
)
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, RunCache
from pyworkflow.result import ActivityCompleted


@activity
def step(number: int) -> int:
    """Count."""
    return number + 1


class ChainWorkflow(ReplayWorkflow):
    """Runs activities one after the other."""

    activities = (step,)
    cache = RunCache()

    async def run(self, until: int) -> int:
        """Count up."""
        number = 0
        while number < until:
            number = await self.activity(step, number)
        return number


class FanWorkflow(ReplayWorkflow):
    """Runs activities at once."""

    cache = RunCache(0)

    async def run(self, width: int) -> int:
        """Count them."""
        return sum(await asyncio.gather(*(self.activity(step, n) for n in range(width))))


def answers(decisions: list[Decision]) -> Iterator[Event]:
    """Yield the events of decisions and of the activities that they schedule, up to the next decision."""
    for decision in decisions:
        assert isinstance(decision, ScheduleActivity)  # noqa: S101 - nothing else is asked for
        execution = ActivityExecution(decision.activity, decision.id, decision.input)
        yield DecisionEvent(decision)
        yield ActivityStartedEvent(execution)
        yield ActivityEvent(execution, ActivityCompleted(decision.input + 1))
    yield DecisionStartedEvent()


EVENTS_EACH = 4
"""Events of an activity, with the decision that follows it."""


def chain(activities: int) -> tuple[float, float, float]:
    """Return the seconds of one of the first and one of the last decisions of a long process, and of one that replays it all."""
    events = EVENTS_EACH * activities
    history = History([ProcessStartedEvent(), DecisionStartedEvent()])
    seconds: list[float] = []
    while len(history) < events:
        process = Process(ChainWorkflow, "p", events, history=history)
        began = time.perf_counter()
        decisions = ChainWorkflow().decide(process)
        seconds.append(time.perf_counter() - began)
        history = history.extended(answers(decisions))
    ChainWorkflow.cache.clear()
    process = Process(ChainWorkflow, "p", events, history=history)
    began = time.perf_counter()
    ChainWorkflow().decide(process)
    replayed = time.perf_counter() - began
    ChainWorkflow.cache.clear()
    return statistics.median(seconds[10:210]), statistics.median(seconds[-200:]), replayed


def fan(width: int) -> float:
    """Return the seconds of an activity of many at once: to schedule it, and to take its result after a replay."""
    start: list[Event] = [ProcessStartedEvent(), DecisionStartedEvent()]
    began = time.perf_counter()
    decisions = FanWorkflow().decide(Process(FanWorkflow, "p", width, history=start))
    FanWorkflow().decide(Process(FanWorkflow, "p", width, history=[*start, *answers(decisions)]))
    return (time.perf_counter() - began) / width


def stored(store: Store, steps: int) -> tuple[float, float]:
    """Return the seconds of one of the first and one of the last steps of a long process on a store, with a worker."""
    with opened(store) as (manager, _):
        manager.register_workflow(ChainWorkflow)
        with working(manager):
            process_id = manager.start_process(Process(ChainWorkflow, input=steps))
            process = manager.wait_for_process(process_id, 600)
    ends = [e.datetime for e in process.history if isinstance(e, ActivityEvent) and e.datetime]
    each = [(b - a).total_seconds() for a, b in pairwise(ends)]
    return statistics.median(each[10:210]), statistics.median(each[-200:])
