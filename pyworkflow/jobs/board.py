"""Where the tasks of a job stand, as the driver knows it, and what they have said last."""

from collections.abc import Callable, Collection, Mapping
from threading import Lock

from pyworkflow.jobs.definition import TaskDefinition
from pyworkflow.jobs.eventbus.execution import (
    UNSUCCESSFUL,
    ExecutionState,
    ExecutionStateTransition,
)


class Board:
    """The state of each task. Safe for several threads.

    Args:
        tasks: The tasks of the job.
    """

    def __init__(self, tasks: Mapping[str, TaskDefinition]) -> None:
        self._states = dict.fromkeys(tasks, ExecutionState.INIT)
        self._followers: dict[str, list[str]] = {name: [] for name in tasks}
        for name, task in tasks.items():
            for dependency in task.dependencies:
                self._followers[dependency].append(name)
        self._lock = Lock()
        self._tell: Callable[[ExecutionStateTransition], None] = lambda _: None

    def begin(
        self,
        tell: Callable[[ExecutionStateTransition], None],
        *,
        done: Collection[str],
        skipped: Collection[str],
    ) -> None:
        """Put all tasks where they begin, and tell of that and of what comes.

        Args:
            tell: Takes each change.
            done: Tasks that had completed before.
            skipped: Tasks that were not chosen.
        """
        self._tell = tell
        for name in self._states:
            if name in done:
                self.move(name, ExecutionState.COMPLETED)
            elif name in skipped:
                self.move(name, ExecutionState.SKIP)
            else:
                self.move(name, ExecutionState.PENDING)

    def move(self, name: str, state: ExecutionState) -> None:
        """Put a task into a state; what waits for it to no avail is put into DEFAULTED."""
        with self._lock:
            moves = [(name, state)]
            while moves:
                name, state = moves.pop(0)
                before = self._states[name]
                if before == state:
                    continue
                self._states[name] = state
                self._tell(ExecutionStateTransition(name, before, state))
                if state in UNSUCCESSFUL:
                    waiting = (f for f in self._followers[name] if self._waits(f))
                    moves += [(follower, ExecutionState.DEFAULTED) for follower in waiting]

    def _waits(self, name: str) -> bool:
        return self._states[name] in (ExecutionState.INIT, ExecutionState.PENDING)

    def states(self) -> dict[str, ExecutionState]:
        """Return the state of each task, in the order of the job."""
        with self._lock:
            return dict(self._states)

    def by_letter(self) -> dict[str, set[str]]:
        """Return the tasks in each state, by its letter."""
        found: dict[str, set[str]] = {}
        for name, state in self.states().items():
            found.setdefault(state.value, set()).add(name)
        return found
