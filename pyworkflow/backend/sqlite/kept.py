"""What one transaction leaves to the next."""

from pyworkflow.backend.touches import Ready
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
    """

    __slots__ = ("activities", "counters", "decisions", "empty", "processes", "types", "workflows")

    MOST = 20_000
    """Rows to keep."""

    def __init__(self) -> None:
        self.processes: dict[int, ProcessRow | None] = {}
        self.decisions: dict[int, DecisionRow | None] = {}
        self.activities: dict[int, ActivityRow | None] = {}
        self.workflows: dict[str, WorkflowRow | None] = {}
        self.types: dict[str, ActivityTypeRow | None] = {}
        self.counters: dict[str, int] = {}
        self.empty: dict[Ready, int] = {}

    def full(self) -> bool:
        """Tell whether there are too many rows to go on."""
        return len(self.processes) + len(self.decisions) + len(self.activities) > self.MOST
