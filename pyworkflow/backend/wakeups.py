"""How idle threads wait for work without asking for it again and again."""

import time
from threading import Condition, RLock


class Wakeups:
    """A counter of commits that threads can sleep on.

    A wake-up is a hint: whoever is woken looks for itself, as does whoever has slept for `FLOOR`.
    """

    FLOOR = 1.0
    """Seconds after which a sleeper looks anyway."""

    def __init__(self) -> None:
        # Signal handlers may wake sleepers at any moment.
        lock = RLock()
        self._any = Condition(lock)
        self._end = Condition(lock)
        self._commits = 0
        self._ends = 0

    def commits(self, *, ends: bool = False) -> int:
        """Return the count to pass to `sleep`; take it before looking for work.

        Args:
            ends: Whether to count only what may have ended a process.
        """
        return self._ends if ends else self._commits

    def notify(self, *, ends: bool = True) -> None:
        """Wake all sleepers: something was committed, or is to be looked at.

        Args:
            ends: Whether that may have ended a process. If not, those sleep on who wait for nothing else.
        """
        with self._any:
            self._commits += 1
            self._any.notify_all()
            if ends:
                self._ends += 1
                self._end.notify_all()

    def sleep(self, commits: int, seconds: float, *, ends: bool = False) -> None:
        """Sleep until there was a commit after `commits`, but not for long."""
        end = time.monotonic() + seconds
        condition = self._end if ends else self._any
        with condition:
            while self.commits(ends=ends) == commits and (left := end - time.monotonic()) > 0:
                condition.wait(left)
