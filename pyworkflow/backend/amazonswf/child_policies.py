"""Child policies, applied by this package: SWF applies its own only when a process is terminated or times out, and to grandchildren.

A child carries its policy in the envelope of its input. Whoever ends the parent applies it at once; where nobody of this package did (the
parent timed out, another client ended it, a worker died in between), whoever polls the child's next decision finds the parent closed.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import RLock

from pyworkflow.backend.amazonswf.client import Calls, Fault
from pyworkflow.backend.amazonswf.executions import Execution, Executions, execution_of, status_of
from pyworkflow.decision import ChildPolicy
from pyworkflow.errors import PyworkflowError, UnknownProcessError
from pyworkflow.process import Status
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.state import State
from pyworkflow.swf.words import CANCEL_SIGNAL

log = logging.getLogger("pyworkflow.amazonswf")

REASON = "its parent has closed"

CHECK_SECONDS = 60.0
"""How long a parent that was open is taken to be open."""

MAX_PARENTS = 10_000
"""Parents that are remembered as open."""

Bound = tuple[str, str]
"""The id and the policy of a child."""


def bound_children(state: State) -> list[Bound]:
    """Return the children that the end of a process concerns: those that have started and are not abandoned."""
    children = [(child.decision, child.run) for child in state.children.values()]
    return [
        (decision.process.id, decision.child_policy)
        for decision, run in children
        if run is not None and decision.child_policy != ChildPolicy.ABANDON
    ]


class ChildPolicies:
    """Ends children with their parents.

    Args:
        calls: Calls SWF.
        executions: Finds and reads executions.
        payloads: How values become texts.
        monotonic: Tells seconds.
    """

    def __init__(
        self,
        calls: Calls,
        executions: Executions,
        payloads: Payloads,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._executions = executions
        self._payloads = payloads
        self._monotonic = monotonic
        self._lock = RLock()
        self._open_parents: OrderedDict[Execution, float] = OrderedDict()

    # -- from the parent's side ----------------------------------------------------------------------------------------------------

    def parent_with_children(self, process_id: str) -> Execution | None:
        """Return the run that an id means if it has open children; None if it has none, or SWF's lists do not have it yet.

        Raises:
            BackendUnavailableError: The call may be tried again.
        """
        try:
            info = self._executions.find(process_id)
            if "openCounts" not in info:
                info = self._executions.describe(execution_of(info))
        except UnknownProcessError:
            return None
        is_open = status_of(info) is Status.OPEN
        return (
            execution_of(info)
            if is_open and info["openCounts"]["openChildWorkflowExecutions"]
            else None
        )

    def after_termination(self, parent: Execution) -> None:
        """Apply the policies of the children of a process that has just been terminated."""
        try:
            self._apply_all(bound_children(self._executions.read(parent).state))
        except PyworkflowError as error:
            _left_to_children(parent, error)

    def after_decision(self, parent: Execution, children: Iterable[Bound]) -> None:
        """Apply the policies of children if the decision that was to close their parent has closed it: SWF may have refused that."""
        children = list(children)
        try:
            if children and self._is_closed(parent):
                self._apply_all(children)
        except PyworkflowError as error:
            _left_to_children(parent, error)

    def _is_closed(self, execution: Execution) -> bool:
        try:
            return status_of(self._executions.describe(execution)) is not Status.OPEN
        except UnknownProcessError:
            # Its retention period is over.
            return True

    def _apply_all(self, children: Iterable[Bound]) -> None:
        for child_id, policy in children:
            self._apply(child_id, policy)

    def _apply(self, child_id: str, policy: str, run: str | None = None) -> None:
        target = {"workflowId": child_id, "runId": run}
        try:
            if policy == ChildPolicy.TERMINATE:
                self._calls("terminate_workflow_execution", **target, reason=REASON)
            else:
                details = self._payloads.pack(REASON, child_id)
                self._calls(
                    "signal_workflow_execution", **target, signalName=CANCEL_SIGNAL, input=details
                )
                self._calls("request_cancel_workflow_execution", **target)
        except Fault as fault:
            if fault.code != "UnknownResourceFault":
                raise
            # It has ended meanwhile.

    # -- from the child's side -----------------------------------------------------------------------------------------------------

    def ends_with_parent(self, child: Execution, state: State) -> bool:
        """Apply a child's policy if its parent is closed; return whether that was done, so that no decider is to be asked now."""
        if state.policy == ChildPolicy.ABANDON or state.parent is None or state.parent_run is None:
            return False
        if state.policy == ChildPolicy.REQUEST_CANCEL and state.cancel_requested:
            return False
        parent = Execution(state.parent, state.parent_run)
        now = self._monotonic()
        with self._lock:
            checked = self._open_parents.get(parent)
        if checked is not None and now - checked < CHECK_SECONDS:
            return False
        try:
            if self._is_closed(parent):
                self._apply(child.id, state.policy, child.run)
                return True
        except PyworkflowError as error:
            log.warning("whether the parent of %s is closed cannot be said: %s", child.id, error)
        self._note_open(parent, now)
        return False

    def _note_open(self, parent: Execution, now: float) -> None:
        with self._lock:
            self._open_parents[parent] = now
            self._open_parents.move_to_end(parent)
            if len(self._open_parents) > MAX_PARENTS:
                self._open_parents.popitem(last=False)


def _left_to_children(parent: Execution, error: PyworkflowError) -> None:
    log.warning(
        "the child policies of %s are applied at its children's next decisions: %s",
        parent.id,
        error,
    )
