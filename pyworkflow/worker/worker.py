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

from pyworkflow.backend.base import DEFAULT_CATEGORY, Completion, Poll, Turn
from pyworkflow.backend.gate import gated
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.cache import BATCH_BYTES, value_size
from pyworkflow.codec import stored
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError, PyworkflowError
from pyworkflow.failure import describe
from pyworkflow.ids import new_id
from pyworkflow.ledger.rows import PROBATION_SECONDS
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.async_pool import AsyncPool
from pyworkflow.worker.clocks import report_clocks
from pyworkflow.worker.deciders import Deciders
from pyworkflow.worker.execute import ActivityOutcome, DecisionOutcome, Postponed
from pyworkflow.worker.keeper import BEATS, LeaseKeeper
from pyworkflow.worker.outbox import Outbox, is_passing
from pyworkflow.worker.pools import Pool, Report, ThreadPool
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

DECISIONS_AT_ONCE = 100
"""Decisions that are claimed together at most; they take microseconds each."""

FIRST_DECISIONS = 10
"""Decisions of a worker's first claim, which shows how large they are."""

COPIES = 4
"""How often the bytes of a decision are in memory while it is committed, about."""

LINGER_SECONDS = 0.001
"""How long activities that were handed out together may share a thread without a result, and half as long as they may at all: the
results of quick ones are sent together."""

_Finished = tuple[ActivityTask | DecisionTask, ActivityOutcome | DecisionOutcome]

NAMES_SECONDS = 1.0
"""How often a worker that has nothing to poll for looks whether the program has registered something."""

DRAIN_SECONDS = 5.0
"""How long a worker takes nothing new, so that it becomes idle for a suspect; it works for five times as long before it does so again."""

FORESIGHT_SECONDS = 0.1
"""A decider that has taken longer the last time is not asked before the result is recorded: nothing that is finished is to wait for it."""

SLOW_SECONDS = 0.1
"""A decision that takes longer has others made beside it."""


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

    @gated
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
        self._keeper = LeaseKeeper(manager, lease)
        self._outbox = Outbox(manager, self._keeper, self.identity)
        self._deciders = Deciders(manager)
        self._busy = 0
        self._claim_limit = FIRST_DECISIONS
        self._waiting = False
        self._backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        self._stopping = threading.Event()
        self._at_once = False
        self._able: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda names: names
        self._polled = self._names()
        self._isolates = False
        self._alone: ActivityTask | DecisionTask | None = None
        self._alone_until = 0.0
        # The backend has been asked to extend the lease of a suspect by then, and takes it for a suspect no more.
        self._probation = PROBATION_SECONDS + lease / BEATS
        self._survivors: set[int] = set()
        self._drain_until = self._drain_again = 0.0

    # -- from outside --------------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Finish what is begun and have `run` return; a second call gives it back unfinished."""
        self._at_once = self._stopping.is_set()
        self._stopping.set()
        self._finished.put(None)
        self.manager.backend.wake()

    def run(self) -> None:
        """Work until stopped. In the main thread, SIGTERM and SIGINT stop it."""
        report_clocks(self.manager.backend)
        with self._signals():
            pool = self._make_pool(self.manager, self.concurrency, self._report)
            self._isolates = pool.isolates
            pool.heartbeat = self._keeper.heartbeat
            self._keeper.on_loss = pool.abandon
            self._able = pool.able
            try:
                self._work(pool)
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
        # The main thread may hold the backend's locks right now: stop from another one.
        threading.Thread(target=self.stop, daemon=True).start()

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def _work(self, pool: Pool) -> None:
        while not self._stopping.is_set():
            polls = self._polls()
            if not polls and self._outbox.is_empty:
                self._collect(self._patience(NAMES_SECONDS))
            self._round(pool, polls, POLL_SECONDS)

    def _drain(self, pool: Pool) -> None:
        end = time.monotonic() + self.grace
        # What has not been begun is for others.
        self._deciders.clear()
        while self._busy or self._deciders.busy or not self._outbox.is_empty:
            left = end - time.monotonic()
            if left <= 0 or self._at_once:
                break
            if self._outbox.is_empty:
                self._collect(self._patience(left))
            self._round(pool, [], 0)
        self._collect(0)
        self._round(pool, [], 0)

    def _patience(self, longest: float) -> float:
        """Return the seconds that the loop may sleep."""
        return min(longest, self._deciders.remaining(), self._outbox.remaining())

    def _polls(self) -> list[Poll]:
        if self._alone is not None and time.monotonic() >= self._alone_until:
            if isinstance(self._alone, ActivityTask):
                self._survivors.add(id(self._alone))
            self._alone = None
        idle = self._busy == len(self._survivors) and not self._deciders.busy
        if self._alone is not None or (not idle and time.monotonic() < self._drain_until):
            return []
        polls: list[Poll] = []
        free = self.concurrency - self._busy
        workflows, activities = self._polled = self._names()
        if self._decisions and workflows and self._deciders.has_room:
            polls.append(self._poll(DecisionTask, self._claim_limit, workflows, idle))
        if self._activities and activities and free > 0:
            # A suspect that ends its own OS process takes nothing else along.
            polls.append(self._poll(ActivityTask, free, activities, idle or self._isolates))
        return polls

    def _poll(
        self,
        kind: type[ActivityTask] | type[DecisionTask],
        limit: int,
        names: tuple[str, ...],
        idle: bool,
    ) -> Poll:
        lease = self.lease if self._keeper.active else None
        return Poll(kind, self.category, limit, self.identity, lease, names, idle)

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what this program can do now: services, for example, come while it runs."""
        return self.manager.workflow_names, self._able(self.manager.activity_names)

    def _round(self, pool: Pool, polls: list[Poll], wait: float) -> None:
        """Send what is finished, ask for more, and begin it."""
        self._deciders.tend()
        self._collect(0)
        wait = self._patience(wait)
        self._waiting = wait > 0 and self._outbox.is_empty
        try:
            turn = self._outbox.exchange(polls, wait, self._has_news, self._decide_ahead)
        except Exception as error:
            if self.manager.backend.closed or not is_passing(error):
                raise
            self._pause(error)
            return
        finally:
            self._waiting = False
        self._backoff.succeed()
        self._note_suspects(turn)
        self._claim_limit = _claim_limit(turn.tasks) or self._claim_limit
        self._begin(pool, turn.tasks)

    def _note_suspects(self, turn: Turn) -> None:
        """Take nothing beside a suspect, and become idle for one that waits; but not for long, where what runs takes long."""
        now = time.monotonic()
        for task in turn.tasks:
            isolated = self._isolates and isinstance(task, ActivityTask)
            if task.context.get("alone") and not isolated:
                self._alone, self._alone_until = task, now + self._probation
        if turn.suspects and now >= self._drain_again:
            self._drain_until = now + DRAIN_SECONDS
            self._drain_again = self._drain_until + 5 * DRAIN_SECONDS

    def _begin(self, pool: Pool, tasks: Sequence[ActivityTask | DecisionTask]) -> None:
        """Have activities executed, and decide."""
        activities = [task for task in tasks if isinstance(task, ActivityTask)]
        decisions = [task for task in tasks if isinstance(task, DecisionTask)]
        if activities:
            self._submit(pool, activities)
        shares_thread = len(activities) > 1
        if decisions:
            batch = self._deciders.submit(decisions, self._report)
            if shares_thread and not batch.wait(LINGER_SECONDS):
                pool.spread()
                shares_thread = False
            if not batch.wait(SLOW_SECONDS):
                self._deciders.tend()
        if shares_thread:
            self._linger(pool)
        elif activities and not decisions:
            # Nothing else is to be done, and waiting for the backend costs more than a quick activity.
            self._collect(LINGER_SECONDS)

    def _submit(self, pool: Pool, activities: list[ActivityTask]) -> None:
        self._busy += len(activities)
        try:
            pool.submit(activities)
        except Exception as error:  # no thread can be started, for example
            log.exception("%d activities cannot be begun", len(activities))
            for task in activities:
                self._take(task, Postponed(describe(error).line, begun=False))

    def _linger(self, pool: Pool) -> None:
        """Give activities that are over at once the time to be; have none of the others wait."""
        end = time.monotonic() + 2 * LINGER_SECONDS
        while pool.waiting():
            before = self._busy
            self._collect(LINGER_SECONDS)
            if self._busy == before or time.monotonic() > end:
                pool.spread()
                return

    def _decide_ahead(self, completions: list[Completion]) -> list[Completion]:
        """Add what is decided on results, where that can be decided before they are recorded."""
        if not self._decisions or self._stopping.is_set() or not self._deciders.has_room:
            return completions
        if self._alone is not None:
            # Its result is not to be lost with a decision that crashes.
            return completions
        tasks = [self._foresee(completion) for completion in completions]
        if not (foreseen := [task for task in tasks if task is not None]):
            return completions
        outcomes: dict[int, DecisionOutcome] = {}

        def note(task: DecisionTask, outcome: DecisionOutcome) -> None:
            outcomes[id(task)] = outcome

        if not self._deciders.submit(foreseen, note).wait(FORESIGHT_SECONDS):
            for task in foreseen:
                self._deciders.seconds.setdefault(task.process.workflow, FORESIGHT_SECONDS)
        decided: list[Completion] = []
        for completion, ahead in zip(completions, tasks, strict=True):
            outcome = None if ahead is None else outcomes.get(id(ahead))
            if ahead is not None and isinstance(outcome, list):
                then = Completion(ahead, outcome)
                completion = Completion(completion.task, completion.outcome, then)
            decided.append(completion)
        return decided

    def _foresee(self, completion: Completion) -> DecisionTask | None:
        """Return the decision that a result will call for, if it can be made before the result is recorded."""
        task, result = completion.task, completion.outcome
        if completion.then is not None or not isinstance(result, ActivityResult):
            return None
        assert isinstance(task, ActivityTask)  # noqa: S101 - it has a result
        try:
            foreseen = self.manager.backend.foresee(task, result, self.identity)
        except BackendUnavailableError:
            raise
        except Exception:  # it is recorded and decided in two steps
            log.exception("the decision on a result of %s is not foreseen", task.process_id)
            return None
        if (
            foreseen is None
            or foreseen.process.category != self.category
            or foreseen.process.workflow not in self.manager.workflow_names
            or self._deciders.seconds.get(foreseen.process.workflow, 0) > FORESIGHT_SECONDS
        ):
            return None
        return foreseen

    def _pause(self, error: Exception) -> None:
        """Wait before trying again; what is finished is kept."""
        if isinstance(error, PyworkflowError):
            log.warning("the backend cannot be used: %s", error)
        else:
            log.error("the backend failed", exc_info=error)
        if self._stopping.is_set():
            time.sleep(0.1)
        else:
            self._stopping.wait(self._backoff.pause())

    def _report(
        self, task: ActivityTask | DecisionTask, outcome: ActivityOutcome | DecisionOutcome
    ) -> None:
        """Take an outcome, in any thread."""
        self._finished.put((task, outcome))
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

    def _take(
        self, task: ActivityTask | DecisionTask, outcome: ActivityOutcome | DecisionOutcome
    ) -> None:
        self._busy -= isinstance(task, ActivityTask)
        self._survivors.discard(id(task))
        if task is self._alone:
            self._alone = None
        self._outbox.add(task, outcome)


def _claim_limit(tasks: Sequence[ActivityTask | DecisionTask]) -> int:
    """Return how many decisions like these are to be claimed together; 0 if there are none."""
    processes = [task.process for task in tasks if isinstance(task, DecisionTask)]
    if not processes:
        return 0
    # Decisions are often as large as the input, and a commit has several copies of them.
    size = sum(
        2 * one.history.size + COPIES * value_size(stored(one, "input")) for one in processes
    )
    return max(1, min(DECISIONS_AT_ONCE, BATCH_BYTES * len(processes) // size))
