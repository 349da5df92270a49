"""Every error that pyworkflow raises on purpose.

::

    PyworkflowError
    ├── InvalidRequestError           a name, tag, limit or argument that is not acceptable
    │   ├── PayloadError              a value that is not JSON within the limits, or that the store refuses
    │   └── InvalidDecisionError      a decision that cannot apply; its whole list is refused
    │       ├── UnseenEventsError     a closing decision while events came that it has not seen
    │       └── UnregisteredNameError a decision for an activity or workflow that nobody has registered yet
    ├── UnknownResourceError
    │   ├── UnknownProcessError
    │   ├── UnknownWorkflowError
    │   ├── UnknownActivityError
    │   └── UnknownDecisionError
    ├── StaleTaskError                the lease of a task ended, or the task was completed before
    │   ├── StaleActivityTaskError    (also an UnknownActivityError)
    │   └── StaleDecisionTaskError    (also an UnknownDecisionError)
    ├── StaleCursorError              a cursor of events that the store does not hold: a backup was restored, or it is another store
    ├── ProcessAlreadyExistsError
    ├── ProcessClosedError
    ├── UnreadableProcessError        what is stored of a process is damaged, or was written by a newer pyworkflow
    ├── UnsupportedByBackendError
    ├── TimedOutError                 a wait ended before what it waited for
    ├── NondeterminismError           replayed code does not decide what the history holds
    │   ├── OtherReleaseError         because another release of the code has decided it
    │   └── UnansweredQueryError      a query was asked of code of another release
    ├── StalledError                  a decision after which nothing can move its process
    ├── ReentrantCallError            a call from within another one of the same thread, such as by a signal handler
    ├── BlockedDecisionError          replayed code holds its thread up
    ├── ForbiddenInWorkflowError      replayed code does what only an activity may
    └── BackendUnavailableError       the store cannot be reached, read or written now
        ├── BackendFullError          no space left for the store
        ├── BackendOutageError        its server is away or restarts, or others hold its locks or connections: it comes back by itself
        ├── BackendReadOnlyError      the store cannot be written
        ├── BackendReplacedError      the store's file is not the one that was opened
        └── BackendVersionError       the store was written by a newer pyworkflow, or is none at all

Outcomes of activities (`ActivityFailed` and its family) are results, not errors of this tree, even where they may be raised.
The names ending in ``Exception`` are those of the first pyworkflow and stay.
"""

from pyworkflow.failure import leaves


class PyworkflowError(Exception):
    """The root of the tree. Arguments are kept in ``args``, so every error pickles and copies."""


class InvalidRequestError(PyworkflowError, ValueError):
    """A request names something that cannot be: a bad id, tag, limit or argument.

    Attributes:
        what: The culprit, for example ``"process id 'a:b'"``.
        reason: What is wrong with it.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


class PayloadError(InvalidRequestError):
    """A value that is not JSON, is too large or too deep, or that the store refuses, such as a number out of its range."""


class InvalidDecisionError(InvalidRequestError):
    """A decision that cannot apply. None of its list was applied and the task stays open."""


class UnseenEventsError(InvalidDecisionError):
    """A closing decision was refused: events came that its decider has not seen.

    The process is decided again with them at once.
    """


class UnregisteredNameError(InvalidDecisionError):
    """A decision names an activity or workflow that nobody has registered yet. Nothing was written; its deployment may follow."""


class UnknownResourceError(PyworkflowError, LookupError):
    """Something that was named does not exist.

    Attributes:
        name: The name or id that was asked for.
    """

    kind = "resource"

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"unknown {self.kind} {self.name!r}" + (f": {self.detail}" if self.detail else "")


class UnknownProcessError(UnknownResourceError):
    """No process has this id."""

    kind = "process"


class UnknownWorkflowError(UnknownResourceError):
    """No workflow of this name is registered."""

    kind = "workflow"


class UnknownActivityError(UnknownResourceError):
    """No activity of this name is registered, or no open activity has this id."""

    kind = "activity"


class UnknownDecisionError(UnknownResourceError):
    """No open decision belongs to this task."""

    kind = "decision"


class StaleTaskError(PyworkflowError):
    """The lease of a task has ended, or the task was completed before: nothing was changed."""

    kind = "task"

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"stale {self.kind} of {self.name!r}" + (f": {self.detail}" if self.detail else "")


class StaleActivityTaskError(StaleTaskError, UnknownActivityError):
    """The lease of an activity task has ended, or the task was completed before."""

    kind = "activity task"


class StaleDecisionTaskError(StaleTaskError, UnknownDecisionError):
    """The lease of a decision task has ended, or the task was completed before."""

    kind = "decision task"


class StaleCursorError(PyworkflowError):
    """The events that a cursor stands for are not in the store: a backup was restored, or it is another store.

    Who followed the feed has heard of events that never happened, and would miss some that did.
    """


class ProcessAlreadyExistsError(PyworkflowError):
    """A different process with this id exists, and the reuse policy does not allow another.

    Attributes:
        process_id: The id in question.
    """

    def __init__(self, process_id: str, detail: str = "") -> None:
        super().__init__(process_id, detail)
        self.process_id = process_id
        self.detail = detail

    def __str__(self) -> str:
        return f"process {self.process_id!r} already exists" + (
            f": {self.detail}" if self.detail else ""
        )


class ProcessClosedError(PyworkflowError):
    """The process is closed and takes no more events.

    Attributes:
        process_id: The id of the process.
        status: How it ended.
    """

    def __init__(self, process_id: str, status: str = "closed") -> None:
        super().__init__(process_id, status)
        self.process_id = process_id
        self.status = status

    def __str__(self) -> str:
        return f"process {self.process_id!r} is {self.status}"


class UnreadableProcessError(PyworkflowError):
    """What is stored of a process cannot be read: it is damaged, or was written by a newer pyworkflow. `check` says more.

    Attributes:
        process_id: The process.
        reason: What cannot be read, and why.
    """

    def __init__(self, process_id: str, reason: str) -> None:
        super().__init__(process_id, reason)
        self.process_id = process_id
        self.reason = reason

    def __str__(self) -> str:
        return f"process {self.process_id!r} cannot be read: {self.reason}"


class UnsupportedByBackendError(PyworkflowError):
    """The backend does not have the capability that a call or a decision needs."""


class TimedOutError(PyworkflowError, TimeoutError):
    """A wait ended before what it waited for happened."""


class NondeterminismError(PyworkflowError):
    """Replayed code does not decide what the history of its process holds. Nothing was written.

    Attributes:
        process_id: The process.
        comparison: History and code side by side.
    """

    def __init__(self, process_id: str | None, comparison: str) -> None:
        super().__init__(process_id, comparison)
        self.process_id = process_id
        self.comparison = comparison

    def __str__(self) -> str:
        return f"process {self.process_id!r}: {self.comparison}"


class OtherReleaseError(NondeterminismError):
    """The history was decided by a release with changes (`ReplayWorkflow.patched`) that this code does not have. That release can go on."""


class StalledError(PyworkflowError):
    """A decision leaves its process open with nothing that could move it. Its process is parked at once, until its code is repaired."""


class ReentrantCallError(PyworkflowError, RuntimeError):
    """A signal handler or a finalizer has called a backend while its own thread was in the middle of a call. Nothing was changed.

    Let the handler set a flag, or put what is to be done into a queue, and call later.
    """


class UnansweredQueryError(NondeterminismError):
    """A query was asked of a program whose code is not of the release that decided the process. Nothing is wrong with the process."""


class BlockedDecisionError(PyworkflowError):
    """Replayed code did not come back to its event loop in time; nobody waits for it any more."""


class ForbiddenInWorkflowError(PyworkflowError, RuntimeError):
    """Replayed code did what cannot be replayed; the message says what to do instead."""


class BackendUnavailableError(PyworkflowError):
    """The store of a backend cannot be used now. The call may be tried again."""


class BackendFullError(BackendUnavailableError):
    """The store has no space left. Nothing of the call was kept."""


class BackendOutageError(BackendUnavailableError):
    """The server of the store is away or starts again, or others hold its locks or connections. It comes back by itself."""


class BackendReadOnlyError(BackendUnavailableError):
    """The store cannot be written."""


class BackendReplacedError(BackendUnavailableError):
    """The file of the store was deleted, replaced or truncated while it was open, or a fork has left it to the parent.

    The backend object is of no more use: open the store again.
    """


class BackendVersionError(BackendUnavailableError):
    """The store's schema is newer than this pyworkflow, or the file is no store of ours."""


def is_outage(error: BaseException) -> bool:
    """Tell whether an exception says that a store could not be reached; of a group, whether one of its exceptions does."""
    return any(
        isinstance(leaf, BackendUnavailableError) and not isinstance(leaf, BackendVersionError)
        for leaf in leaves(error)
    )


TimedOutException = TimedOutError
UnknownResourceException = UnknownResourceError
UnknownProcessException = UnknownProcessError
UnknownActivityException = UnknownActivityError
UnknownDecisionException = UnknownDecisionError
