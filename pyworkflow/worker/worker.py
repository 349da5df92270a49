"""The worker for production: decides and executes many tasks at a time, and leaves in good order."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

from pyworkflow.backend.base import DEFAULT_CATEGORY, Completion, FailedDecision, Poll, Turn
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    PyworkflowError,
    StaleTaskError,
    UnseenEventsError,
)
from pyworkflow.ids import new_id
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.execute import decide, failed_decision
from pyworkflow.worker.foreign import own_tasks
from pyworkflow.worker.keeper import LeaseKeeper
from pyworkflow.worker.pools import AsyncPool, Pool, Report, ThreadPool
from pyworkflow.worker.process_pool import ProcessPool
from pyworkflow.worker.simple import LEASE_SECONDS, POLL_SECONDS

log = logging.getLogger("pyworkflow.worker")

PoolFactory = Callable[[Manager, int, Report], Pool]
"""Is given the manager, the number of activities at a time, and what takes the results."""

POOLS: dict[str, PoolFactory] = {
    "thread": ThreadPool,
    "asyncio": AsyncPool,
    "process": ProcessPool,
}

_Finished = tuple[ActivityTask, ActivityResult | None]

DECISIONS_AT_ONCE = 100
"""Decisions that are claimed together; they take microseconds each."""

LINGER_SECONDS = 0.001
"""How long activities that were handed out together may share a thread without a result, and half as long as they may at all: the
results of quick ones are sent together."""

NAMES_SECONDS = 1.0
"""How often a worker that has nothing to poll for looks whether the program has registered something."""

FORESIGHT_SECONDS = 0.1
"""A decider that has taken longer the last time is not asked before the result is recorded: nothing that is finished is to wait for it."""


class Worker:
    """Polls a queue for decisions and activities, and does many beside each other.

    Tasks are claimed and completed in batches, one transaction for each round. A thread of its own keeps their leases alive. On SIGTERM or
    SIGINT (or `stop`) it polls no more, finishes within the grace period, and gives the rest back; a second signal ends it at once.

    Args:
        manager: Whose tasks to do.
        category: The queue.
        concurrency: Activities at a time.
        pool: Where they run: ``thread``, ``asyncio`` or ``process``, or what makes a pool of one's own from manager, size and report.
        decisions: Whether to decide.
        activities: Whether to execute activities.
        lease: Seconds after which others take over from a worker that is gone.
        grace: Seconds to finish in when stopped.
        identity: What to be called; ``host-pid-…`` if left out.

    Raises:
        InvalidRequestError: An argument is out of its range.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        category: str = DEFAULT_CATEGORY,
        concurrency: int = 8,
        pool: str | PoolFactory = "thread",
        decisions: bool = True,
        activities: bool = True,
        lease: float = LEASE_SECONDS,
        grace: float = 30.0,
        identity: str | None = None,
    ) -> None:
        if isinstance(pool, str) and pool not in POOLS:
            raise InvalidRequestError(f"pool {pool!r}", f"must be one of {', '.join(POOLS)}")
        if concurrency < 1:
            raise InvalidRequestError("concurrency", f"must be 1 or more, not {concurrency}")
        self.manager = manager
        self.category = category
        self.concurrency = concurrency
        self.lease = lease
        self.grace = grace
        self.identity = identity or f"{socket.gethostname()}-{os.getpid()}-{new_id()[:6]}"
        self._make_pool: PoolFactory = POOLS[pool] if isinstance(pool, str) else pool
        self._decisions = decisions
        self._activities = activities
        self._finished: SimpleQueue[_Finished | None] = SimpleQueue()
        self._unsent: list[Completion] = []
        self._handed_off: list[ActivityTask] = []
        self._keeper = LeaseKeeper(manager, lease)
        self._busy = 0
        self._waiting = False
        self._backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        self._stopping = threading.Event()
        self._at_once = False
        self._deciding = False
        self._took: dict[str, float] = {}
        self._polled = self._names()

    # -- from outside --------------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Finish what is begun and have `run` return; a second call gives it back unfinished."""
        self._at_once = self._stopping.is_set()
        self._stopping.set()
        self._finished.put(None)
        self.manager.backend.wake()

    def run(self) -> None:
        """Work until stopped. In the main thread, SIGTERM and SIGINT stop it."""
        with self._signals():
            pool = self._make_pool(self.manager, self.concurrency, self._report)
            try:
                self._work(pool)
                self._drain(pool)
            except KeyboardInterrupt:
                if not self._stopping.is_set():
                    raise
                # What is finished is sent all the same.
                self._at_once = True
                self._drain(pool)
            finally:
                pool.close()
                self._keeper.close()

    @contextmanager
    def _signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set() and self._deciding:
            # The decider has the main thread, and nothing else would end it.
            raise KeyboardInterrupt
        # The main thread may hold the backend's locks right now: stop from another one.
        threading.Thread(target=self.stop, daemon=True).start()

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def _work(self, pool: Pool) -> None:
        while not self._stopping.is_set():
            polls = self._polls()
            if not polls and not self._unsent and not self._handed_off:
                self._collect(NAMES_SECONDS)
            self._round(pool, polls, POLL_SECONDS)

    def _drain(self, pool: Pool) -> None:
        end = time.monotonic() + self.grace
        while self._busy or self._unsent or self._handed_off:
            left = end - time.monotonic()
            if left <= 0 or self._at_once:
                break
            if not self._unsent and not self._handed_off:
                self._collect(left)
            self._round(pool, [], 0)
        self._collect(0)
        self._round(pool, [], 0)

    def _polls(self) -> list[Poll]:
        polls: list[Poll] = []
        free = self.concurrency - self._busy
        workflows, activities = self._polled = self._names()
        if self._decisions and workflows:
            polls.append(self._poll(DecisionTask, DECISIONS_AT_ONCE, workflows))
        if self._activities and activities and free > 0:
            polls.append(self._poll(ActivityTask, free, activities))
        return polls

    def _poll(
        self, kind: type[ActivityTask] | type[DecisionTask], limit: int, names: tuple[str, ...]
    ) -> Poll:
        lease = self.lease if self._keeper.active else None
        return Poll(kind, self.category, limit, self.identity, lease, names)

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what this program has now: services, for example, come while it runs."""
        return self.manager.workflow_names, self.manager.activity_names

    def _round(self, pool: Pool, polls: list[Poll], wait: float) -> None:
        """Send what is finished, ask for more, and begin it."""
        self._collect(0)
        sent, self._unsent = [self._decided_on(done) for done in self._unsent], []
        turn = Turn([], [])
        try:
            if self._handed_off:
                self._keeper.hand_off(self._handed_off)
                self._handed_off = []
            if sent or polls:
                self._waiting = wait > 0 and not sent
                turn = self.manager.backend.turn(sent, polls, 0 if sent else wait, self._has_news)
                self._waiting = False
        except BackendUnavailableError as error:
            self._unsent = sent + self._unsent
            self._pause(error)
            return
        self._backoff.succeed()
        over = [c.task for c, no in zip(sent, turn.errors, strict=True) if self._settle(c, no)]
        self._keeper.let_go(*over)
        self._keeper.hold(turn.tasks)
        self._begin(pool, own_tasks(self.manager, self._keeper, turn.tasks))

    def _begin(self, pool: Pool, tasks: Sequence[ActivityTask | DecisionTask]) -> None:
        """Have activities executed, and decide."""
        activities = [task for task in tasks if isinstance(task, ActivityTask)]
        if activities:
            self._busy += len(activities)
            pool.submit(activities)
        waiting, until = len(activities) > 1, time.monotonic() + LINGER_SECONDS
        for task in tasks:
            if isinstance(task, DecisionTask):
                self._unsent.append(self._decide(task))
                if waiting and time.monotonic() >= until:
                    pool.spread()
                    waiting = False
        if waiting:
            self._linger(pool)
        elif activities and not self._unsent:
            # Nothing else is to be done, and waiting for the backend costs more than a quick activity.
            self._collect(LINGER_SECONDS)

    def _linger(self, pool: Pool) -> None:
        """Give activities that are over at once the time to be; have none of the others wait."""
        end = time.monotonic() + 2 * LINGER_SECONDS
        while pool.waiting():
            before = self._busy
            self._collect(LINGER_SECONDS)
            if self._busy == before or time.monotonic() > end:
                pool.spread()
                return

    def _decide(self, task: DecisionTask) -> Completion:
        name, began = task.process.workflow, time.monotonic()
        workflow = self.manager.find_workflow(name)
        if workflow is not None:
            self._keeper.until = began + workflow.decision_timeout
        self._deciding = True
        try:
            return Completion(task, decide(self.manager, task))
        finally:
            self._deciding = False
            self._keeper.until = None
            self._took[name] = time.monotonic() - began

    def _decided_on(self, done: Completion) -> Completion:
        """Add what is decided on a result, where that can be told before the result is recorded."""
        task, result = done.task, done.outcome
        if (
            not self._decisions
            or self._stopping.is_set()
            or done.then is not None
            or not isinstance(task, ActivityTask)
            or not isinstance(result, ActivityResult)
        ):
            return done
        foreseen = self.manager.backend.foresee(task, result, self.identity)
        if (
            foreseen is None
            or foreseen.process.category != self.category
            or foreseen.process.workflow not in self.manager.workflow_names
            or self._took.get(foreseen.process.workflow, 0) > FORESIGHT_SECONDS
        ):
            return done
        then = self._decide(foreseen)
        return done if isinstance(then.outcome, FailedDecision) else Completion(task, result, then)

    def _pause(self, error: BackendUnavailableError) -> None:
        """Wait before trying again; what is finished is kept."""
        if self.manager.backend.closed:
            raise error
        log.warning("the backend cannot be used: %s", error)
        if self._stopping.is_set():
            time.sleep(0.1)
        else:
            self._stopping.wait(self._backoff.pause())

    def _report(self, task: ActivityTask, result: ActivityResult | None) -> None:
        """Take a result from the pool, in any thread."""
        self._finished.put((task, result))
        # Waking costs every sleeper of the backend a look, so only the first result that the loop waits for does it.
        if self._waiting:
            self._waiting = False
            self.manager.backend.wake()

    def _has_news(self) -> bool:
        return (
            self._stopping.is_set() or not self._finished.empty() or self._polled != self._names()
        )

    def _collect(self, wait: float) -> None:
        """Take all results that are there; wait for the first, or for `stop`."""
        try:
            finished = self._finished.get(timeout=wait) if wait else self._finished.get_nowait()
            while True:
                if finished is not None:
                    self._take(*finished)
                finished = self._finished.get_nowait()
        except Empty:
            return

    def _take(self, task: ActivityTask, result: ActivityResult | None) -> None:
        self._busy -= 1
        if result is None:
            self._handed_off.append(task)
        else:
            self._unsent.append(Completion(task, result))

    def _settle(self, completion: Completion, refused: PyworkflowError | None) -> bool:
        """Deal with the backend's answer to a completion; return whether the task is over."""
        task, outcome = completion.task, completion.outcome
        if isinstance(refused, InvalidRequestError) and not isinstance(refused, UnseenEventsError):
            answer = (
                failed_decision(refused)
                if isinstance(task, DecisionTask)
                else ActivityFailed(str(refused), None, type(refused).__name__)
            )
            self._unsent.append(Completion(task, answer))
            return False
        if isinstance(refused, StaleTaskError):
            log.warning("what %s did does not count: %s", self.identity, refused)
        elif isinstance(outcome, FailedDecision) and isinstance(task, DecisionTask):
            log.error(
                "workflow %s failed to decide %s: %s",
                task.process.workflow,
                task.process.id,
                outcome.reason,
                extra={"details": outcome.details},
            )
        return True
