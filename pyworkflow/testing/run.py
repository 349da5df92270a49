"""Running processes to their end in one thread, with a clock that skips whatever they wait for."""

from collections.abc import Callable, Iterable
from functools import partial
from logging import getLogger

from pyworkflow.activity import AnyActivity
from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import Json
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.workflow import Workflow

log = getLogger("pyworkflow.testing")


class WaitsForeverError(AssertionError):
    """A process waits for something that no time will bring: a signal, or an activity or category that nobody does here."""


class Runner:
    """Decides and executes, one task at a time, in the present thread. A month of waiting takes no time.

    Args:
        workflows: The workflow classes.
        activities: Further activities, which no workflow names.
        backend: Where processes live; memory if left out. It must have been made with the same clock.
        clock: The clock that skips.

    Attributes:
        manager: Starts, signals and shows the processes.
        clock: What the time is.
        workers: Each does one task of its kind, if one waits, and tells whether it did: deciding first, then activities.
    """

    def __init__(
        self,
        *workflows: type[Workflow],
        activities: Iterable[AnyActivity] = (),
        backend: Backend | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.manager = Manager(backend or MemoryBackend(self.clock), workflows, activities)
        decided = {workflow.category for workflow in self.manager.workflows}
        done = {activity.category for activity in self.manager.activities}
        deciders = [DecisionWorker(self.manager, category=name) for name in sorted(decided)]
        for decider in deciders:
            # In the present thread, for as long as a debugger takes.
            decider.abandons = False
        doers = [ActivityWorker(self.manager, category=name) for name in sorted(done)]
        self.workers: list[Callable[[], bool | None]] = [
            *(partial(worker.step, log) for worker in deciders),
            *(partial(worker.step, log) for worker in doers),
        ]

    def work(self) -> int:
        """Do all that can be done without time passing; return how many tasks that were."""
        done = 0
        while any(work() for work in self.workers):
            done += 1
        return done

    def start(self, workflow: type[Workflow], input: Json = None, id: str | None = None) -> str:
        """Start a process, do what can be done at once, and return its id."""
        process_id = self.manager.start_process(Process(workflow, id, input))
        self.work()
        return process_id

    def finish(self, process_id: str) -> Process:
        """Work, skipping from one moment at which something is due to the next, until a process is closed; return it.

        Raises:
            WaitsForeverError: Nothing that it waits for will come by itself.
        """
        while True:
            self.work()
            process = self.manager.process_by_id(process_id)
            if not process.is_open:
                return process
            self._skip(process)

    def _skip(self, process: Process) -> None:
        opened = [p for p in self.manager.processes() if p.parked is None]
        moments = [
            pending.until
            for each in opened
            for pending in self.manager.pending(str(each.id))
            if pending.until is not None and pending.until > self.clock.datetime()
        ]
        shown = self.manager.processes(parked=True)
        if any(parked.id == process.id for parked in shown) or not moments:
            raise WaitsForeverError(f"process {process.id!r} waits for {self._waits(process)}")
        self.clock.set(min(moments))

    def _waits(self, process: Process) -> str:
        parked = self.manager.process_by_id(str(process.id)).parked
        if parked is not None:
            return f"a mended decider, and is parked: {parked}"
        pending = self.manager.pending(str(process.id))
        return ", ".join(f"{p.kind} {p.id}" for p in pending) or "a signal"


def run_to_end(
    workflow: type[Workflow],
    input: Json = None,
    *,
    others: Iterable[type[Workflow]] = (),
    activities: Iterable[AnyActivity] = (),
) -> Process:
    """Start a process in memory, run it to its end with a skipping clock, and return it.

    Args:
        workflow: Its workflow.
        input: Its input.
        others: Workflows of its child processes.
        activities: Activities that no workflow names.

    Raises:
        WaitsForeverError: Nothing that it waits for will come by itself.
    """
    runner = Runner(workflow, *others, activities=activities)
    return runner.finish(runner.start(workflow, input))
