"""Moves open work to a clock that is set back, so that nothing becomes due early, or is stuck."""

from pyworkflow.ledger.rows import NEVER, SCHEDULED, STARTED, ActivityRow, DecisionRow, TimerRow


class SetBack:
    """A clock that was ahead, and shows the right time again.

    What is dated later than the right time can only have been recorded while the clock was ahead. It moves along. What is older stays: a
    timer of a year that was begun before still ends when it was to end.

    Args:
        now: The right time.
        ahead: Microseconds by which the clock is set back.
    """

    def __init__(self, now: int, ahead: int) -> None:
        self._now = now
        self._ahead = ahead

    def past(self, instant: int) -> int:
        """Return an instant that was recorded."""
        return instant - self._ahead if instant > self._now else instant

    def move_timer(self, row: TimerRow) -> None:
        """Have a timer fire as long after the right time as it was to fire after the wrong one."""
        if row.since > self._now:
            row.since -= self._ahead
            if row.deadline < NEVER:
                row.deadline -= self._ahead

    def move_decision(self, row: DecisionRow) -> None:
        """Keep the place of a decision in its queue, and what is left of its lease."""
        if row.ready < NEVER:
            row.ready = self.past(row.ready)
        if row.state == STARTED:
            row.deadline -= self._ahead
            row.limit -= self._ahead if row.limit < NEVER else 0

    def move_activity(self, row: ActivityRow) -> None:
        """Keep the place of an activity in its queue, and what is left of its timeouts and its lease."""
        if row.state == SCHEDULED:
            row.ready = self.past(row.ready)
        row.since = self.past(row.since)
        row.heartbeat = self.past(row.heartbeat)
        if row.lease is not None:
            row.lease -= self._ahead
        row.set_deadline()
