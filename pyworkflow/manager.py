"""Managers: a backend together with the workflow and activity classes of a program."""

import logging
from collections.abc import Iterable, Sequence
from contextvars import copy_context
from datetime import datetime as DateTime
from typing import Any

from pyworkflow.activity import Activity, ActivityMonitor, AnyActivity
from pyworkflow.backend.base import DEFAULT_CATEGORY, Backend, Capability, Pending, Reuse
from pyworkflow.backend.gate import gated
from pyworkflow.backend.registry import connect
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.backoff import ride_out
from pyworkflow.codec import Json
from pyworkflow.decision import Named, name_of
from pyworkflow.errors import (
    UnknownActivityError,
    UnknownWorkflowError,
    UnsupportedByBackendError,
)
from pyworkflow.event import Event
from pyworkflow.failure import repr_of
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.shapes import (
    check_activity,
    check_backend,
    check_different,
    check_process,
    check_workflow,
    each,
    id_of,
    wrong,
)
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.workflow import Decidable, Workflow, decisions_of

UNSUPPORTED = "unsupported task type"

log = logging.getLogger("pyworkflow.manager")


class Manager:
    """The front door: starts and signals processes, and hands tasks to workers together with the class that does them.

    Args:
        backend: Where the processes live.
        workflows: The workflow classes of this program; they and their activities are registered with the backend.
        activities: Further activity classes and functions, which no workflow of this program names.

    Raises:
        InvalidRequestError: A class has a name or timeout that is not acceptable, two have the same name, or something is of another
            kind than it should be.
    """

    def __init__(
        self,
        backend: Backend,
        workflows: Iterable[type[Workflow]] = (),
        activities: Iterable[AnyActivity] = (),
    ) -> None:
        self.backend = check_backend(backend)
        self._workflows: dict[str, type[Workflow]] = {}
        self._activities: dict[str, AnyActivity] = {}
        self._workflow_names: tuple[str, ...] = ()
        self._activity_names: tuple[str, ...] = ()
        for activity in each(activities, "activities"):
            self.register_activity(activity)
        for workflow in each(workflows, "workflows"):
            self.register_workflow(workflow)

    @classmethod
    def connect(
        cls,
        url: str,
        workflows: Iterable[type[Workflow]] = (),
        activities: Iterable[AnyActivity] = (),
    ) -> "Manager":
        """Return a manager on the backend of a URL, for example ``sqlite:///work.db``.

        Raises:
            InvalidRequestError: No backend has this scheme.
            BackendUnavailableError: The store cannot be opened.
        """
        return cls(connect(url), workflows, activities)

    def copy_with_backend(self, backend: Backend) -> "Manager":
        """Return a manager of the same classes on another backend."""
        return Manager(backend, self._workflows.values(), self._activities.values())

    # -- classes -------------------------------------------------------------------------------------------------------------------

    def register_workflow(self, workflow: type[Workflow]) -> None:
        """Make a workflow and its activities known.

        Raises:
            InvalidRequestError: It is no workflow class, or another one of this manager has its name.
        """
        workflow = check_workflow(workflow)
        check_different("workflow", workflow.name, self._workflows.get(workflow.name), workflow)
        self.backend.register_versions(workflow.versions)
        for activity in each(workflow.activities, "activities"):
            self.register_activity(activity)
        self.backend.register_workflow(
            workflow.name,
            workflow.category,
            workflow.timeout,
            workflow.decision_timeout,
            handles_cancel=workflow.handles_cancel,
            graph=workflow.graph_shape(),
        )
        self._workflows[workflow.name] = workflow
        if workflow.name not in self._workflow_names:
            self._workflow_names = tuple(sorted(self._workflows))
            self.backend.wake()

    def register_activity(self, activity: AnyActivity) -> None:
        """Make an activity known.

        Raises:
            InvalidRequestError: It is no activity, or another one of this manager has its name.
        """
        activity = check_activity(activity)
        check_different("activity", activity.name, self._activities.get(activity.name), activity)
        self.backend.register_activity(
            activity.name,
            activity.category,
            activity.scheduled_timeout,
            activity.execution_timeout,
            activity.heartbeat_timeout,
            retry=activity.retry,
            at_most_once=activity.at_most_once,
        )
        self._activities[activity.name] = activity
        if activity.name not in self._activity_names:
            self._activity_names = tuple(sorted(self._activities))
            self.backend.wake()

    @property
    def workflows(self) -> Sequence[type[Workflow]]:
        """The workflow classes."""
        return tuple(self._workflows.values())

    @property
    def activities(self) -> Sequence[AnyActivity]:
        """The activity classes and functions."""
        return tuple(self._activities.values())

    @property
    def workflow_names(self) -> tuple[str, ...]:
        """What polls for decisions carry: the names of the workflows of this program, in order."""
        return self._workflow_names

    @property
    def activity_names(self) -> tuple[str, ...]:
        """What polls for activities carry: the names of the activities of this program, in order."""
        return self._activity_names

    @gated
    def find_activity(self, name: str) -> AnyActivity | None:
        """Return the activity of a name, if this program has it."""
        return self._activities.get(name)

    @gated
    def find_workflow(self, name: str) -> type[Workflow] | None:
        """Return the workflow of a name, if this program has it."""
        return self._workflows.get(name)

    # -- processes -----------------------------------------------------------------------------------------------------------------

    def start_process(
        self, process: Process, *, reuse: Reuse = Reuse.REJECT, connection: Any = None
    ) -> str:
        """Start a process and return its id; see `Backend.start_process`.

        Args:
            process: The process.
            reuse: When the id of a closed process may be used again.
            connection: The caller's own connection to the backend's database: the process exists when the caller commits.

        Raises:
            PayloadError: The input is not what the workflow of this program takes.
            UnsupportedByBackendError: There is a connection, and the backend cannot join its transaction.
        """
        process = check_process(process)
        workflow = self._workflows.get(process.workflow)
        if workflow is not None:
            workflow.check_input(process.input)
        if connection is None:
            return self.backend.start_process(process, reuse=reuse)
        process_id: str = self._joining().start_process(process, reuse=reuse, connection=connection)
        return process_id

    def _joining(self) -> Any:
        """Return the backend that can join a caller's transaction; its wrappers hear of it from the feed."""
        backend = self.backend
        while isinstance(backend, Wrapper):
            backend = backend.backend
        if Capability.JOIN not in backend.capabilities:
            raise UnsupportedByBackendError(
                f"the {backend.name} backend cannot join a transaction of the caller's: leave out `connection`"
            )
        return backend

    def signal_process(
        self,
        process: Process | str,
        signal: Signal | str,
        data: Json = None,
        *,
        signal_id: str | None = None,
        connection: Any = None,
    ) -> None:
        """Tell a process something; see `Backend.signal_process`.

        Args:
            process: The process or its id.
            signal: The signal, or its name.
            data: With a name: any JSON.
            signal_id: With a name: the caller's id of this signal.
            connection: The caller's own connection to the backend's database: the signal is there when the caller commits.

        Raises:
            UnsupportedByBackendError: There is a connection, and the backend cannot join its transaction.
        """
        if isinstance(signal, str):
            signal = Signal(signal, {} if data is None else data, signal_id)
        elif not isinstance(signal, Signal):
            raise wrong("signal", signal, "a Signal or its name")
        name, value, id_ = signal.name, signal.data, signal.id
        process_id = id_of(process)
        if connection is None:
            self.backend.signal_process(process_id, name, value, signal_id=id_)
        else:
            joining = self._joining()
            joining.signal_process(process_id, name, value, signal_id=id_, connection=connection)

    def cancel_process(self, process: Process | str, details: Json = None) -> None:
        """Cancel a process; see `Backend.cancel_process`."""
        self.backend.cancel_process(id_of(process), details)

    def terminate_process(
        self, process: Process | str, reason: str | None = None, details: Json = None
    ) -> None:
        """Close a process by force; see `Backend.terminate_process`."""
        self.backend.terminate_process(id_of(process), reason, details)

    def retry_process(self, process: Process | str) -> None:
        """Resume a parked process; see `Backend.retry_process`."""
        self.backend.retry_process(id_of(process))

    def process_by_id(self, process_id: str) -> Process:
        """Return a process with its history; see `Backend.process_by_id`."""
        return self.backend.process_by_id(process_id)

    def processes(
        self,
        workflow: type[Named] | Named | str | None = None,
        tag: str | None = None,
        *,
        status: Status | None = Status.OPEN,
        parked: bool | None = None,
        limit: int | None = None,
        after: Process | None = None,
        newest: bool = False,
    ) -> list[Process]:
        """Return processes; see `Backend.processes`."""
        name = None if workflow is None else name_of(workflow)
        return self.backend.processes(
            name, tag, status=status, parked=parked, limit=limit, after=after, newest=newest
        )

    def history(self, process: Process | str, since: int = 0) -> list[Event]:
        """Return the events of a process after the first `since`."""
        return self.backend.history(id_of(process), since)

    def query(self, process: Process | str, question: str, *arguments: Json) -> Json:
        """Ask the workflow of a process, open or closed, about its present state. Needs no worker, and changes nothing.

        Args:
            process: The process or its id.
            question: The name of a query of the workflow.
            arguments: What the query takes.

        Raises:
            UnknownProcessError: There is no such process.
            UnknownWorkflowError: This program does not have its workflow.
            InvalidRequestError: The workflow does not know the question.
            UnansweredQueryError: The process was decided by code of another version than this program has.
        """
        asked = self.backend.process_by_id(id_of(process))

        def answer() -> Json:
            return self._workflow(asked.workflow).answer(asked, question, *arguments)

        # What users' code sets in its context is not seen by the caller.
        return copy_context().run(answer)

    def wait_for_process(self, process: Process | str, timeout: float | None = None) -> Process:
        """Return a process as soon as it is closed; see `Backend.wait_for_process`."""
        return self.backend.wait_for_process(id_of(process), timeout)

    def pending(self, process: Process | str) -> list[Pending]:
        """Return what a process waits for; see `Backend.pending`."""
        return self.backend.pending(id_of(process))

    def purge(self, closed_before: DateTime, patience: float = 60) -> int:
        """Remove all processes that closed before an instant; return how many.

        Args:
            closed_before: The instant.
            patience: Seconds to wait, each time, for a store that is away.
        """
        total = 0
        while removed := ride_out(
            lambda: self.backend.purge(closed_before), _report_outage, patience
        ):
            total += removed
        return total

    # -- tasks ---------------------------------------------------------------------------------------------------------------------

    def next_activity(
        self, identity: str | None = None, category: str = DEFAULT_CATEGORY
    ) -> ActivityTask | None:
        """Return a lease on an activity that this program has, or None if none waits now."""
        return self.backend.poll_activity_task(category, identity, self.activity_names)

    def next_decision(
        self, identity: str | None = None, category: str = DEFAULT_CATEGORY
    ) -> DecisionTask | None:
        """Return a lease on a decision of a workflow that this program has, or None if none waits now."""
        return self.backend.poll_decision_task(category, identity, self.workflow_names)

    @gated
    def workflow_for_task(self, task: DecisionTask) -> Workflow:
        """Return the workflow that decides a task.

        Raises:
            UnknownWorkflowError: This program does not have it.
        """
        return self._workflow(task.process.workflow)

    def _workflow(self, name: str) -> Workflow:
        if name not in self._workflows:
            raise UnknownWorkflowError(name, "this program does not have it")
        return self._workflows[name]()

    @gated
    def activity_for_task(
        self, task: ActivityTask, monitor: ActivityMonitor | None = None
    ) -> Activity:
        """Return the activity that executes a task.

        Raises:
            UnknownActivityError: This program does not have it.
            PayloadError: The input is not of the type that the activity wants.
        """
        name = task.activity_execution.activity
        if name not in self._activities:
            raise UnknownActivityError(name, "this program does not have it")
        return self._activities[name].bind(task, monitor)

    def heartbeat(self, task: ActivityTask, details: Json = None) -> bool:
        """Give a sign of life; return whether the activity has been asked to cancel itself."""
        return self.backend.heartbeat_activity_task(task, details)

    def complete_task(
        self,
        task: ActivityTask | DecisionTask,
        result: ActivityResult | Decidable,
    ) -> None:
        """Record the result of an activity, or the decisions of a decider.

        Args:
            task: The task.
            result: For an activity, its result; for a decision, whatever `Workflow.decide` may return.

        Raises:
            InvalidRequestError: The task is neither, or the result is not for it.
            StaleTaskError: The lease ended, or the task was completed before.
            InvalidDecisionError: A decision cannot apply.
        """
        if isinstance(task, DecisionTask):
            if isinstance(result, ActivityResult):
                raise wrong(f"{UNSUPPORTED}: DecisionTask with", result, "decisions")
            self.backend.complete_decision_task(task, decisions_of(result, task.process))
        elif not isinstance(task, ActivityTask):
            raise wrong(UNSUPPORTED, task, "an ActivityTask or a DecisionTask")
        elif isinstance(result, ActivityResult):
            self.backend.complete_activity_task(task, result)
        else:
            hint = f"did you mean ActivityCompleted({repr_of(result, 80)})?"
            raise wrong(f"{UNSUPPORTED}: ActivityTask with", result, "an ActivityResult", hint)


def _report_outage(error: Exception) -> None:
    log.warning("waiting for the store: %s", error)
