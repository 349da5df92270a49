"""Workflows on a backend: each is a process with a history, decided by the graph decider, and its tasks are activities.

A `Worker` in a thread of its own polls for both; the engine's event loop runs the activities. Another thread follows the feed of the
backend: whatever a workflow is told of itself has been recorded before. So an engine that is killed loses nothing that had ended, and
the next one of its name goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from pyworkflow.backend.base import Backend, Capability, FeedEntry
from pyworkflow.backend.registry import connect
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.clock import to_instant
from pyworkflow.decision import CancelProcess, CompleteProcess, FailProcess
from pyworkflow.engine.compiled import YEARS, activity_name
from pyworkflow.engine.decider import EngineWorkflow, event_of, process_input, template_of
from pyworkflow.engine.errors import TemplateError
from pyworkflow.engine.notes import Notes
from pyworkflow.engine.pool import post
from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.recorded import begun, ended, result_of
from pyworkflow.engine.registry import TaskRegistry
from pyworkflow.engine.states import FutureState
from pyworkflow.engine.template import WorkflowTemplate
from pyworkflow.engine.threads import Threads
from pyworkflow.engine.workflow import Workflow
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    PyworkflowError,
    UnsupportedByBackendError,
)
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    DecisionEvent,
    Event,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
)
from pyworkflow.failure import describe
from pyworkflow.graph.keys import read_key
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.values import check_name

log = logging.getLogger("pyworkflow.engine")

SUSPEND, RESUME = "engine.suspend", "engine.resume"
"""The signals that record the two."""

Adopt = Callable[[WorkflowTemplate, str], Workflow]


class EngineManager(Manager):
    """A manager whose activities are the registered tasks; the engine itself runs them."""

    @property
    def activity_names(self) -> tuple[str, ...]:
        """The names of the activities that registered tasks are."""
        return tuple(sorted(map(activity_name, TaskRegistry.all())))


class DurableRunner:
    """Says what comes next by what a backend has recorded.

    Args:
        backend: The backend or its URL; one that is opened here is closed at the end.
        name: The category of the processes.
        lease: Seconds after which others take over from an engine that is gone.
        adopt: Makes a workflow for a process that another engine has started.

    Raises:
        UnsupportedByBackendError: The backend has no feed.
        InvalidRequestError: The name or the URL is not acceptable.
    """

    def __init__(self, backend: Backend | str, name: str, lease: float, adopt: Adopt) -> None:
        self.category = check_name(name, "engine name")
        self._owned = isinstance(backend, str)
        self._backend = connect(backend) if isinstance(backend, str) else backend
        if Capability.FEED not in self._backend.capabilities:
            if self._owned:
                self._backend.close()
            raise UnsupportedByBackendError(f"the {self._backend.name} backend has no feed")
        self._manager = EngineManager(self._backend, [EngineWorkflow])
        self._lease = lease
        self._adopt = adopt
        self._registered: set[str] = set()
        self._workflows: dict[str, Workflow] = {}
        self._adopting: dict[str, list[FeedEntry]] = {}
        self._taking: dict[str, asyncio.Future[Workflow | None]] = {}
        self._taken: list[Workflow] = []
        self._leases: dict[str, dict[str, ActivityTask]] = {}
        self._recorded: set[str] = set()
        self._starting: set[str] = set()
        self._early: list[tuple[Workflow, ActivityTask]] = []
        self._leaving = False
        self._threads: Threads | None = None
        self._notes = Notes(self._backend)
        self._jobs: set[asyncio.Future[Any]] = set()

    # -- what workflows tell --------------------------------------------------------------------------------------------------------

    async def begin(self, workflow: Workflow) -> None:
        """Record the start of a workflow; what is ready begins when the decider has said so."""
        self._start()
        template = workflow.template
        process = Process(
            EngineWorkflow,
            workflow.uid,
            process_input(template, workflow.event),
            [template.uid],
            category=self.category,
            timeout=template.timeout,
        )
        self._follow(workflow)
        self._starting.add(workflow.uid)
        starting = self._job(asyncio.to_thread(self._start_process, template, process))
        starting.add_done_callback(partial(self._started, workflow))
        # Who asked for it may be canceled, the thread cannot: it is followed in any case.
        await asyncio.shield(starting)

    def _started(self, workflow: Workflow, starting: asyncio.Future[None]) -> None:
        self._starting.discard(workflow.uid)
        if starting.cancelled() or starting.exception() is not None:
            workflow.conclude(FutureState.cancelled)
        else:
            workflow.close_if_idle()

    def _start_process(self, template: WorkflowTemplate, process: Process) -> None:
        for name in {activity_name(task.name) for task in template.tasks} - self._registered:
            self._backend.register_activity(name, self.category, YEARS, YEARS, YEARS)
            self._registered.add(name)
            # The worker may wait with a poll that was made before the task was registered.
            self._backend.wake()
        self._manager.start_process(process)

    def task_ended(self, workflow: Workflow, record: TaskRecord) -> None:
        """Have the end of a task recorded."""
        lease = self._leases.get(workflow.uid, {}).pop(record.task, None)
        if lease is not None:
            self._give(lease, result_of(record))

    def suspended(self, workflow: Workflow) -> None:
        """Record that a workflow is suspended, or resumed. What was begun stays with this engine."""
        signal = RESUME if workflow.committed else SUSPEND
        self._notes.record(partial(self._manager.signal_process, workflow.uid, signal))

    def closed(self, workflow: Workflow, state: FutureState) -> None:
        """Record that a workflow was canceled, if that is not where this came from."""
        if self._leaving:
            workflow.abandon()
        elif workflow.uid in self._recorded:
            workflow.conclude(state)
        elif workflow.uid not in self._starting:
            self._notes.record(partial(self._manager.cancel_process, workflow.uid))

    def _give(self, lease: ActivityTask, result: ActivityResult | None) -> None:
        # What an engine leaves behind is given back when its worker ends.
        if self._threads is not None and not self._leaving:
            self._threads.give(lease, result)

    # -- what the backend tells -----------------------------------------------------------------------------------------------------

    def _follow(self, workflow: Workflow) -> None:
        self._workflows[workflow.uid] = workflow
        workflow.add_done_callback(self._forget)

    def _forget(self, future: asyncio.Future[Any]) -> None:
        uid = getattr(future, "uid", "")
        self._workflows.pop(uid, None)
        self._recorded.discard(uid)
        for lease in self._leases.pop(uid, {}).values():
            # Nobody waits for its result; the worker is to count it as over.
            self._give(lease, None)

    def _begin_tasks(self, leases: Sequence[ActivityTask]) -> None:
        """Run the tasks that the worker was handed."""
        for lease in leases:
            workflow = self._workflows.get(str(lease.process_id))
            if workflow is None:
                self._job(self._adopt_for(lease))
            else:
                self._begin_task(workflow, lease)

    def _begin_task(self, workflow: Workflow, lease: ActivityTask) -> None:
        execution = lease.activity_execution
        key = read_key(execution.id)
        if key is None or workflow.done():
            self._give(lease, None)
            return
        event = event_of(execution.input, workflow.template.uid, workflow.uid)
        parent = None if event.source is None else event.source.task_template_id
        if parent is not None and not workflow.flow.states[parent].is_ended:
            # The worker was faster than the feed, which is to tell of the parent's end first.
            self._early.append((workflow, lease))
            return
        again = key.step in self._leases.setdefault(workflow.uid, {})
        self._leases[workflow.uid][key.step] = lease
        if not again:
            workflow.begin_task(key.step, event)

    def _hear(self, entries: list[FeedEntry]) -> None:
        """Take notice of what the feed tells."""
        for entry in entries:
            if entry.process_id in self._adopting:
                self._adopting[entry.process_id].append(entry)
            elif (workflow := self._workflows.get(entry.process_id)) is not None:
                self._hear_of(workflow, entry)
        early, self._early = self._early, []
        for workflow, lease in early:
            self._begin_task(workflow, lease)

    def _hear_of(self, workflow: Workflow, entry: FeedEntry) -> None:
        try:
            self._take(workflow, entry.event)
        except Exception:
            # The others hear of their own events all the same.
            log.exception("process %s cannot be followed any more", entry.process_id)
            workflow.abandon()

    def _take(self, workflow: Workflow, event: Event, *, told: bool = False) -> None:
        """Have a workflow know what was recorded."""
        match event:
            case ActivityStartedEvent(activity_execution=execution):
                if told and (key := read_key(execution.id)) is not None:
                    workflow.records[key.step] = begun(workflow, event, key.step)
            case ActivityEvent(activity_execution=execution):
                if (key := read_key(execution.id)) is not None:
                    self._call_off(workflow, key.step)
                    workflow.settle(ended(workflow, event, key.step), told=told)
            case SignalEvent(signal=signal) if told and signal.name in (SUSPEND, RESUME):
                workflow.committed = signal.name == RESUME
            case DecisionEvent(decision=CompleteProcess()):
                workflow.conclude(FutureState.finished)
            case DecisionEvent(decision=FailProcess(reason=reason)):
                workflow.conclude(FutureState.exception, reason)
            case DecisionEvent(decision=CancelProcess()) | ProcessTerminatedEvent():
                self._close(workflow, FutureState.cancelled)
            case ProcessTimedOutEvent():
                self._close(workflow, FutureState.timeout)
            case _:
                pass

    def _call_off(self, workflow: Workflow, task: str) -> None:
        """Cancel a task that still runs here though it has ended for the backend: others have done it, or somebody has said how it ends."""
        running = workflow.running.get(task)
        if running is not None:
            lease = self._leases.get(workflow.uid, {}).pop(task, None)
            if lease is not None:
                self._give(lease, None)
            running.end()

    def _close(self, workflow: Workflow, state: FutureState) -> None:
        self._recorded.add(workflow.uid)
        workflow.close(state)
        if not workflow.running:
            # It had asked for that, and waited for the record.
            workflow.conclude(state)

    # -- taking over ----------------------------------------------------------------------------------------------------------------

    async def rescue(self) -> list[Workflow]:
        """Follow all open processes of this name; return those that were taken over, and not returned before.

        Raises:
            PyworkflowError: One of them cannot be followed; all others are.
        """
        self._start()
        found = await asyncio.to_thread(self._manager.processes, EngineWorkflow)
        failures = list[PyworkflowError]()
        for process in found:
            if process.category == self.category:
                try:
                    await self.take_over(str(process.id))
                except PyworkflowError as error:
                    failures.append(error)
        if failures:
            raise failures[0]
        # The worker may have been handed tasks of some of them meanwhile.
        taken, self._taken = self._taken, []
        return taken

    async def take_over(self, uid: str) -> Workflow | None:
        """Follow an open process, if this engine does not yet; return None if it is over.

        Raises:
            UnknownProcessError: There is no such process.
            UnknownTaskName: It has a task that is not registered here.
            TemplateError: What is recorded of it is none of an engine.
        """
        self._start()
        if uid in self._workflows:
            return self._workflows[uid]
        if uid not in self._taking:
            self._taking[uid] = asyncio.ensure_future(self._take_over(uid))
        # Others wait for it, too.
        return await asyncio.shield(self._taking[uid])

    async def _take_over(self, uid: str) -> Workflow | None:
        meanwhile = self._adopting[uid] = []
        try:
            process = await asyncio.to_thread(self._manager.process_by_id, uid)
            if not process.is_open:
                return None
            workflow = self._restored(process)
        except PyworkflowError:
            raise
        except Exception as error:
            raise TemplateError(f"process {uid!r}", describe(error).line) from error
        finally:
            del self._adopting[uid], self._taking[uid]
        for entry in meanwhile:
            self._hear_of(workflow, entry)
        # Those that are over are not waited for, and nobody may ever ask.
        self._taken = [*(taken for taken in self._taken if not taken.done()), workflow]
        return workflow

    def _restored(self, process: Process) -> Workflow:
        template = template_of(process)
        template.validate()
        workflow = self._adopt(template, str(process.id))
        try:
            began = None if process.started is None else to_instant(process.started)
            event = event_of(process.input["event"], workflow.template.uid, workflow.uid)
            workflow.opened(event, began)
            for recorded in process.history:
                self._take(workflow, recorded, told=True)
        except Exception:
            workflow.abandon()
            raise
        self._follow(workflow)
        return workflow

    async def _adopt_for(self, lease: ActivityTask) -> None:
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while True:
            try:
                workflow = await self.take_over(str(lease.process_id))
                break
            except BackendUnavailableError as error:
                if self._backend.closed or self._leaving:
                    return
                log.warning("process %s cannot be followed yet: %s", lease.process_id, error)
                await asyncio.sleep(backoff.pause())
            except PyworkflowError as error:
                # Kept, so that it does not come again: the next engine of the name may know what this one does not.
                log.error("process %s cannot be followed: %s", lease.process_id, error)
                return
        if workflow is None:
            self._give(lease, None)
        else:
            self._begin_task(workflow, lease)

    def _job(self, work: Awaitable[None]) -> asyncio.Future[None]:
        job = asyncio.ensure_future(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    # -- its threads ----------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Begin to work and to follow. Does nothing if it has begun.

        Raises:
            InvalidRequestError: It has, in another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._threads is None:
            threads = Threads(
                self._manager,
                self.category,
                self._lease,
                loop,
                begin=self._begin_tasks,
                hear=self._hear,
                lost=self.loop_ends,
            )
            threads.start()
            self._threads = threads
        elif self._threads.loop is not loop:
            raise InvalidRequestError(f"engine {self.category!r}", "belongs to another event loop")

    def leave(self) -> None:
        """Take no more notice of what becomes of the workflows: another engine will."""
        self._leaving = True

    def loop_ends(self) -> None:
        """Leave all to the next engine, at once: nothing can run here any more. May be called in any thread."""
        self._leaving = True
        self._notes.close()
        if self._threads is not None and not self._threads.stopping:
            self._threads.stop()
            post(self._threads.loop, self._abandon)

    def _abandon(self) -> None:
        """Have nobody wait for what nothing is heard of any more."""
        for workflow in list(self._workflows.values()):
            workflow.abandon()

    async def stop(self) -> None:
        """Send what is finished, give back what is not, and end."""
        self.loop_ends()
        if self._threads is not None:
            await asyncio.to_thread(self._threads.join)
        await asyncio.to_thread(self._notes.join)
        if self._owned:
            await asyncio.to_thread(self._backend.close)
