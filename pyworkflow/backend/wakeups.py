"""How idle threads wait for work without asking for it again and again."""

import time
from threading import Condition


class Wakeups:
    """A counter of commits that threads can sleep on.

    A wake-up is a hint: whoever is woken looks for itself, and nobody sleeps for longer than `FLOOR`.
    """

    FLOOR = 1.0
    """Seconds after which a sleeper looks anyway."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._commits = 0

    def commits(self) -> int:
        """Return the count to pass to `sleep`; take it before looking for work."""
        return self._commits

    def notify(self) -> None:
        """Wake all sleepers: something was committed, or is to be looked at."""
        with self._condition:
            self._commits += 1
            self._condition.notify_all()

    def sleep(self, commits: int, seconds: float) -> None:
        """Sleep until there was a commit after `commits`, but not for long."""
        end = time.monotonic() + min(seconds, self.FLOOR)
        with self._condition:
            while self._commits == commits and (left := end - time.monotonic()) > 0:
                self._condition.wait(left)
