"""What every store has in common below the port: transactions and snapshots, waiting for news, telling observers."""

import logging
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from threading import RLock
from typing import Any, TypeVar

from pyworkflow.backend.absence import Absence
from pyworkflow.backend.base import Backend, FeedEntry
from pyworkflow.backend.group import GroupCommit, Submission
from pyworkflow.backend.reading import read_events
from pyworkflow.backend.unit import StoredUnit, UncountedEventsError, Work
from pyworkflow.backend.wakeups import Wakeups
from pyworkflow.clock import SECOND, Clock
from pyworkflow.errors import BackendUnavailableError, PayloadError, PyworkflowError
from pyworkflow.forks import ForkAware
from pyworkflow.ledger.sweep import sweep

T = TypeVar("T")

_chance = Random()  # noqa: S311 - no secret; not that of users, which they may have seeded

log = logging.getLogger("pyworkflow.backend")


class Transactions(Backend, ForkAware):
    """A backend whose calls are works that run in transactions of a store.

    Args:
        clock: What to read the time from.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._observers: list[Callable[[list[FeedEntry]], None]] = []
        self._closed = False
        self._begin()
        clock.on_change(self._rouse)

    def _begin(self) -> None:
        """Make what threads share, for the first time or in a child process: there, threads that are gone may hold the locks."""
        self._wakeups = Wakeups()
        self._untold: deque[list[FeedEntry]] = deque()
        self._telling = RLock()
        self._absence = Absence()
        self._uncounted: Sequence[int] = ()
        self._group = GroupCommit(self._commit_noting_absence)

    def after_fork_in_child(self) -> None:
        """Replace what threads share."""
        self._begin()

    def _commit_noting_absence(self, group: list[Submission]) -> None:
        self._absence.begin()
        try:
            self._commit_counted(group)
        except BackendUnavailableError:
            self._absence.fail()
            raise
        self._absence.succeed()

    def _commit_counted(self, group: list[Submission]) -> None:
        """Commit a group; where a damaged history stands in its way, once more after what is there."""
        try:
            self._commit(group)
        except UncountedEventsError as error:
            self._uncounted = error.keys
            try:
                self._commit(group)
            except UncountedEventsError as again:
                raise PayloadError("history", "has more events than can be counted") from again
            finally:
                self._uncounted = ()

    # -- what a store supplies -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _commit(self, group: Sequence[Submission]) -> None:
        """Run the works of a group in one transaction with `_run`, and write down what they changed.

        Stores call `_committed` after the commit, before others can commit.
        """

    @abstractmethod
    def _snapshot(self, work: Callable[[StoredUnit], T]) -> T:
        """Run a work that only reads, on one consistent state."""

    def _write(self, works: Sequence[Work]) -> list[Any]:
        """Run works in one transaction, and return what they returned; a refused one leaves its error in place of a result."""
        self._alive()
        results = self._group.submit(works)
        self._tell_observers()
        return results

    def _moment(self) -> int | None:
        """Return the time that a transaction that began now would have, None if only the store knows."""
        return None

    def _run(self, unit: StoredUnit, group: Sequence[Submission]) -> None:
        """Do what is due, then run the works of a group on a unit."""
        unit.absent_since = self._absence.since(unit.now)
        for key in self._uncounted:
            _count_events(unit, key)
        if unit.next_due() <= unit.now:
            sweep(unit)
        for submission in group:
            submission.results = [_result(work, unit) for work in submission.works]

    def _committed(self, unit: StoredUnit, entries: Callable[[], list[FeedEntry]]) -> None:
        """Wake sleepers and keep what was committed for the observers.

        Args:
            unit: What was committed.
            entries: Makes the entries of the feed; called only if somebody observes.
        """
        self._wakeups.notify(ends=unit.ends())
        if self._observers:
            self._untold.append(entries())

    def _tell_observers(self) -> None:
        """Hand on what was committed, in the order of the commits; never while the store is locked, for observers may call back."""
        if self._untold:
            with self._telling:
                while self._untold:
                    recorded = self._untold.popleft()
                    for observer in list(self._observers):
                        try:
                            observer(recorded)
                        except Exception:
                            # It is committed, perhaps for another thread, and other observers are to hear of it.
                            log.exception("observer %r failed", observer)

    def _do(self, work: Callable[[StoredUnit], T]) -> T:
        result = self._write([work])[0]
        if isinstance(result, PyworkflowError):
            raise result
        done: T = result
        return done

    def _read(self, work: Callable[[StoredUnit], T]) -> T:
        """Run a work that only reads, after doing what is due: time passes for those who only look, too."""
        return self._read_and_deadline(work)[0]

    def _read_and_deadline(self, work: Callable[[StoredUnit], T]) -> tuple[T, int]:
        """Run a work that only reads, after doing what is due; return its result, and in how many microseconds something is due.

        "Due" goes by the store's own time: a clock that is set back does not move that.
        """

        def look(unit: StoredUnit) -> tuple[T, int] | None:
            due_in = unit.next_due() - unit.now
            return (work(unit), due_in) if due_in > 0 else None

        while (result := self._snapshot(look)) is None:
            self._write([])
        return result

    def _alive(self) -> None:
        if self._closed:
            raise BackendUnavailableError(f"this {self.name} backend is closed")

    # -- waiting -------------------------------------------------------------------------------------------------------------------

    def _wait_for(
        self,
        work: Callable[[StoredUnit], T],
        timeout: float | None,
        *,
        ends: bool = False,
    ) -> T:
        """Read again after each commit until the result is true or the time is up; return the last result.

        Args:
            work: Reads.
            timeout: Seconds; None for ever.
            ends: Whether only the end of a process can change the result.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._alive()
            commits = self._wakeups.commits(ends=ends)
            result, due_in = self._read_and_deadline(work)
            left = Wakeups.FLOOR if end is None else end - time.monotonic()
            if result or left <= 0:
                return result
            self._prepare_to_wait()
            self._wakeups.sleep(commits, nap(left, due_in), ends=ends)

    def _prepare_to_wait(self) -> None:
        """Whatever a store needs so that other OS processes' commits reach `_rouse`."""

    def wake(self) -> None:
        """Have every wait of this backend object look again, but for those for the end of a process."""
        self._wakeups.notify(ends=False)
        self._group.call_riders()

    def _rouse(self) -> None:
        """Have every wait look again: the clock was set, or something else was committed than by this backend object."""
        self._wakeups.notify()
        self._group.call_riders()

    def observe(self, observer: Callable[[list[FeedEntry]], None]) -> None:
        """Call back after each commit of this backend object."""
        self._observers.append(observer)

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def close(self) -> None:
        """Let go of files and connections."""
        self._closed = True
        self._rouse()


def nap(left: float, due_in: int) -> float:
    """Return the seconds to sleep before looking again anyway.

    Args:
        left: Seconds that are left to wait.
        due_in: In how many microseconds something is due.
    """
    # At random, so that workers of two releases take turns: a task that one of them gives back a second later would be its own again and again.
    longest = _chance.uniform(Wakeups.FLOOR / 2, Wakeups.FLOOR)
    return max(0.0, min(left, due_in / SECOND, longest))


def _count_events(unit: StoredUnit, key: int) -> None:
    """Have the next event of a damaged history come after all that are there. Its decider cannot read it, `check` tells why."""
    process = unit.process(key)
    if process is not None:
        for first_seq, body in unit.batches(key, process.last_seq):
            try:
                last_seq = first_seq + len(read_events(body)) - 1
            except PayloadError:
                last_seq = first_seq
            process.last_seq = max(process.last_seq, last_seq)
        unit.changed(process)


def _result(work: Work, unit: StoredUnit) -> Any:
    try:
        return work(unit)
    except PyworkflowError as error:
        return error
