"""The blinker backend: wraps any other and tells subscribers what happens.

The signals belong to the class and are shared by all wrappers; the sender is the wrapper. They are sent after the commit, in the thread
that made it, and never for what was refused. To hear what *other* OS processes do, run a `Listener` on the feed. A backend without a feed
tells what its calls and its answers to polls tell.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, ClassVar

from blinker import Signal as BlinkerSignal

from pyworkflow.backend import calls
from pyworkflow.backend.base import (
    Backend,
    Capability,
    Completion,
    FailedDecision,
    FeedEntry,
    Poll,
    Reuse,
    Turn,
)
from pyworkflow.backend.translate import WITH_PROCESS, signals_of
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import ActivityAttemptEvent, ActivityEvent, DecisionEvent
from pyworkflow.forks import ForkAware, watch_forks
from pyworkflow.process import Process
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask

log = logging.getLogger("pyworkflow.blinker")


class BlinkerBackend(Wrapper, ForkAware):
    """Sends blinker signals for what happens in another backend.

    Every signal has the keyword ``process_id``; its own keywords are in the guide. A receiver that raises is logged, and disturbs nobody.
    blinker keeps receivers weakly: pass ``weak=False`` to ``connect`` for a function that nothing else holds.

    Args:
        backend: What to wrap.
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
        super().__init__(backend)
        self.name = f"blinker+{backend.name}"
        self._lock = RLock()
        self._announced: dict[Key, list[_Announcement]] = {}
        self._shown: calls.Shown | None = None
        if Capability.FEED in backend.capabilities:
            backend.observe(self.tell)
        else:
            self._shown = calls.Shown()
        watch_forks(self)

    def after_fork_in_child(self) -> None:
        """Replace what threads share: completions that were under way are the parent's."""
        self._lock = RLock()
        self._announced = {}
        if self._shown is not None:
            self._shown = calls.Shown()

    def tell(self, entries: list[FeedEntry]) -> None:
        """Send the signals of some events, in their order."""
        for entry in entries:
            if self._announced and (made_by := self._made_by(entry)) is not None:
                self._announce(made_by)
            self._tell(entry, None)

    def _tell(self, entry: FeedEntry, process: Process | None) -> None:
        for name, told in signals_of(entry):
            signal: BlinkerSignal = getattr(self, name)
            if signal.receivers and name in WITH_PROCESS:
                told["process"] = self._process(entry) if process is None else process
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

    # -- calls of a backend without a feed -----------------------------------------------------------------------------------------

    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        process_id = self.backend.start_process(process, reuse=reuse)
        if self._shown is not None:
            self._tell(*calls.started(process, process_id))
        return process_id

    def signal_process(
        self, process_id: str, name: str, data: Json = None, *, signal_id: str | None = None
    ) -> None:
        self.backend.signal_process(process_id, name, data, signal_id=signal_id)
        if self._shown is not None:
            self._tell(*calls.signaled(process_id, name, data, signal_id))

    def cancel_process(self, process_id: str, details: Json = None) -> None:
        self.backend.cancel_process(process_id, details)
        if self._shown is not None:
            self._tell(*calls.cancel_requested(process_id, details))

    def terminate_process(
        self, process_id: str, reason: str | None = None, details: Json = None
    ) -> None:
        self.backend.terminate_process(process_id, reason, details)
        if self._shown is not None:
            self._tell(*calls.terminated(process_id, reason, details))

    # -- completions ---------------------------------------------------------------------------------------------------------------

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        with self._telling(completions) as outcomes:
            turn = self.backend.turn(completions, polls, wait, stop)
            outcomes.extend(turn.errors)
        if self._shown is not None:
            for task in turn.tasks:
                for told in self._shown.polled(task):
                    self._tell(*told)
        return turn

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        listed = [decisions] if isinstance(decisions, Decision) else list(decisions)
        with self._telling([Completion(task, listed)]) as outcomes:
            self.backend.complete_decision_task(task, listed)
            outcomes.append(None)

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        with self._telling([Completion(task, result)]) as outcomes:
            self.backend.complete_activity_task(task, result)
            outcomes.append(None)

    @contextmanager
    def _telling(
        self, completions: Sequence[Completion]
    ) -> Generator[list[PyworkflowError | None]]:
        """Send the signals of completions that are not refused: ahead of those of the events that they make."""
        announced = [_Announcement(completion) for completion in completions]
        with self._lock:
            for item in announced:
                self._announced.setdefault(item.key, []).append(item)
        outcomes: list[PyworkflowError | None] = []
        try:
            yield outcomes
        finally:
            with self._lock:
                for item in announced:
                    waiting = self._announced[item.key]
                    waiting.remove(item)
                    if not waiting:
                        del self._announced[item.key]
        for item, refused in zip(announced, outcomes, strict=True):
            if refused is None:
                # It made no event: an empty list of decisions, or a backend without a feed.
                self._announce(item)
                if self._shown is not None:
                    for told in calls.completed(item.completion.task, item.completion.outcome):
                        self._tell(*told)

    def _made_by(self, entry: FeedEntry) -> "_Announcement | None":
        with self._lock:
            waiting = self._announced.get(_key_of(entry))
            return waiting[0] if waiting else None

    def _announce(self, item: "_Announcement") -> None:
        task, outcome = item.completion.task, item.completion.outcome
        if item.told or isinstance(outcome, FailedDecision):
            return
        item.told = True
        if isinstance(task, ActivityTask):
            told: dict[str, Any] = {"result": outcome, "process_id": task.process_id}
            self._send(self.on_complete_activity_task, {"task": task} | told)
        else:
            told = {"decisions": outcome, "process_id": task.process.id}
            self._send(self.on_complete_decision_task, {"task": task} | told)


Key = tuple[str | None, str]


class _Announcement:
    """A completion that is under way, and whether its signal has been sent."""

    def __init__(self, completion: Completion) -> None:
        task = completion.task
        self.completion = completion
        self.told = False
        self.key: Key = (
            (task.process_id, task.activity_execution.id)
            if isinstance(task, ActivityTask)
            else (task.process.id, DECISION)
        )


DECISION = ":"
"""Stands where an activity's id stands; no id has a colon."""


def _key_of(entry: FeedEntry) -> Key:
    event = entry.event
    if isinstance(event, ActivityEvent | ActivityAttemptEvent):
        return entry.process_id, event.activity_execution.id
    return entry.process_id, DECISION if isinstance(event, DecisionEvent) else ""
