"""Keeping the leases of tasks alive from a thread of its own, whatever the activities are busy with."""

import logging
from collections.abc import Hashable
from threading import Event, Lock, Thread

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.task import ActivityTask, DecisionTask

log = logging.getLogger("pyworkflow.worker")


def key_of(task: ActivityTask | DecisionTask) -> Hashable:
    """Return what tells one lease from another."""
    return str(task.context.get("token", id(task)))


class LeaseKeeper:
    """Extends the leases of the tasks that a worker holds, three times per lease.

    Args:
        backend: Whose leases.
        lease: Seconds of a lease.
    """

    def __init__(self, backend: Backend, lease: float) -> None:
        self._backend = backend
        self._lease = lease
        self._held: dict[Hashable, ActivityTask | DecisionTask] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._thread: Thread | None = None
        self.active = Capability.LEASES in backend.capabilities

    def hold(self, tasks: list[ActivityTask | DecisionTask]) -> None:
        """Begin to keep tasks."""
        with self._lock:
            self._held.update((key_of(task), task) for task in tasks)
        if self.active and self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-leases")
            self._thread.start()

    def let_go(self, task: ActivityTask | DecisionTask) -> None:
        """Stop keeping a task."""
        with self._lock:
            self._held.pop(key_of(task), None)

    def held(self) -> list[ActivityTask | DecisionTask]:
        """Return the tasks that are kept."""
        with self._lock:
            return list(self._held.values())

    def hand_off(self, task: ActivityTask) -> None:
        """Leave a task to whoever will complete it: only its timeouts end it from now on."""
        self.let_go(task)
        if self.active:
            self._backend.extend_leases([task], None)

    def close(self) -> None:
        """Stop, and give back what is still held."""
        self._stopped.set()
        held = self.held()
        if held and self.active:
            self._backend.release_tasks(held)

    def _run(self) -> None:
        while not self._stopped.wait(self._lease / 3):
            held = self.held()
            if not held:
                continue
            try:
                alive = self._backend.extend_leases(held, self._lease)
            except BackendUnavailableError as error:
                log.warning("leases could not be extended: %s", error)
                continue
            for task, still in zip(held, alive, strict=True):
                if not still:
                    self.let_go(task)
