"""Keeping tasks alive from a thread of its own, whatever the activities are busy with: their leases, and heartbeats if they wish."""

import logging
import time
from collections.abc import Hashable, Sequence
from threading import Condition, Lock, Thread

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.errors import PyworkflowError, StaleTaskError
from pyworkflow.task import ActivityTask, DecisionTask

log = logging.getLogger("pyworkflow.worker")

Task = ActivityTask | DecisionTask


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
    """Extends the leases of the tasks that a worker holds, three times per lease, and sends the heartbeats it is asked to send.

    Args:
        backend: Whose leases.
        lease: Seconds of a lease.
    """

    def __init__(self, backend: Backend, lease: float) -> None:
        self._backend = backend
        self._lease = lease
        self._held: dict[Hashable, Task] = {}
        self._beats: dict[Hashable, _Beat] = {}
        self._changed = Condition()
        self._extending = Lock()
        self._stopped = False
        self._thread: Thread | None = None
        self.active = Capability.LEASES in backend.capabilities

    def hold(self, tasks: Sequence[Task]) -> None:
        """Begin to keep tasks."""
        if not tasks:
            return
        with self._changed:
            self._held.update((key_of(task), task) for task in tasks)
            self._start(self.active)

    def beat(self, task: ActivityTask, interval: float) -> None:
        """Send heartbeats for an activity, with some seconds between, until it is let go of."""
        with self._changed:
            self._beats[key_of(task)] = _Beat(task, interval)
            self._start(True)
            self._changed.notify()

    def _start(self, needed: bool) -> None:
        if needed and self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-leases")
            self._thread.start()

    def let_go(self, task: Task) -> None:
        """Stop keeping a task."""
        with self._changed:
            self._held.pop(key_of(task), None)
            self._beats.pop(key_of(task), None)

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
            for task in tasks:
                self.let_go(task)
            if self.active:
                self._backend.extend_leases(tasks, None)

    def close(self) -> None:
        """Stop, and give back what is still held."""
        with self._changed:
            self._stopped = True
            self._beats.clear()
            self._changed.notify()
        held = self.held()
        if held and self.active:
            try:
                self._backend.release_tasks(held)
            except PyworkflowError as error:
                log.warning("%d tasks wait for the end of their leases: %s", len(held), error)

    def _run(self) -> None:
        extend_at = time.monotonic() + self._lease / 3
        while True:
            with self._changed:
                due = min([extend_at, *(beat.due for beat in self._beats.values())])
                self._changed.wait(max(0.0, due - time.monotonic()))
                if self._stopped:
                    return
            try:
                self._send_beats()
                if time.monotonic() >= extend_at:
                    extend_at = time.monotonic() + self._lease / 3
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
            alive = self._backend.extend_leases(held, self._lease)
        for task, still in zip(held, alive, strict=True):
            if not still:
                self.let_go(task)

    def _send_beats(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [beat for beat in self._beats.values() if beat.due <= now]
            for beat in due:
                beat.due = now + beat.interval
        for beat in due:
            try:
                self._backend.heartbeat_activity_task(beat.task)
            except StaleTaskError:
                self.let_go(beat.task)
