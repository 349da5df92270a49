"""Group commit: what many threads ask for at the same time goes into one transaction."""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from threading import Lock, RLock, local
from typing import Any

from pyworkflow.backend.reentry import once
from pyworkflow.backend.touches import Planned, Ready
from pyworkflow.backend.unit import Work
from pyworkflow.errors import BackendUnavailableError, PyworkflowError, ReentrantCallError


class Submission:
    """Works of one thread that wait for the next commit."""

    __slots__ = ("_called", "done", "error", "leads", "results", "works")

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.results: list[Any] = []
        self.error: BaseException | None = None
        self.done = False
        self.leads = False
        self._called = Lock()
        self._called.acquire()

    def call(self) -> None:
        """Wake its thread: its works are done, or it is the one to commit."""
        self._called.release()

    def wait(self) -> None:
        """Sleep until called."""
        self._called.acquire()


class Rider(Submission):
    """Works of an idle thread that call for no commit, but go along with those of others until one of them is of use."""

    __slots__ = ("leaves",)

    def __init__(self, works: Sequence[Work]) -> None:
        super().__init__(works)
        self.leaves = False

    def wants(self, ready: Collection[Ready]) -> bool:
        """Tell whether its works could claim one of some tasks."""
        return any(
            not isinstance(work, Planned) or work.touches.wants(ready) for work in self.works
        )

    def call(self) -> None:
        """Wake its thread: its works are done, or it had better look for itself. Called under the lock of the group."""
        if self._called.locked():
            # A signal handler may have woken it in between.
            with suppress(RuntimeError):
                self._called.release()

    def sleep(self, seconds: float) -> None:
        """Sleep until called, but not for long."""
        self._called.acquire(timeout=seconds)


class _Own(local):
    """What belongs to one thread: a lock that it has during its call."""

    def __init__(self) -> None:
        self.lock = RLock()


class GroupCommit:
    """Has one thread at a time commit for all that have come by then.

    Each thread sleeps on a lock of its own: with one for all, those whose works are done stand in the way of the next commit.

    Args:
        commit: Commits a group. It gives each submission its results, or raises what then is the error of all of them.
    """

    def __init__(self, commit: Callable[[list[Submission]], None]) -> None:
        self._commit = commit
        self._queue: list[Submission] = []
        self._riders: list[Rider] = []
        self._taken: list[Rider] = []
        # Signal handlers may wake riders at any moment.
        self._lock = RLock()
        self._own = _Own()
        self._busy = False

    def submit(self, works: Sequence[Work]) -> list[Any]:
        """Have works committed; return their results.

        Raises:
            ReentrantCallError: This thread is in the middle of another call.
        """
        with once(self._own.lock):
            return self._submit(Submission(works))

    def _submit(self, submission: Submission) -> list[Any]:
        with self._lock:
            self._queue.append(submission)
            waits, self._busy = self._busy, True
        if waits:
            try:
                submission.wait()
            except BaseException:
                self._leave(submission)
                raise
        if not submission.done:
            self._lead(submission)
        if submission.error is not None:
            raise submission.error
        return submission.results

    @contextmanager
    def riding(self, rider: Rider) -> Generator[None]:
        """Have works done in each commit of others, until one of them returns something or the block ends; after it, see `results`."""
        with self._lock:
            self._riders.append(rider)
        try:
            yield
        finally:
            with self._lock:
                rider.leaves = True
                if rider in self._riders:
                    self._riders.remove(rider)
                    rider.done = True
            while not rider.done:
                # A commit has taken it along.
                rider.wait()

    def call_riders(self, ready: Collection[Ready] | None = None) -> None:
        """Have riders look for themselves: all, or those who could claim one of some tasks."""
        with self._lock:
            for rider in (*self._riders, *self._taken):
                if ready is None or rider.wants(ready):
                    rider.call()

    def _lead(self, leader: Submission) -> None:
        with self._lock:
            group, self._queue = self._queue, []
            self._taken, self._riders = self._riders, []
        served = False
        try:
            served = self._serve(leader, group, self._taken)
        except BaseException:
            # The others were not interrupted.
            for submission in group:
                submission.error = _stopped()
            raise
        finally:
            with self._lock:
                self._set_down(served)
                self._hand_over()
            for submission in group:
                submission.done = True
                if submission is not leader:
                    submission.call()

    def _serve(
        self, leader: Submission, group: Sequence[Submission], riders: Sequence[Rider]
    ) -> bool:
        """Commit for all of a group; if a work fails by a fault of its own, for each of them alone. Tell whether the riders were served."""
        try:
            self._commit([*group, *riders])
        except (BackendUnavailableError, ReentrantCallError) as error:
            for submission in group:
                submission.error = _error_for(submission is leader, error)
            return False
        except Exception as error:
            if len(group) + len(riders) == 1:
                group[0].error = error
            else:
                for submission in group:
                    self._serve(leader, [submission], [])
            return False
        return True

    def _hand_over(self) -> None:
        """Have the next one commit; called under the lock."""
        self._busy = bool(self._queue)
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].call()

    def _set_down(self, served: bool) -> None:
        """Let riders go for whom there was something, or who want to; called under the lock."""
        for rider in self._riders:
            # It came during this commit, and may have looked before its end.
            rider.call()
        for rider in self._taken:
            if not served:
                # It was not their commit that has failed.
                rider.results = []
            rider.done = rider.leaves or any(rider.results)
            if rider.done:
                rider.call()
            else:
                self._riders.append(rider)
        self._taken = []

    def _leave(self, submission: Submission) -> None:
        """Let a thread go that was interrupted while it slept. What is being committed for it is committed all the same."""
        with self._lock:
            if submission in self._queue:
                self._queue.remove(submission)
                if submission.leads:
                    self._hand_over()


def _error_for(leads: bool, error: PyworkflowError) -> PyworkflowError:
    """Return what a thread raises when the commit for it has failed: an object of its own, for each thread adds its stack."""
    if leads:
        return error
    if isinstance(error, ReentrantCallError):
        return _stopped()
    twin = copy(error)
    twin.__cause__ = error.__cause__
    return twin


def _stopped() -> BackendUnavailableError:
    return BackendUnavailableError("the thread that committed was stopped")
