"""Backends around other backends: whatever they do not override is handed on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime as DateTime

from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    FEED_START,
    Backend,
    Completion,
    Definition,
    Diagnosis,
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
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import Event
from pyworkflow.ledger.checks.record import Violation
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask


class Wrapper(Backend):
    """Hands every call on.

    Args:
        backend: What to wrap.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = backend.name
        self.capabilities = backend.capabilities

    @property
    def lambda_role(self) -> str | None:
        """The role of the wrapped backend."""
        return self.backend.lambda_role

    @lambda_role.setter
    def lambda_role(self, role: str | None) -> None:
        self.backend.lambda_role = role

    def register_versions(self, versions: Mapping[str, str]) -> None:
        self.backend.register_versions(versions)

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
        self.backend.register_workflow(
            name, category, timeout, decision_timeout, handles_cancel=handles_cancel, graph=graph
        )

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
        self.backend.register_activity(
            name,
            category,
            scheduled_timeout,
            execution_timeout,
            heartbeat_timeout,
            retry=retry,
            at_most_once=at_most_once,
        )

    def workflows(self) -> list[RegisteredWorkflow]:
        return self.backend.workflows()

    def activities(self) -> list[RegisteredActivity]:
        return self.backend.activities()

    def define(self, kind: str, name: str, body: Json) -> Definition:
        return self.backend.define(kind, name, body)

    def definitions(self, since: int = 0) -> list[Definition]:
        return self.backend.definitions(since)

    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        return self.backend.start_process(process, reuse=reuse)

    def start_processes(
        self, processes: Sequence[Process], *, reuse: Reuse = Reuse.REJECT
    ) -> list[Process | PyworkflowError]:
        return self.backend.start_processes(processes, reuse=reuse)

    def signal_process(
        self, process_id: str, name: str, data: Json = None, *, signal_id: str | None = None
    ) -> None:
        self.backend.signal_process(process_id, name, data, signal_id=signal_id)

    def cancel_process(self, process_id: str, details: Json = None) -> None:
        self.backend.cancel_process(process_id, details)

    def terminate_process(
        self, process_id: str, reason: str | None = None, details: Json = None
    ) -> None:
        self.backend.terminate_process(process_id, reason, details)

    def retry_process(self, process_id: str) -> None:
        self.backend.retry_process(process_id)

    def process_by_id(self, process_id: str) -> Process:
        return self.backend.process_by_id(process_id)

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
        return self.backend.processes(
            workflow, tag, status=status, parked=parked, limit=limit, after=after, newest=newest
        )

    def history(self, process_id: str, since: int = 0) -> list[Event]:
        return self.backend.history(process_id, since)

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        return self.backend.wait_for_process(process_id, timeout)

    def pending(self, process_id: str) -> list[Pending]:
        return self.backend.pending(process_id)

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        return self.backend.turn(completions, polls, wait, stop)

    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        return self.backend.heartbeat_activity_task(task, details)

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        self.backend.complete_decision_task(task, decisions)

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        self.backend.complete_activity_task(task, result)

    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        self.backend.fail_decision_task(task, reason, details)

    def extend_leases(
        self, tasks: Sequence[ActivityTask | DecisionTask], lease: float | None
    ) -> list[bool]:
        return self.backend.extend_leases(tasks, lease)

    def release_tasks(
        self, tasks: Sequence[ActivityTask | DecisionTask], *, unseen: bool = False
    ) -> None:
        self.backend.release_tasks(tasks, unseen=unseen)

    def wake(self) -> None:
        self.backend.wake()

    def feed(self, cursor: str = FEED_START, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        return self.backend.feed(cursor, limit, wait)

    def feed_end(self) -> str:
        return self.backend.feed_end()

    def queues(self) -> list[Queue]:
        return self.backend.queues()

    def pollers(self, within: float = 86_400) -> list[Poller]:
        return self.backend.pollers(within)

    def observe(self, observer: Callable[[list[FeedEntry]], None]) -> None:
        self.backend.observe(observer)

    def diagnose(self) -> Diagnosis:
        return self.backend.diagnose()

    def set_clock_back(self) -> float:
        return self.backend.set_clock_back()

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Violation]:
        return self.backend.check(progress)

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        return self.backend.purge(closed_before, limit)

    @property
    def closed(self) -> bool:
        return self.backend.closed

    def close(self) -> None:
        self.backend.close()
