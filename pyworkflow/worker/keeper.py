"""Keeping tasks alive from a thread of its own, whatever the activities are busy with: their leases, and heartbeats if they wish."""

import logging
import time
from collections.abc import Hashable, Sequence
from threading import Condition, Lock, Thread

from pyworkflow.backend.base import Capability
from pyworkflow.errors import PyworkflowError, StaleTaskError
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
    """The heartbeats that are sent for an activity."""

    def __init__(self, task: ActivityTask, interval: float) -> None:
        self.task = task
        self.interval = interval
        self.due = time.monotonic() + interval


class LeaseKeeper:
    """Extends the leases of the tasks that a worker holds, three times per lease, and sends the heartbeats of those that wish it.

    Args:
        manager: Whose tasks.
        lease: Seconds of a lease.

    Attributes:
        until: An instant of the monotonic clock after which nothing is kept: whoever is to send the results does not come to it.
    """

    def __init__(self, manager: Manager, lease: float) -> None:
        self._manager = manager
        self._backend = manager.backend
        self._lease = lease
        self._held: dict[Hashable, Task] = {}
        self._beats: dict[Hashable, _Beat] = {}
        self._changed = Condition()
        self._extending = Lock()
        self._stopped = False
        self._thread: Thread | None = None
        self.until: float | None = None
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
            if (self.active or beats) and self._thread is None:
                self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-leases")
                self._thread.start()
            if beats:
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

    def held(self) -> list[Task]:
        """Return the tasks that are kept."""
        with self._changed:
            return list(self._held.values())

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
        extend_at = time.monotonic() + self._lease / BEATS
        while True:
            with self._changed:
                due = min([extend_at, *(beat.due for beat in self._beats.values())])
                self._changed.wait(max(0.0, due - time.monotonic()))
                if self._stopped or not (self._held or self._beats):
                    # Nothing to keep: the next task starts the thread again.
                    self._thread = None
                    return
            try:
                self._send_beats()
                if time.monotonic() >= extend_at:
                    extend_at = time.monotonic() + self._lease / BEATS
                    self._extend()
            except PyworkflowError as error:
                log.warning("leases could not be extended: %s", error)
            except Exception:
                # Without this thread the worker would lose every task that takes longer than a lease.
                log.exception("leases could not be extended")

    def _extend(self) -> None:
        with self._extending:
            held = self.held()
            if not held or not self.active:
                return
            if self._stuck():
                log.warning("a decider does not return: %d tasks are left to others", len(held))
                return
            alive = self._backend.extend_leases(held, self._lease)
        for task, still in zip(held, alive, strict=True):
            if not still:
                self.let_go(task)

    def _stuck(self) -> bool:
        until = self.until
        return until is not None and time.monotonic() > until

    def _send_beats(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [beat for beat in self._beats.values() if beat.due <= now]
            for beat in due:
                beat.due = now + beat.interval
        if self._stuck():
            return
        for beat in due:
            try:
                self._backend.heartbeat_activity_task(beat.task)
            except StaleTaskError:
                self.let_go(beat.task)
