"""The port: what every backend does, and how it may differ.

A backend keeps processes, hands out tasks and records what becomes of them. Managers and workers know this class only. Its methods
are the specification; `pyworkflow.testing.conformance` is the same specification as tests.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyworkflow.backend.capability import Capability
from pyworkflow.backend.exchange import (
    DEFAULT_CATEGORY,
    FEED_START,
    MOST_COUNTED,
    Completion,
    Definition,
    Diagnosis,
    FailedDecision,
    FeedEntry,
    Pending,
    Poll,
    Poller,
    Queue,
    RegisteredActivity,
    RegisteredWorkflow,
    Reuse,
    Turn,
)
from pyworkflow.backend.gate import gate
from pyworkflow.backend.observing import Observable
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import Event
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask

__all__ = [
    "DEFAULT_CATEGORY",
    "FEED_START",
    "MOST_COUNTED",
    "Backend",
    "Capability",
    "Completion",
    "Definition",
    "Diagnosis",
    "FailedDecision",
    "FeedEntry",
    "Pending",
    "Poll",
    "Poller",
    "Queue",
    "RegisteredActivity",
    "RegisteredWorkflow",
    "Reuse",
    "Turn",
]


class Backend(Observable, ABC):
    """Keeps processes, hands out tasks, and records what becomes of them. Every method is safe to call from any thread.

    A process is named by its id, or by ``id:run`` for an earlier run of it. Payloads are plain JSON values (`pyworkflow.values` has the
    limits). Any method may raise `BackendUnavailableError`; what it was to do may then be tried again.
    """

    capabilities: frozenset[Capability] = frozenset()
    lambda_role: str | None = None
    """The role in which the engine executes Lambda functions, if it does that itself; None leaves it as it is."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Have every public method check its arguments by the annotations of the port."""
        super().__init_subclass__(**options)
        gate(cls, Backend)

    # -- types ---------------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def register_workflow(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        timeout: float = 365 * 86_400,
        decision_timeout: float = 60,
        *,
        handles_cancel: bool = False,
        graph: Json = None,
    ) -> None:
        """Make a workflow known, or change what is known of it for processes started from now on.

        Args:
            name: Its name.
            category: The queue of its decision tasks.
            timeout: Seconds a process may be open.
            decision_timeout: Seconds a decider may take.
            handles_cancel: Whether its deciders answer a `CancelRequestedEvent`. If not, canceling a process closes it at once.
            graph: What its graph looks like (`pyworkflow.graph.shape`), kept for people to see. An engine that has no place for it
                forgets it.

        Raises:
            InvalidRequestError: A value is out of its range.
        """

    def register_versions(self, versions: Mapping[str, str]) -> None:
        """Tell of names of workflows and activities that end in a hyphen and a version, before they are registered or used.

        An engine that keeps names and versions apart, such as Amazon SWF, does so with these. All others know the whole name.

        Args:
            versions: The versions by the whole names.

        Raises:
            InvalidRequestError: A name does not end in its version.
        """

    @abstractmethod
    def register_activity(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        scheduled_timeout: float | None = None,
        execution_timeout: float = 365 * 86_400,
        heartbeat_timeout: float = 365 * 86_400,
        *,
        retry: Retry | None = None,
        at_most_once: bool = False,
    ) -> None:
        """Make an activity known, or change what is known of it for executions scheduled from now on.

        Args:
            name: Its name.
            category: The queue of its tasks.
            scheduled_timeout: Seconds it may wait for a worker; None for as long as it takes.
            execution_timeout: Seconds one attempt may take.
            heartbeat_timeout: Seconds between two heartbeats.
            retry: When failed attempts are tried again.
            at_most_once: Whether a lost worker is a timeout for the decider, instead of another attempt.

        Raises:
            InvalidRequestError: A value is out of its range.
        """

    def workflows(self) -> list[RegisteredWorkflow]:
        """Return the workflows that are registered, by whichever program, in the order of their names."""
        raise self._unsupported("workflows")

    def activities(self) -> list[RegisteredActivity]:
        """Return the activities that are registered, by whichever program, in the order of their names."""
        raise self._unsupported("activities")

    def define(self, kind: str, name: str, body: Json) -> Definition:
        """Add an entry to the log of definitions, and return it.

        What the entry means is its writer's affair; all that is kept of a name are its entries, the last of which holds.

        Args:
            kind: What is defined, such as ``service``.
            name: Its name, unique in the kind.
            body: Any JSON; None removes the name.

        Raises:
            InvalidRequestError: The kind or the name is not acceptable.
            PayloadError: The body is not.
        """
        raise self._unsupported("define")

    def definitions(self, since: int = 0) -> list[Definition]:
        """Return the entries of the log of definitions after a revision, in order.

        No entry ever comes to stand before one that was returned: to go on from the last is to miss none.
        """
        raise self._unsupported("definitions")

    # -- processes -----------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        """Start a process and return its id: its own, or a new one.

        A start that repeats an earlier one (same id, workflow, input and tags) changes nothing and returns the id, unless the earlier
        process is closed and `reuse` allows a new run.

        Raises:
            UnknownWorkflowError: The workflow is not registered.
            ProcessAlreadyExistsError: A different process has the id, or `reuse` does not allow it.
            InvalidRequestError: The id or a tag is not acceptable.
            PayloadError: The input is not.
        """

    def start_processes(
        self, processes: Sequence[Process], *, reuse: Reuse = Reuse.REJECT
    ) -> list[Process | PyworkflowError]:
        """Start processes together: one transaction, where the engine has them.

        Each stands alone: for one that is refused its error is returned, the others are started; see `start_process`.

        Returns:
            Each process as it stands, without its history beyond the start, or why it was refused.
        """
        started: list[Process | PyworkflowError] = []
        for process in processes:
            try:
                started.append(self.process_by_id(self.start_process(process, reuse=reuse)))
            except PyworkflowError as error:
                started.append(error)
        return started

    @abstractmethod
    def signal_process(
        self, process_id: str, name: str, data: Json = None, *, signal_id: str | None = None
    ) -> None:
        """Tell a process something; it will be decided with it.

        Args:
            process_id: The process.
            name: What it is about.
            data: Any JSON.
            signal_id: The caller's id of this signal. Repeating it changes nothing.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessClosedError: It is closed.
            PayloadError: The data is not acceptable.
        """

    @abstractmethod
    def cancel_process(self, process_id: str, details: Json = None) -> None:
        """Cancel a process: ask it to, if its workflow handles that; close it as canceled otherwise.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessClosedError: It is closed.
        """

    @abstractmethod
    def terminate_process(
        self, process_id: str, reason: str | None = None, details: Json = None
    ) -> None:
        """Close a process by force.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessClosedError: It is closed.
        """

    def retry_process(self, process_id: str) -> None:
        """Resume a parked process: it is decided again, with a clean count of failures. Nothing happens if it is not parked.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessClosedError: It is closed.
        """
        raise self._unsupported("retry_process")

    @abstractmethod
    def process_by_id(self, process_id: str) -> Process:
        """Return a process with its whole history.

        Raises:
            UnknownProcessError: There is no such process.
        """

    @abstractmethod
    def processes(
        self,
        workflow: str | None = None,
        tag: str | None = None,
        *,
        status: Status | None = Status.OPEN,
        parked: bool | None = None,
        limit: int | None = None,
        after: Process | None = None,
        newest: bool = False,
    ) -> list[Process]:
        """Return processes without their histories (`history` has none but the start), oldest first.

        Args:
            workflow: Only those of this workflow.
            tag: Only those with this tag.
            status: Only those in this state; None for all.
            parked: Only those that are parked, or are not.
            limit: How many at most; None for all.
            after: Only those after this one, which an earlier call returned last: the next page.
            newest: Whether the newest come first, and ``after`` those that are older.
        """

    def history(self, process_id: str, since: int = 0) -> list[Event]:
        """Return the events of a process after the first `since`.

        Raises:
            UnknownProcessError: There is no such process.
        """
        return self.process_by_id(process_id).history[since:]

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        """Return a process as soon as it is closed; one that continues as new is waited for to its end.

        Args:
            process_id: The process.
            timeout: Seconds to wait at most.

        Raises:
            UnknownProcessError: There is no such process.
            TimedOutError: It is still open.
        """
        raise self._unsupported("wait_for_process")

    def pending(self, process_id: str) -> list[Pending]:
        """Return what a process waits for; nothing if it is closed, or only a signal can move it.

        Raises:
            UnknownProcessError: There is no such process.
        """
        raise self._unsupported("pending")

    # -- tasks ---------------------------------------------------------------------------------------------------------------------

    def poll_activity_task(
        self,
        category: str = DEFAULT_CATEGORY,
        identity: str | None = None,
        names: tuple[str, ...] | None = None,
    ) -> ActivityTask | None:
        """Return a lease on an activity, or None if none of these names waits now; see `Poll`."""
        turn = self.turn(polls=[Poll(ActivityTask, category, identity=identity, names=names)])
        return next((task for task in turn.tasks if isinstance(task, ActivityTask)), None)

    def poll_decision_task(
        self,
        category: str = DEFAULT_CATEGORY,
        identity: str | None = None,
        names: tuple[str, ...] | None = None,
    ) -> DecisionTask | None:
        """Return a lease on a decision, or None if none of these workflows waits now; see `Poll`."""
        turn = self.turn(polls=[Poll(DecisionTask, category, identity=identity, names=names)])
        return next((task for task in turn.tasks if isinstance(task, DecisionTask)), None)

    @abstractmethod
    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        """Complete some tasks and ask for others, together: one transaction, where the engine has them.

        Each completion stands alone: a refused one changes nothing and its error is returned, whatever becomes of the others.

        Args:
            completions: What became of earlier tasks.
            polls: What is wanted. An activity is handed out once, and no process is ever decided twice at a time.
            wait: Seconds to wait for tasks at most, if there are none at once. New work, also of another OS process, ends the wait
                within milliseconds where the engine can.
            stop: Asked whenever something may have changed, and after `wake`; the wait ends as soon as it says yes.
        """

    def foresee(
        self, task: ActivityTask, result: ActivityResult, identity: str | None = None
    ) -> DecisionTask | None:
        """Return the decision that a result will call for, or None where that cannot be told or is not known to this backend object.

        It is no lease. What is decided goes along with the result, as `Completion.then`, and takes effect in the same transaction; if
        anything else has happened to the process by then, it is dropped, and the process is decided as usual.

        Args:
            task: An activity whose result is not recorded yet.
            result: Its result.
            identity: Who decides.
        """
        return None

    @abstractmethod
    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        """Record a sign of life; return whether the activity has been asked to cancel itself.

        Args:
            task: The task.
            details: Any JSON, for people to see and for the next attempt to read; None keeps the last details.

        Raises:
            StaleTaskError: The lease ended.
        """

    @abstractmethod
    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        """Record the decisions of a task and let them take effect, all or none.

        Raises:
            StaleTaskError: The lease ended, or the task was completed before.
            InvalidDecisionError: A decision cannot apply; the error names it and the task stays open.
            UnregisteredNameError: It names an activity or workflow that is not registered, which may be deployed later; likewise.
            UnseenEventsError: The last decision closes the process, which has events that the decider has not seen. The task is
                over and the process is decided again.
        """

    @abstractmethod
    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        """Record the result of an activity.

        Raises:
            StaleTaskError: The lease ended, or the task was completed before.
            PayloadError: The result is not acceptable; the task stays open.
        """

    @abstractmethod
    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        """Tell that a decider failed. It is decided again after a delay that grows; after ten failures in a row the process is parked.

        Raises:
            StaleTaskError: The lease ended, or the task was completed before.
        """

    def extend_leases(
        self, tasks: Sequence[ActivityTask | DecisionTask], lease: float | None
    ) -> list[bool]:
        """Keep tasks for longer; tell for each whether it is still held.

        Args:
            tasks: Tasks that were polled with a lease.
            lease: Seconds from now; None to hand an activity off: only its timeouts end it from then on.
        """
        raise self._unsupported("extend_leases")

    def release_tasks(
        self, tasks: Sequence[ActivityTask | DecisionTask], *, unseen: bool = False
    ) -> None:
        """Give tasks back, so that another worker has them at once. Those that are no longer held are passed over.

        An ``at_most_once`` activity is timed out instead. A decision becomes a suspect: see `Poll.idle`.

        Args:
            tasks: The tasks.
            unseen: Whether no users' code has run for them: then they wait as if they had never been handed out.
        """
        raise self._unsupported("release_tasks")

    def wake(self) -> None:
        """Have every wait of this backend object look again, and ask its `stop`."""


gate(Backend, Backend)
