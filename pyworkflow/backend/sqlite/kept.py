"""What one transaction leaves to the next."""

from collections.abc import Iterable

from pyworkflow.backend.touches import Ready
from pyworkflow.cache import EVENT_BYTES, ROW_BYTES
from pyworkflow.ledger.rows import (
    ActivityRow,
    ActivityTypeRow,
    DecisionRow,
    ProcessRow,
    WorkflowRow,
)


class Kept:
    """Rows as a transaction left them: good for the next one, unless another connection has committed in between.

    Attributes:
        empty: Until when the database has nothing ready, by the kind of tasks, their category and their name.
        size: About how many bytes of rows have been put in, also of those that are gone again.
    """

    __slots__ = (
        "activities",
        "counters",
        "decisions",
        "empty",
        "processes",
        "size",
        "types",
        "workflows",
    )

    def __init__(self) -> None:
        self.processes: dict[int, ProcessRow | None] = {}
        self.decisions: dict[int, DecisionRow | None] = {}
        self.activities: dict[int, ActivityRow | None] = {}
        self.workflows: dict[str, WorkflowRow | None] = {}
        self.types: dict[str, ActivityTypeRow | None] = {}
        self.counters: dict[str, int] = {}
        self.empty: dict[Ready, int] = {}
        self.size = 0

    def grow(self, rows: Iterable[ProcessRow | DecisionRow | ActivityRow]) -> None:
        """Count rows that were put in."""
        for row in rows:
            self.size += EVENT_BYTES
            if isinstance(row, ActivityRow):
                self.size += len(row.input) + len(row.details or b"")

    @property
    def full(self) -> bool:
        """Whether there is too much to go on: it is less work to begin with nothing than to know what can go."""
        return self.size > ROW_BYTES
