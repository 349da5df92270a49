"""Workers that do one task at a time, as the first pyworkflow's: `step` by hand, or `run` until stopped."""

import logging
from abc import ABC, abstractmethod
from functools import partial
from logging import Logger
from threading import Event

from pyworkflow.activity import ActivityMonitor
from pyworkflow.backend.base import DEFAULT_CATEGORY, Poll
from pyworkflow.backend.gate import gated
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import PyworkflowError
from pyworkflow.ids import new_id
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.execute import (
    ActivityOutcome,
    DecisionOutcome,
    decide,
    decide_watched,
    execute,
)
from pyworkflow.worker.keeper import LeaseKeeper
from pyworkflow.worker.outbox import Outbox, is_passing

log = logging.getLogger("pyworkflow.worker")

LEASE_SECONDS = 30.0
"""Seconds of a lease that a worker keeps extending."""

POLL_SECONDS = 60.0
"""Seconds of one long poll."""


class SimpleWorker(ABC):
    """The base of both.

    Args:
        manager: Whose tasks to do.
        name: The identity to show; a new one if left out.
        category: The queue to poll.
        lease: Seconds after which others take over from a worker that is gone.
    """

    kind: type[ActivityTask] | type[DecisionTask]

    @gated
    def __init__(
        self,
        manager: Manager,
        name: str | None = None,
        category: str = DEFAULT_CATEGORY,
        *,
        lease: float = LEASE_SECONDS,
    ) -> None:
        self.manager = manager
        self.name = name or new_id()
        self.category = category
        self.lease = lease
        self.keeper = LeaseKeeper(manager, lease)
        self._outbox = Outbox(manager, self.keeper, self.name)
        self._stopped = Event()

    @abstractmethod
    def _names(self) -> tuple[str, ...]:
        """Return what this program has of the kind that this worker does."""

    @abstractmethod
    def _outcome(self, task: ActivityTask | DecisionTask) -> ActivityOutcome | DecisionOutcome:
        """Do a task."""

    def step(self, logger: Logger | None = None, wait: float = 0) -> bool | None:
        """Do one task, if one waits; return True if one did.

        Args:
            logger: Where to log; ``pyworkflow.worker`` if left out.
            wait: Seconds to wait for a task at most, if there is none.
        """
        return self._step(logger or log, wait)

    def _step(self, logger: Logger, wait: float) -> bool | None:
        self._outbox.log = logger
        self._send()
        if not (tasks := self._poll(min(wait, self._outbox.remaining()))):
            return None
        [task] = tasks
        try:
            outcome = self._outcome(task)
        except KeyboardInterrupt:
            self.keeper.give_back([task])
            raise
        if isinstance(outcome, ActivityFailed) and isinstance(task, ActivityTask):
            name = task.activity_execution.activity
            logger.warning("activity %s failed: %s", name, outcome.reason)
        self._outbox.add(task, outcome)
        self._send()
        return True

    def _send(self) -> None:
        """Send what is finished; what the backend refuses is sent again as a failure."""
        while not self._outbox.is_empty:
            self._outbox.exchange([], 0, self._stopped.is_set)

    def run(self) -> None:
        """Do tasks until `stop` is called or the user interrupts.

        Raises:
            BackendUnavailableError: The backend has been closed. While it cannot be reached, it is tried again.
        """
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        try:
            while not self._stopped.is_set():
                try:
                    self._step(log, POLL_SECONDS)
                    backoff.succeed()
                except Exception as error:
                    if self.manager.backend.closed or not is_passing(error):
                        raise
                    if isinstance(error, PyworkflowError):
                        log.warning("the backend cannot be used: %s", error)
                    else:
                        log.exception("the backend failed")
                    self._stopped.wait(backoff.pause())
        except KeyboardInterrupt:
            return
        finally:
            self._leave()

    def _leave(self) -> None:
        """Send what an outage has kept back, and give back what is left."""
        try:
            self._send()
            if held := self.keeper.held():
                self.keeper.give_back(held)
        except PyworkflowError as error:
            held = self.keeper.held()
            self.keeper.let_go(*held)
            log.warning("%d tasks wait for the end of their leases: %s", len(held), error)

    def stop(self) -> None:
        """Have `run` return after the present task."""
        self._stopped.set()
        self.manager.backend.wake()

    def _poll(self, wait: float) -> list[ActivityTask | DecisionTask]:
        """Return the next task, if one comes."""
        lease = self.lease if self.keeper.active else None
        names = self._names()
        poll = Poll(self.kind, self.category, 1, self.name, lease, names)

        def stop() -> bool:
            return self._stopped.is_set() or names != self._names()

        return self._outbox.exchange([poll], wait, stop).tasks


class ActivityWorker(SimpleWorker):
    """Executes activities, one at a time."""

    kind = ActivityTask

    def _names(self) -> tuple[str, ...]:
        return self.manager.activity_names

    def _outcome(self, task: ActivityTask | DecisionTask) -> ActivityOutcome:
        assert isinstance(task, ActivityTask)  # noqa: S101 - that is what was polled
        return execute(self.manager, task, ActivityMonitor(partial(self.keeper.heartbeat, task)))


class DecisionWorker(SimpleWorker):
    """Decides processes, one at a time. A decider that does not return is abandoned.

    Attributes:
        abandons: Whether to decide in a thread that can be abandoned, or in the present one, for as long as it takes.
    """

    kind = DecisionTask
    abandons = True

    def _names(self) -> tuple[str, ...]:
        return self.manager.workflow_names

    def _outcome(self, task: ActivityTask | DecisionTask) -> DecisionOutcome:
        assert isinstance(task, DecisionTask)  # noqa: S101 - that is what was polled
        return (decide_watched if self.abandons else decide)(self.manager, task)
