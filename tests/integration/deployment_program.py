"""Two releases of one program, in five styles. The new one has an activity and workflows more, and other code for the same events.

As a program it is a worker: ``python -m tests.integration.deployment_program URL old|new decisions|activities``.
"""

import sys
from typing import Any

from pyworkflow.activity import activity
from pyworkflow.backend import connect
from pyworkflow.backend.base import Backend
from pyworkflow.decision import CompleteProcess, FailProcess, ScheduleActivity
from pyworkflow.event import ActivityEvent, ProcessStartedEvent
from pyworkflow.graph import ActivityTask
from pyworkflow.graph import Workflow as Graph
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.result import ActivityResult
from pyworkflow.worker import Worker
from pyworkflow.workflow import Decidable, DefaultWorkflow, RuleSetWorkflow, Workflow, rules

WEEK = 7 * 86_400

STYLES = ("Decider", "Handlers", "Rules", "Graph", "Replay")
"""Both releases have a workflow of each name; the new release has a further one with ``New`` before it."""

STEPS = {"old": ("charge",), "new": ("charge", "ship")}
"""What is done in each release."""


@activity(scheduled_timeout=WEEK)
def charge(order: int) -> int:
    return order


@activity(scheduled_timeout=WEEK)
def ship(order: int) -> int:
    return order


ACTIVITIES = {"charge": charge, "ship": ship}


def after(steps: tuple[str, ...], step: str | None, order: Any, release: str) -> Decidable:
    """Return what follows a step, or the start."""
    place = 0 if step is None else steps.index(step) + 1 if step in steps else len(steps)
    if place < len(steps):
        return ScheduleActivity(steps[place], id=steps[place], input=order)
    return CompleteProcess([order, release])


def decider(called: str, release: str, steps: tuple[str, ...]) -> type[Workflow]:
    class Decided(Workflow):
        name = called
        activities = tuple(ACTIVITIES[step] for step in steps)

        def decide(self, process: Process) -> Decidable:
            [event] = [
                event
                for event in process.unseen_events()
                if isinstance(event, ProcessStartedEvent | ActivityEvent)
            ]
            step = event.activity_execution.id if isinstance(event, ActivityEvent) else None
            return after(steps, step, process.input, release)

    return Decided


def handlers(called: str, release: str, steps: tuple[str, ...]) -> type[Workflow]:
    class Handled(DefaultWorkflow):
        name = called
        activities = tuple(ACTIVITIES[step] for step in steps)

        def initiate(self, process: Process) -> Decidable:
            return after(steps, None, process.input, release)

        def respond_to_completed_activity(
            self, process: Process, execution: Any, result: Any
        ) -> Decidable:
            return after(steps, execution.id, process.input, release)

        def respond_to_interrupted_activity(
            self, process: Process, execution: Any, result: ActivityResult
        ) -> Decidable:
            return FailProcess(str(result))

    return Handled


def ruled(called: str, release: str, steps: tuple[str, ...]) -> type[Workflow]:
    class Ruled(RuleSetWorkflow):
        name = called
        activities = tuple(ACTIVITIES[step] for step in steps)

        @rules.process_started
        def begin(self, event: Any, process: Process) -> Decidable:
            return after(steps, None, process.input, release)

        @rules.completed_activity()
        def go_on(self, event: Any, process: Process) -> Decidable:
            return after(steps, event.activity_execution.id, process.input, release)

        @rules.interrupted_activity()
        def fail(self, event: Any, process: Process) -> Decidable:
            return FailProcess(str(event.result))

    return Ruled


def graph(called: str, release: str, steps: tuple[str, ...]) -> type[Workflow]:
    made = Graph(called)
    last: Any = made.start_task
    for step in steps:
        last = made.add(ActivityTask(step, ACTIVITIES[step], depends_on=[last]))
    return made.workflows()[0]


def replay(called: str, release: str, steps: tuple[str, ...]) -> type[Workflow]:
    class Replayed(ReplayWorkflow):
        name = called
        activities = tuple(ACTIVITIES[step] for step in steps)

        async def run(self, order: int) -> Any:
            await self.activity(ACTIVITIES[steps[0]], order)
            if len(steps) > 1 and self.patched("ship"):
                await self.activity(ship, order)
            return [order, release]

    return Replayed


MAKERS = dict(zip(STYLES, (decider, handlers, ruled, graph, replay), strict=True))


def program(release: str, backend: Backend) -> Manager:
    """Return the manager of a release."""
    workflows = [make(name, release, STEPS[release]) for name, make in MAKERS.items()]
    if release == "new":
        workflows += [make(f"New{name}", release, ("ship",)) for name, make in MAKERS.items()]
    return Manager(backend, workflows)


if __name__ == "__main__":
    with connect(sys.argv[1]) as opened:
        _, _, release, kind = sys.argv
        decides = kind == "decisions"
        Worker(
            program(release, opened), concurrency=4, decisions=decides, activities=not decides
        ).run()
