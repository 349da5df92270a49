"""Keeping tasks alive from a thread of its own, whatever the activities are busy with: their leases, and heartbeats if they wish."""

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from threading import Condition, Lock, Thread

from pyworkflow.backend.base import Capability
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.codec import Json
from pyworkflow.errors import (
    BackendUnavailableError,
    PyworkflowError,
    StaleActivityTaskError,
    StaleTaskError,
)
from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask, DecisionTask

log = logging.getLogger("pyworkflow.worker")

Task = ActivityTask | DecisionTask

BEATS = 3
"""Extensions per lease, and heartbeats per heartbeat timeout: two may fail."""


def key_of(task: Task) -> Hashable:
    """Return what tells one lease from another."""
    return str(task.context.get("token", id(task)))


class _Beat:
    """Heartbeats that the keeper sends for an activity: one that could not be sent, or one each interval.

    Args:
        task: The task.
        interval: Seconds between two; None for a single one.
        details: Those of the heartbeat.
    """

    def __init__(self, task: ActivityTask, interval: float | None, details: Json = None) -> None:
        self.task = task
        self.interval = interval
        self.details = details
        self.due = time.monotonic() + (interval or 0)


class LeaseKeeper:
    """Extends the leases of the tasks that a worker holds, three times per lease, and sends the heartbeats of those that wish it.

    While the backend cannot be reached it tries again soon, and extends before it does anything else. Heartbeats of that time are sent then.

    Args:
        manager: Whose tasks.
        lease: Seconds of a lease.

    Attributes:
        on_loss: Called with each activity whose lease has ended before its outcome came; raises nothing.
    """

    def __init__(self, manager: Manager, lease: float) -> None:
        self.on_loss: Callable[[ActivityTask], None] = lambda task: None
        self._manager = manager
        self._backend = manager.backend
        self._lease = lease
        self._held: dict[Hashable, Task] = {}
        self._beats: dict[Hashable, _Beat] = {}
        self._cancels: set[Hashable] = set()
        self._changed = Condition()
        self._extending = Lock()
        self._stopped = False
        self._thread: Thread | None = None
        self.active = Capability.LEASES in self._backend.capabilities

    def hold(self, tasks: Sequence[Task]) -> None:
        """Begin to keep tasks."""
        if not tasks:
            return
        held = {key_of(task): task for task in tasks}
        beats = {key: beat for key, task in held.items() if (beat := self._beat(task)) is not None}
        with self._changed:
            self._held.update(held)
            self._beats.update(beats)
            if self.active or beats:
                self._wake(sooner=bool(beats))

    def _wake(self, *, sooner: bool) -> None:
        """Have the thread run; `sooner` if something may be due before what it waits for. Called under the lock."""
        if self._stopped:
            return
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-leases")
            self._thread.start()
        elif sooner:
            self._changed.notify()

    def _beat(self, task: Task) -> "_Beat | None":
        if isinstance(task, DecisionTask):
            return None
        activity = self._manager.find_activity(task.activity_execution.activity)
        if activity is None or not activity.auto_heartbeat:
            return None
        return _Beat(task, activity.heartbeat_timeout / BEATS)

    def let_go(self, *tasks: Task) -> None:
        """Stop keeping tasks."""
        with self._changed:
            for task in tasks:
                key = key_of(task)
                self._held.pop(key, None)
                if self._beats:
                    self._beats.pop(key, None)
                self._cancels.discard(key)

    def held(self) -> list[Task]:
        """Return the tasks that are kept."""
        with self._changed:
            return list(self._held.values())

    def heartbeat(self, task: ActivityTask, details: Json = None) -> bool:
        """Record a sign of life of an activity; return whether it has been asked to cancel itself.

        While the backend cannot be reached, the last answer is returned, and the heartbeat is sent when it is back.

        Raises:
            StaleTaskError: The task is no longer the worker's.
            BackendUnavailableError: The backend has been closed.
        """
        key = key_of(task)
        try:
            cancel = self._manager.heartbeat(task, details)
        except BackendUnavailableError as error:
            if self._backend.closed:
                raise
            log.warning("a heartbeat is sent later: %s", error)
            with self._changed:
                if key not in self._held:
                    execution = task.activity_execution
                    raise StaleActivityTaskError(execution.id, "its lease has ended") from error
                regular = self._beats.get(key)
                interval = None if regular is None else regular.interval
                beat = _Beat(task, interval, details)
                beat.due = time.monotonic()
                self._beats[key] = beat
                self._wake(sooner=True)
                return key in self._cancels
        with self._changed:
            if cancel:
                self._cancels.add(key)
            if (unsent := self._beats.get(key)) is not None and unsent.interval is None:
                # This one says more.
                del self._beats[key]
        return cancel

    def hand_off(self, tasks: Sequence[ActivityTask]) -> None:
        """Leave tasks to whoever will complete them: only their timeouts end them from now on.

        Raises:
            BackendUnavailableError: Try again; they are not kept any more.
        """
        # An extension under way would give the lease an end again.
        with self._extending:
            self.let_go(*tasks)
            if self.active:
                self._backend.extend_leases(tasks, None)

    def give_back(self, tasks: Sequence[Task], *, unseen: bool = False) -> None:
        """Let another worker have tasks at once; see `Backend.release_tasks`."""
        self.let_go(*tasks)
        if self.active:
            self._backend.release_tasks(tasks, unseen=unseen)

    def close(self) -> None:
        """Stop, and give back what is still held."""
        with self._changed:
            self._stopped = True
            self._beats.clear()
            self._changed.notify()
        if held := self.held():
            try:
                self.give_back(held)
            except PyworkflowError as error:
                log.warning("%d tasks wait for the end of their leases: %s", len(held), error)

    def _run(self) -> None:
        backoff = Backoff(longest=min(LONGEST_OUTAGE_PAUSE, self._lease / BEATS))
        extend_at = time.monotonic() + self._lease / BEATS
        pause_until = 0.0
        while self._wait(extend_at, pause_until):
            try:
                if time.monotonic() >= extend_at:
                    self.extend()
                    extend_at = time.monotonic() + self._lease / BEATS
                self._send_beats()
                backoff.succeed()
                pause_until = 0.0
            except Exception as error:
                # Without this thread the worker would lose every task that takes longer than a lease.
                expected = isinstance(error, PyworkflowError)
                log.warning("leases could not be extended: %s", error, exc_info=not expected)
                extend_at = pause_until = time.monotonic() + backoff.pause()

    def _wait(self, extend_at: float, pause_until: float) -> bool:
        """Wait until something is due; return False, and forget the thread, if nothing is kept."""
        with self._changed:
            while not self._stopped and (self._held or self._beats):
                due = min([extend_at, *(beat.due for beat in self._beats.values())])
                now = time.monotonic()
                if (left := max(due, pause_until) - now) <= 0:
                    return True
                self._changed.wait(left)
            # The next task starts the thread again.
            self._thread = None
            return False

    def extend(self) -> None:
        """Extend the leases of all that is held, now.

        Raises:
            BackendUnavailableError: Try again soon.
        """
        with self._extending:
            held = self.held()
            if not held or not self.active:
                return
            alive = self._backend.extend_leases(held, self._lease)
        self._lose([task for task, still in zip(held, alive, strict=True) if not still])

    def _lose(self, tasks: Sequence[Task]) -> None:
        self.let_go(*tasks)
        for task in tasks:
            if isinstance(task, ActivityTask):
                self.on_loss(task)

    def _send_beats(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [(key, beat) for key, beat in self._beats.items() if beat.due <= now]
        for key, beat in due:
            try:
                if self._manager.heartbeat(beat.task, beat.details):
                    self._cancels.add(key)
            except BackendUnavailableError:
                # Still due.
                raise
            except PyworkflowError as error:
                if isinstance(error, StaleTaskError):
                    self._lose([beat.task])
                else:
                    log.warning("a heartbeat of %s is refused: %s", beat.task.process_id, error)
            with self._changed:
                if self._beats.get(key) is not beat:
                    continue
                if beat.interval is None:
                    del self._beats[key]
                else:
                    beat.details = None
                    beat.due = time.monotonic() + beat.interval
