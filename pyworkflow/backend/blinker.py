"""The blinker backend: wraps any other and tells subscribers what happens.

The signals belong to the class and are shared by all wrappers; the sender is the wrapper. They are sent after the commit, in the thread
that made it, and never for what was refused. To hear what *other* OS processes do, run a `Listener` on the feed.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime as DateTime
from typing import Any, ClassVar

from blinker import Signal as BlinkerSignal

from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    Backend,
    Capability,
    Completion,
    FailedDecision,
    FeedEntry,
    Pending,
    Poll,
    Queue,
    Reuse,
    Turn,
)
from pyworkflow.backend.translate import WITH_PROCESS, signals_of
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError, UnsupportedByBackendError
from pyworkflow.event import Event
from pyworkflow.ledger.invariants import Violation
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask

log = logging.getLogger("pyworkflow.blinker")


class BlinkerBackend(Backend):
    """Sends blinker signals for what happens in another backend.

    Every signal has the keyword ``process_id``; its own keywords are in the guide. A receiver that raises is logged, and disturbs nobody.
    blinker keeps receivers weakly: pass ``weak=False`` to ``connect`` for a function that nothing else holds.

    Args:
        backend: What to wrap; it must have a feed.

    Raises:
        UnsupportedByBackendError: It has none.
    """

    on_process_started: ClassVar = BlinkerSignal()
    on_process_completed: ClassVar = BlinkerSignal()
    on_process_canceled: ClassVar = BlinkerSignal()
    on_process_failed: ClassVar = BlinkerSignal()
    on_process_timedout: ClassVar = BlinkerSignal()
    on_process_terminated: ClassVar = BlinkerSignal()
    on_process_continued: ClassVar = BlinkerSignal()
    on_process_signaled: ClassVar = BlinkerSignal()
    on_process_cancel_requested: ClassVar = BlinkerSignal()
    on_complete_decision_task: ClassVar = BlinkerSignal()
    on_complete_activity_task: ClassVar = BlinkerSignal()
    on_activity_scheduled: ClassVar = BlinkerSignal()
    on_activity_started: ClassVar = BlinkerSignal()
    on_activity_attempt_failed: ClassVar = BlinkerSignal()
    on_activity_completed: ClassVar = BlinkerSignal()
    on_activity_canceled: ClassVar = BlinkerSignal()
    on_activity_cancel_requested: ClassVar = BlinkerSignal()
    on_activity_failed: ClassVar = BlinkerSignal()
    on_activity_timedout: ClassVar = BlinkerSignal()
    on_activity_aborted: ClassVar = BlinkerSignal()
    on_timer_started: ClassVar = BlinkerSignal()
    on_timer_fired: ClassVar = BlinkerSignal()
    on_timer_canceled: ClassVar = BlinkerSignal()
    on_child_process_started: ClassVar = BlinkerSignal()
    on_child_process_closed: ClassVar = BlinkerSignal()

    def __init__(self, backend: Backend) -> None:
        if Capability.FEED not in backend.capabilities:
            raise UnsupportedByBackendError(f"the {backend.name} backend has no feed to tell of")
        self.backend = backend
        self.name = f"blinker+{backend.name}"
        self.capabilities = backend.capabilities
        backend.observe(self.tell)

    def tell(self, entries: list[FeedEntry]) -> None:
        """Send the signals of some events, in their order."""
        for entry in entries:
            for name, told in signals_of(entry):
                signal: BlinkerSignal = getattr(self, name)
                if signal.receivers and name in WITH_PROCESS:
                    told["process"] = self._process(entry)
                self._send(signal, told)

    def _process(self, entry: FeedEntry) -> Process | None:
        try:
            return self.backend.process_by_id(f"{entry.process_id}:{entry.run}")
        except PyworkflowError:
            return None

    def _send(self, signal: BlinkerSignal, told: dict[str, Any]) -> None:
        # One by one, so that a receiver's exception does not keep the others from hearing.
        for receiver in list(signal.receivers_for(self)):
            try:
                receiver(self, **told)
            except Exception:
                log.exception("receiver %r failed", receiver)

    def _completed(self, task: ActivityTask | DecisionTask, outcome: Any) -> None:
        if isinstance(task, ActivityTask):
            told = {"task": task, "result": outcome, "process_id": task.process_id}
            self._send(self.on_complete_activity_task, told)
        elif not isinstance(outcome, FailedDecision):
            told = {"task": task, "decisions": list(outcome), "process_id": task.process.id}
            self._send(self.on_complete_decision_task, told)

    # -- the port: handed on -------------------------------------------------------------------------------------------------------

    def register_workflow(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        timeout: float = 365 * 86_400,
        decision_timeout: float = 60,
        *,
        handles_cancel: bool = False,
    ) -> None:
        self.backend.register_workflow(
            name, category, timeout, decision_timeout, handles_cancel=handles_cancel
        )

    def register_activity(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        scheduled_timeout: float = 60,
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

    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        return self.backend.start_process(process, reuse=reuse)

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
    ) -> list[Process]:
        return self.backend.processes(
            workflow, tag, status=status, parked=parked, limit=limit, after=after
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
        turn = self.backend.turn(completions, polls, wait, stop)
        for completion, refused in zip(completions, turn.errors, strict=True):
            if refused is None:
                self._completed(completion.task, completion.outcome)
        return turn

    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        return self.backend.heartbeat_activity_task(task, details)

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        listed = [decisions] if isinstance(decisions, Decision) else list(decisions)
        self.backend.complete_decision_task(task, listed)
        self._completed(task, listed)

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        self.backend.complete_activity_task(task, result)
        self._completed(task, result)

    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        self.backend.fail_decision_task(task, reason, details)

    def extend_leases(
        self, tasks: Sequence[ActivityTask | DecisionTask], lease: float | None
    ) -> list[bool]:
        return self.backend.extend_leases(tasks, lease)

    def release_tasks(self, tasks: Sequence[ActivityTask | DecisionTask]) -> None:
        self.backend.release_tasks(tasks)

    def wake(self) -> None:
        self.backend.wake()

    def feed(self, cursor: int = 0, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        return self.backend.feed(cursor, limit, wait)

    def feed_end(self) -> int:
        return self.backend.feed_end()

    def queues(self) -> list[Queue]:
        return self.backend.queues()

    def observe(self, observer: Callable[[list[FeedEntry]], None]) -> None:
        self.backend.observe(observer)

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Violation]:
        return self.backend.check(progress)

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        return self.backend.purge(closed_before, limit)

    @property
    def closed(self) -> bool:
        return self.backend.closed

    def close(self) -> None:
        self.backend.close()
