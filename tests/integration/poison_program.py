"""Processes of four styles, a few of which do harm: they end their OS process, do not return, or raise what can hardly be described.

As a program it is a worker: ``python -m tests.integration.poison_program URL thread|asyncio|process CONCURRENCY``.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pyworkflow.activity import activity
from pyworkflow.backend import connect
from pyworkflow.clock import SECOND
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.graph import ActivityTask, PassTask
from pyworkflow.graph import Workflow as Graph
from pyworkflow.ledger import activities as activity_ends
from pyworkflow.ledger import claims
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.worker import Worker
from pyworkflow.workflow import Decidable, DefaultWorkflow, RuleSetWorkflow, Workflow, rules

LEASE = 1.0

TIMEOUT = 1.5
"""Seconds after which an activity, or a decider, that does not return has timed out."""

# -- harm --------------------------------------------------------------------------------------------------------------------------


class Mute(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unpicklable(Exception):
    """Cannot be sent to another OS process."""

    def __init__(self) -> None:
        super().__init__("not to be pickled", threading.Lock(), lambda: None)

    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")


def end() -> None:
    os._exit(139)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep() -> None:
    time.sleep(10_000)


def spin() -> None:
    while True:
        pass


def be_mute() -> None:
    raise Mute


def be_unpicklable() -> None:
    raise Unpicklable


def be_cyclic() -> None:
    inner, outer = ValueError("inner"), OSError("outer")
    group = ExceptionGroup("around itself", [inner, outer, Mute()])
    inner.__cause__, outer.__context__ = group, inner
    raise group


HARMS: dict[str, Callable[[], None]] = {
    "end": end,
    "kill": kill,
    "sleep": sleep,
    "spin": spin,
    "mute": be_mute,
    "unpicklable": be_unpicklable,
    "cyclic": be_cyclic,
}

PLACES = ("first decision", "last decision", "activity", "coroutine")


def strike(order: dict[str, Any], place: str) -> None:
    """Do harm, if this is the place for it."""
    if order.get("place") == place:
        HARMS[order["harm"]]()


# -- what all do: one activity, as a function or as a coroutine ---------------------------------------------------------------------


@activity
def double(order: dict[str, Any]) -> dict[str, Any]:
    time.sleep(order.get("seconds", 0))
    return order | {"double": 2 * order["number"]}


@activity
async def double_later(order: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(order.get("seconds", 0))
    return order | {"double": 2 * order["number"]}


@activity
def harm(order: dict[str, Any]) -> None:
    strike(order, "activity")


@activity
async def harm_later(order: dict[str, Any]) -> None:
    strike(order, "coroutine")


@activity(execution_timeout=TIMEOUT)
def hang(order: dict[str, Any]) -> None:
    strike(order, "activity")


@activity(execution_timeout=TIMEOUT)
async def hang_later(order: dict[str, Any]) -> None:
    strike(order, "coroutine")


ACTIVITIES = (double, double_later, harm, harm_later, hang, hang_later)


def choice(order: dict[str, Any]) -> Any:
    """Return the activity for an order."""
    hangs = order.get("harm") in ("sleep", "spin")
    if order.get("place") == "activity":
        return hang if hangs else harm
    if order.get("place") == "coroutine":
        return hang_later if hangs else harm_later
    return double_later if order["number"] % 3 == 1 else double


class HandlersWorkflow(DefaultWorkflow):
    activities = ACTIVITIES

    def initiate(self, process: Process) -> Decidable:
        strike(process.input, "first decision")
        return ScheduleActivity(choice(process.input), input=process.input)

    def respond_to_completed_activity(
        self, process: Process, execution: Any, result: Any
    ) -> Decidable:
        strike(process.input, "last decision")
        return CompleteProcess(result["double"])


class RulesWorkflow(RuleSetWorkflow):
    activities = ACTIVITIES

    @rules.process_started
    def begin(self, event: Any, process: Process) -> Decidable:
        strike(process.input, "first decision")
        return ScheduleActivity(choice(process.input), input=process.input)

    @rules.completed_activity()
    def complete(self, event: Any, process: Process) -> Decidable:
        strike(process.input, "last decision")
        return CompleteProcess(event.result.result["double"])


class CodeWorkflow(ReplayWorkflow):
    activities = ACTIVITIES

    async def run(self, order: dict[str, Any]) -> int:
        strike(order, "first decision")
        doubled: dict[str, Any] = await self.activity(choice(order), order)
        strike(order, "last decision")
        result: int = doubled["double"]
        return result


def _first(order: dict[str, Any]) -> dict[str, Any]:
    strike(order, "first decision")
    return order


def _last(order: dict[str, Any]) -> int:
    strike(order, "last decision")
    result: int = order["double"]
    return result


def _is_chosen(work: Any) -> Callable[[Any], bool]:
    return lambda order: choice(order) is work


def graph(name: str, **settings: Any) -> type[Workflow]:
    made = Graph(name, **settings)
    begin = made.add(PassTask("begin", depends_on=[made.start_task], transform_input=_first))
    steps = [
        made.add(ActivityTask(work.name, work, depends_on=[begin], when=_is_chosen(work)))
        for work in ACTIVITIES
    ]
    made.add(PassTask("end", depends_on=steps, join="unskipped", transform_input=_last))
    return made.workflows()[0]


CODED: tuple[type[Workflow], ...] = (HandlersWorkflow, RulesWorkflow, CodeWorkflow)

STYLES = ("Handlers", "Rules", "Code", "Graph")

WORKFLOWS: list[type[Workflow]] = [*CODED, graph("Graph")]

# Innocent deciders have all the time that they need, however busy the machine is.
WORKFLOWS += [
    type(f"Harmful{style.__name__}", (style,), {"decision_timeout": TIMEOUT}) for style in CODED
]
WORKFLOWS.append(graph("HarmfulGraph", decision_timeout=TIMEOUT))


def harms() -> list[tuple[str, str, str]]:
    """Return each style with each place and kind of harm."""
    return [(style, place, harm) for style in STYLES for place in PLACES for harm in HARMS]


def main() -> None:
    url, pool, concurrency = sys.argv[1:]
    # Nobody has the patience for failures that are minutes apart.
    vars(claims)["FIRST_BACKOFF"] = vars(activity_ends)["FIRST_BACKOFF"] = SECOND // 20
    vars(claims)["LONGEST_BACKOFF"] = SECOND // 5
    vars(claims)["MAX_FAILURES"] = 3
    with connect(url) as backend:
        manager = Manager(backend, WORKFLOWS)
        Worker(manager, pool=pool, concurrency=int(concurrency), lease=LEASE, grace=5).run()


if __name__ == "__main__":
    main()
