"""What a worker has finished, until the backend has recorded it. Workers of every kind talk with their backend through this."""

import logging
import time
from collections.abc import Callable, Sequence

from pyworkflow.backend.base import Completion, FailedDecision, Poll, Turn
from pyworkflow.backoff import Backoff
from pyworkflow.errors import (
    BackendUnavailableError,
    PayloadError,
    PyworkflowError,
    StaleTaskError,
    UnseenEventsError,
)
from pyworkflow.failure import describe
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.execute import ActivityOutcome, DecisionOutcome, Postponed, failed_decision
from pyworkflow.worker.foreign import own_tasks
from pyworkflow.worker.keeper import LeaseKeeper

Task = ActivityTask | DecisionTask


class Outbox:
    """Sends outcomes, keeps them while the backend cannot be reached, and deals with its answers.

    Args:
        manager: Whose tasks.
        keeper: Keeps the leases until the outcomes are recorded.
        identity: The worker's name, for the log.

    Attributes:
        log: Where to log.
    """

    def __init__(self, manager: Manager, keeper: LeaseKeeper, identity: str) -> None:
        self._manager = manager
        self._keeper = keeper
        self._identity = identity
        self._completions: list[Completion] = []
        self._handed_off: list[ActivityTask] = []
        self._postponed: list[tuple[float, Task, bool]] = []
        self._pauses = Backoff(first=0.5)
        self._outage = False
        self.log = logging.getLogger("pyworkflow.worker")

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._completions and not self._handed_off

    def remaining(self) -> float:
        """Return the seconds until a postponed task is to be given back; infinity if there is none."""
        due = min((at for at, *_ in self._postponed), default=float("inf"))
        return max(0.0, due - time.monotonic())

    def add(self, task: Task, outcome: ActivityOutcome | DecisionOutcome) -> None:
        """Take the outcome of a task."""
        if isinstance(outcome, Postponed):
            self.log.warning("%s is done again later: %s", _name(task), outcome.reason)
            due = time.monotonic() + self._pauses.pause()
            self._postponed.append((due, task, outcome.begun))
        elif outcome is not None:
            self._completions.append(Completion(task, outcome))
        elif isinstance(task, ActivityTask):
            self._handed_off.append(task)

    def exchange(
        self,
        polls: Sequence[Poll],
        wait: float,
        stop: Callable[[], bool],
        prepare: Callable[[list[Completion]], list[Completion]] | None = None,
    ) -> Turn:
        """Send what there is, and return what the polls got. The leases of the tasks are kept from now on. Tasks that the program lacks are released.

        Args:
            polls: What to ask for.
            wait: Seconds to wait for a task, if there is nothing to send.
            stop: Ends the waiting when it returns true.
            prepare: Completes what is to be sent.

        Raises:
            BackendUnavailableError: What there was is kept for the next call.
        """
        try:
            if self._outage:
                # Before anything else: what is asked of the backend may end leases that have run out meanwhile.
                self._keeper.extend()
                self._outage = False
            if prepare is not None and self._completions:
                self._completions = prepare(self._completions)
            self._return_tasks()
            turn = self._turn(polls, wait, stop)
        except BackendUnavailableError:
            self._outage = True
            raise
        self._keeper.hold(turn.tasks)
        own = own_tasks(self._manager, self._keeper, turn.tasks)
        return Turn(turn.errors, own, turn.suspects)

    def _turn(self, polls: Sequence[Poll], wait: float, stop: Callable[[], bool]) -> Turn:
        sent = self._completions
        if not sent and not polls:
            return Turn([], [])
        try:
            turn = self._manager.backend.turn(sent, polls, 0 if sent else wait, stop)
        except BackendUnavailableError:
            raise
        except Exception:
            if not sent:
                raise
            self.log.exception("outcomes cannot be sent together, and are sent one by one")
            self._send_each()
            return Turn([], [])
        self._completions = []
        for completion, refusal in zip(sent, turn.errors, strict=True):
            self._settle(completion, refusal)
        return turn

    def _send_each(self) -> None:
        """Send outcomes alone: one that the backend fails at must not hold back the others."""
        for completion in list(self._completions):
            refusal: PyworkflowError | None
            try:
                [refusal] = self._manager.backend.turn([completion]).errors
            except BackendUnavailableError:
                raise
            except Exception as error:
                self.log.exception("the outcome of %s cannot be sent", _name(completion.task))
                refusal = PayloadError("outcome", describe(error).line)
            self._completions.remove(completion)
            self._settle(completion, refusal)

    def _settle(self, completion: Completion, refusal: PyworkflowError | None) -> None:
        """Deal with the backend's answer to a completion."""
        task, outcome = completion.task, completion.outcome
        if isinstance(refusal, BackendUnavailableError):
            self._completions.append(completion)
            return
        failed = isinstance(outcome, FailedDecision | ActivityFailed)
        if refusal is None or isinstance(refusal, UnseenEventsError):
            if not failed:
                self._pauses.succeed()
        elif isinstance(refusal, StaleTaskError):
            self.log.warning("what %s did does not count: %s", self._identity, refusal)
        elif not failed:
            self.add(task, _refused(task, refusal))
            return
        else:
            # Its lease ends by itself.
            self.log.error("the failure of %s cannot be recorded: %s", _name(task), refusal)
        self._keeper.let_go(task)
        if refusal is None and isinstance(outcome, FailedDecision):
            assert isinstance(task, DecisionTask)  # noqa: S101 - of a decision
            self.log.error(
                "workflow %s failed to decide %s: %s",
                task.process.workflow,
                task.process.id,
                outcome.reason,
                extra={"details": outcome.details},
            )

    def _return_tasks(self) -> None:
        """Hand off, and give back what was postponed for long enough."""
        now = time.monotonic()
        due = [postponed for postponed in self._postponed if postponed[0] <= now]
        try:
            if self._handed_off:
                self._keeper.hand_off(self._handed_off)
            for begun in (True, False):
                if tasks := [task for _, task, has_begun in due if has_begun is begun]:
                    self._keeper.give_back(tasks, unseen=not begun)
        except BackendUnavailableError:
            raise
        except Exception:  # their leases end by themselves
            self.log.exception("%d tasks cannot be returned", len(self._handed_off) + len(due))
        self._handed_off = []
        self._postponed = [postponed for postponed in self._postponed if postponed[0] > now]


def is_passing(error: Exception) -> bool:
    """Tell whether a worker goes on after an error of its backend: all but what a setting of the worker causes may pass."""
    if isinstance(error, BackendUnavailableError | PayloadError):
        return True
    return not isinstance(error, PyworkflowError)


def _refused(task: Task, error: PyworkflowError) -> FailedDecision | ActivityFailed:
    """Return the outcome to record instead of one that was refused."""
    if isinstance(task, DecisionTask):
        return failed_decision(error)
    description = describe(error)
    return ActivityFailed(description.reason, None, description.kind)


def _name(task: Task) -> str:
    if isinstance(task, DecisionTask):
        return f"the decision of {task.process.id}"
    return f"activity {task.activity_execution.activity} of {task.process_id}"
