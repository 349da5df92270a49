"""Group commit: what many threads ask for at the same time goes into one transaction."""

from collections.abc import Callable, Sequence
from threading import Lock, RLock
from typing import Any

from pyworkflow.backend.unit import Work


class Submission:
    """Works of one thread that wait for the next commit."""

    __slots__ = ("done", "error", "results", "works")

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.results: list[Any] = []
        self.error: BaseException | None = None
        self.done = False


class GroupCommit:
    """Lets one thread at a time commit for all that have come by then.

    Args:
        commit: Commits a group. It gives each submission its results, or raises what then is the error of all of them.
    """

    def __init__(self, commit: Callable[[list[Submission]], None]) -> None:
        self._commit = commit
        self._queue: list[Submission] = []
        self._queue_lock = Lock()
        self.leader = RLock()

    def submit(self, works: Sequence[Work]) -> list[Any]:
        """Have works committed; return their results."""
        submission = Submission(works)
        with self._queue_lock:
            self._queue.append(submission)
        with self.leader:
            if not submission.done:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._lead(group)
        if submission.error is not None:
            raise submission.error
        return submission.results

    def _lead(self, group: list[Submission]) -> None:
        try:
            self._commit(group)
        except Exception as error:
            # Each of the threads raises it.
            for submission in group:
                submission.error = error
        except BaseException as error:
            for submission in group:
                submission.error = error
            raise
        finally:
            for submission in group:
                submission.done = True
