"""Workers that do one task at a time, as the first pyworkflow's: `step` by hand, or `run` until stopped."""

import logging
from abc import ABC, abstractmethod
from functools import partial
from logging import Logger
from threading import Event

from pyworkflow.activity import ActivityMonitor
from pyworkflow.backend.base import DEFAULT_CATEGORY, Completion, FailedDecision, Poll
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    StaleTaskError,
    UnseenEventsError,
)
from pyworkflow.ids import new_id
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.execute import decide, execute, failed_decision
from pyworkflow.worker.foreign import own_tasks
from pyworkflow.worker.keeper import LeaseKeeper

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
        self._stopped = Event()

    @abstractmethod
    def _names(self) -> tuple[str, ...]:
        """Return what this program has of the kind that this worker does."""

    @abstractmethod
    def _handle(self, task: ActivityTask | DecisionTask, logger: Logger) -> None:
        """Do a task and record what became of it."""

    def step(self, logger: Logger | None = None, wait: float = 0) -> bool | None:
        """Do one task, if one waits; return True if one did.

        Args:
            logger: Where to log; ``pyworkflow.worker`` if left out.
            wait: Seconds to wait for a task at most, if there is none.
        """
        return self._step(logger or log, wait)

    def _step(self, logger: Logger, wait: float) -> bool | None:
        task = self._poll(wait)
        if task is None:
            return None
        self.keeper.hold([task])
        if not own_tasks(self.manager, self.keeper, [task]):
            return None
        try:
            self._handle(task, logger)
        except StaleTaskError as error:
            logger.warning("what %s did does not count: %s", self.name, error)
        except KeyboardInterrupt:
            self.keeper.give_back([task])
            raise
        finally:
            self.keeper.let_go(task)
        return True

    def run(self) -> None:
        """Do tasks until `stop` is called or the user interrupts.

        Raises:
            BackendUnavailableError: The backend has been closed. While it cannot be reached, it is tried again.
        """
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while not self._stopped.is_set():
            try:
                self._step(log, POLL_SECONDS)
                backoff.succeed()
            except KeyboardInterrupt:
                return
            except BackendUnavailableError as error:
                if self.manager.backend.closed:
                    raise
                log.warning("the backend cannot be used: %s", error)
                self._stopped.wait(backoff.pause())

    def stop(self) -> None:
        """Have `run` return after the present task."""
        self._stopped.set()
        self.manager.backend.wake()

    def _poll(self, wait: float) -> ActivityTask | DecisionTask | None:
        """Return the next task."""
        lease = self.lease if self.keeper.active else None
        names = self._names()
        poll = Poll(self.kind, self.category, 1, self.name, lease, names)

        def stop() -> bool:
            return self._stopped.is_set() or names != self._names()

        return next(iter(self.manager.backend.turn(polls=[poll], wait=wait, stop=stop).tasks), None)


class ActivityWorker(SimpleWorker):
    """Executes activities, one at a time."""

    kind = ActivityTask

    def _names(self) -> tuple[str, ...]:
        return self.manager.activity_names

    def _handle(self, task: ActivityTask | DecisionTask, logger: Logger) -> None:
        assert isinstance(task, ActivityTask)  # noqa: S101 - that is what was polled
        monitor = ActivityMonitor(partial(self.manager.heartbeat, task))
        result = execute(self.manager, task, monitor)
        if isinstance(result, ActivityFailed):
            logger.warning(
                "activity %s failed: %s", task.activity_execution.activity, result.reason
            )
        if result is None:
            self.keeper.hand_off([task])
            return
        try:
            self.manager.complete_task(task, result)
        except InvalidRequestError as error:
            self.manager.complete_task(task, ActivityFailed(str(error), None, type(error).__name__))


class DecisionWorker(SimpleWorker):
    """Decides processes, one at a time."""

    kind = DecisionTask

    def _names(self) -> tuple[str, ...]:
        return self.manager.workflow_names

    def _handle(self, task: ActivityTask | DecisionTask, logger: Logger) -> None:
        assert isinstance(task, DecisionTask)  # noqa: S101 - that is what was polled
        outcome = decide(self.manager, task)
        error = self.manager.backend.turn([Completion(task, outcome)]).errors[0]
        if isinstance(error, UnseenEventsError):
            return
        if isinstance(error, InvalidRequestError):
            outcome = failed_decision(error)
            error = self.manager.backend.turn([Completion(task, outcome)]).errors[0]
        if error is not None:
            raise error
        if isinstance(outcome, FailedDecision):
            logger.error(
                "workflow %s failed to decide %s: %s",
                task.process.workflow,
                task.process.id,
                outcome.reason,
                extra={"details": outcome.details},
            )
