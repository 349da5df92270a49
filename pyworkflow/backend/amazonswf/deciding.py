"""Decision tasks: from what SWF hands out to what a decider sees, and from its decisions to SWF."""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any

from pyworkflow.backend.amazonswf.child_policies import Bound, ChildPolicies, bound_children
from pyworkflow.backend.amazonswf.client import OUTAGE_PAUSE, Calls, Fault, identity_of
from pyworkflow.backend.amazonswf.executions import Execution, Executions
from pyworkflow.backend.amazonswf.reader_cache import ReaderCache
from pyworkflow.backend.exchange import FailedDecision, Poll
from pyworkflow.decision import CancelActivity, CancelProcess, ChildPolicy, Decision
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidDecisionError,
    PyworkflowError,
    StaleDecisionTaskError,
)
from pyworkflow.event import CancelRequestedEvent
from pyworkflow.failure import describe
from pyworkflow.swf import chores
from pyworkflow.swf.attempts import RELEASED
from pyworkflow.swf.check import checked
from pyworkflow.swf.chores import Swf
from pyworkflow.swf.decisions import Context, to_swf
from pyworkflow.swf.misrouted import context_of, look_back, pause, pause_of_poller
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import MissingEventError, Reader
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.state import State
from pyworkflow.swf.words import CLOSING_TYPES, FAILED, QUIET, REST
from pyworkflow.task import DecisionTask

log = logging.getLogger("pyworkflow.amazonswf")

PAGE = 100
"""Events that a poll asks for: more than one decision usually brings, far fewer than a long history has."""


class Deciding:
    """Polls for decisions and completes them.

    Args:
        polls: Calls SWF for long polls.
        calls: Calls SWF for anything else.
        executions: Reads histories.
        payloads: How values become texts.
        settings: The types that this program knows.
        policies: Ends children with their parents.
        pause: Waits for some seconds; returns whether there is nothing to wait for any more.
    """

    def __init__(
        self,
        polls: Callable[[], Calls],
        calls: Calls,
        executions: Executions,
        payloads: Payloads,
        settings: Settings,
        policies: ChildPolicies,
        pause: Callable[[float], bool],
    ) -> None:
        self._polls = polls
        self._calls = calls
        self._executions = executions
        self._payloads = payloads
        self._settings = settings
        self._policies = policies
        self._pause = pause
        self._readers = ReaderCache()

    # -- from SWF ------------------------------------------------------------------------------------------------------------------

    def poll(self, poll: Poll) -> DecisionTask | None:
        """Return the next task that a decider is to see; the package's own are done on the way."""
        asked: dict[str, Any] = {
            "taskList": {"name": poll.category},
            "identity": identity_of(poll),
            "maximumPageSize": PAGE,
            "reverseOrder": True,
        }
        misrouted = 0
        while not self._pause(pause_of_poller(misrouted)):
            answer = self._polls()("poll_for_decision_task", **asked)
            if not answer.get("taskToken"):
                return None
            if poll.names is not None and answer["workflowType"]["name"] not in poll.names:
                self._give_back_misrouted(answer)
                misrouted += 1
                continue
            misrouted = 0
            task = self._seen(answer, asked)
            if task is not None:
                return task
        return None

    def _give_back_misrouted(self, answer: dict[str, Any]) -> None:
        """Have a process whose workflow this program does not have decided by another worker: at once at first, then ever later."""
        told = answer["workflowExecution"]
        execution = Execution(told["workflowId"], told["runId"])
        times, is_timed = look_back(answer["events"], self._payloads)
        delay = pause(times, answer["startedEventId"])
        decisions = [] if is_timed else [chores.wake(self._payloads, execution.id, delay)]
        log.info(
            "%s is given back: this program does not have workflow %r",
            execution.id,
            answer["workflowType"]["name"],
        )
        self._answer_alone(answer["taskToken"], decisions, context_of(times + 1), execution)

    def _seen(self, answer: dict[str, Any], asked: dict[str, Any]) -> DecisionTask | None:
        token = answer["taskToken"]
        told = answer["workflowExecution"]
        execution = Execution(told["workflowId"], told["runId"])
        try:
            return self._task(token, execution, answer, asked)
        except BackendUnavailableError:
            # Its decision timeout would count as the decider's failure.
            self._give_back_later(token, execution)
            raise
        except Exception as error:
            # One history that cannot be read must not keep a worker from all others.
            log.exception("the history of %s cannot be read", execution.id)
            failures = failures_before(answer["events"])
            decisions = chores.failed(
                describe(error).line, None, failures, self._payloads, execution.id
            )
            self._answer_alone(token, decisions, FAILED, execution)
            return None

    def _give_back_later(self, token: str, execution: Execution) -> None:
        """Have a process decided again once the outage may be over; what cannot be said now is said by the decision timeout."""
        try:
            wake = chores.wake(self._payloads, execution.id, OUTAGE_PAUSE)
            self._answer(token, [wake], QUIET, execution.id)
        except PyworkflowError as error:
            log.warning("%s is decided again after its decision timeout: %s", execution.id, error)

    def _task(
        self, token: str, execution: Execution, answer: dict[str, Any], asked: dict[str, Any]
    ) -> DecisionTask | None:
        reader = self._read(execution, answer, asked)
        self._executions.note(execution.id, execution.run)
        if self._policies.ends_with_parent(execution, reader.state):
            # A terminated child has no task any more; one that was asked to cancel itself is decided with that.
            if reader.state.policy == ChildPolicy.REQUEST_CANCEL:
                self._answer_alone(token, [], QUIET, execution)
            task = None
        else:
            task = self._decided_by(token, execution, reader)
        self._readers.keep(execution, reader)
        return task

    def _decided_by(self, token: str, execution: Execution, reader: Reader) -> DecisionTask | None:
        """Return the task of a decider, or do what needs none."""
        state, process = reader.state, reader.process(execution.id)
        bound = bound_children(state)
        context = chores.context_of(state, process, self._payloads, self._settings)
        own = self._chores(state, context)
        asks = reader.wants_decider() and not any(_closes(one) for _, one in own)
        if state.rest:
            groups = chores.translated(state.rest, chores.waiting(state), context)
            sent = chores.fitting([], state.rest, groups, context)
            self._answer_alone(token, sent, REST, execution, bound)
        elif asks and state.failures >= chores.MAX_FAILURES:
            # Deciders that fail are parked as they fail; these were never heard of again.
            reason = f"{state.failures} decisions in a row failed, the last by its timeout"
            parking = chores.failed(reason, None, state.failures, self._payloads, execution.id)
            self._answer_alone(token, [one for _, one in own] + parking, FAILED, execution, bound)
        elif asks:
            given = {
                "token": token,
                "run_id": execution.run,
                "version": state.version,
                "chores": [list(one) for one in own],
                "waiting": chores.waiting(state),
                "failures": state.failures,
                "misrouted": state.misrouted,
                "bound": [list(one) for one in bound],
            }
            return DecisionTask(process, given | _to_context(context), state.failures + 1)
        else:
            self._answer_alone(token, [one for _, one in own], QUIET, execution, bound)
        return None

    def _read(self, execution: Execution, answer: dict[str, Any], asked: dict[str, Any]) -> Reader:
        """Return the history as it was when the decision began, fetching what is new of it."""
        reader = self._readers.take(execution) or Reader(self._payloads)
        try:
            reader.read(self._new(reader.last_id, answer, asked))
        except MissingEventError:
            # What is kept does not go with what SWF tells: begin anew.
            log.warning("the history of %s is read again from its beginning", execution.id)
            reader = Reader(self._payloads)
            end = answer["startedEventId"]
            reader.read(e for e in self._executions.events(execution) if e["eventId"] <= end)
        return reader

    def _new(
        self, last: int, answer: dict[str, Any], asked: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the events after the last that is known, oldest first."""
        events = list(answer.get("events", ()))
        page = answer
        while events and events[-1]["eventId"] > last + 1 and "nextPageToken" in page:
            page = self._calls(
                "poll_for_decision_task", nextPageToken=page["nextPageToken"], **asked
            )
            events.extend(page.get("events", ()))
        new = [event for event in events if event["eventId"] > last]
        return sorted(new, key=lambda event: int(event["eventId"]))

    def _chores(self, state: State, context: Context) -> list[tuple[str, Swf]]:
        own = chores.attempts(state, self._payloads, context.owner)
        known = self._settings.workflows.get(state.workflow)
        if state.cancel_requested and known is not None and not known.handles_cancel:
            asked = context.process.history.find(CancelRequestedEvent)[-1]
            details = asked.details if isinstance(asked, CancelRequestedEvent) else None
            own.append(("", to_swf(CancelProcess(details), context)))
        return own

    def _context(self, task: DecisionTask) -> Context:
        """Return what `_to_context` has put into a task."""
        given = task.context
        return Context(
            self._payloads,
            self._settings,
            task.process,
            given.get("attempts", {}),
            tuple(given.get("children", ())),
            given.get("policy", ChildPolicy.ABANDON),
            given.get("options", {}),
            heard=tuple(given.get("heard", ())),
        )

    # -- to SWF --------------------------------------------------------------------------------------------------------------------

    def complete(self, task: DecisionTask, outcome: Sequence[Decision] | FailedDecision) -> None:
        """Send what became of a task.

        Raises:
            StaleDecisionTaskError: The task is over.
            InvalidDecisionError: A decision cannot apply.
        """
        process = task.process
        token = token_of(task)
        given = task.context
        own: list[list[Any]] = given.get("chores", [])
        if isinstance(outcome, FailedDecision):
            sent, mark = self._failed(task, outcome)
            self._answer(token, [*(one for _, one in own), *sent], mark, str(process.id))
            return
        context = self._context(task)
        waits = given.get("waiting", {})
        groups = checked(outcome, waits, context)
        canceled = {d.id for d in outcome if isinstance(d, CancelActivity)}
        mine = [one for activity_id, one in own if activity_id not in canceled]
        self._answer(token, chores.fitting(mine, outcome, groups, context), None, context.owner)
        if any(one.closing for one in outcome):
            execution = Execution(context.owner, str(given.get("run_id")))
            self._readers.take(execution)
            self._policies.after_decision(
                execution, [(child, policy) for child, policy in given.get("bound", ())]
            )

    def _failed(self, task: DecisionTask, outcome: FailedDecision) -> tuple[list[Swf], str]:
        """Return what is sent where a decider failed, and the execution context that says so."""
        payloads, given, owner = self._payloads, task.context, str(task.process.id)
        if outcome.waits:
            # The next worker may be of the other release: as with a workflow that a worker does not have.
            times = int(given.get("misrouted", 0))
            delay = pause(times, len(task.process.history))
            return [chores.wake(payloads, owner, delay)], context_of(times + 1)
        failures = int(given.get("failures", 0))
        sent = chores.failed(
            outcome.reason, outcome.details, failures, payloads, owner, park=outcome.park
        )
        return sent, FAILED

    def give_back(self, task: DecisionTask, *, unseen: bool) -> None:
        """Let another worker decide at once. It counts as a failure where a decider was asked: one that never answers must be parked."""
        owner = str(task.process.id)
        if unseen:
            self._answer(token_of(task), [chores.wake(self._payloads, owner)], QUIET, owner)
            return
        failures = int(task.context.get("failures", 0))
        released = chores.failed(RELEASED, None, failures, self._payloads, owner, delay=0.0)
        self._answer(token_of(task), released, FAILED, owner)

    def _answer_alone(
        self,
        token: str,
        decisions: list[Swf],
        context: str,
        execution: Execution,
        bound: Sequence[Bound] = (),
    ) -> None:
        """Answer without a decider; if that fails, SWF hands the decision out again or has no use for it any more."""
        try:
            self._answer(token, decisions, context, execution.id)
        except (StaleDecisionTaskError, InvalidDecisionError) as error:
            log.warning(
                "what was decided for %s without its decider does not count: %s",
                execution.id,
                error,
            )
            return
        if any(one["decisionType"] in CLOSING_TYPES for one in decisions):
            self._policies.after_decision(execution, bound)

    def _answer(self, token: str, decisions: list[Swf], context: str | None, owner: str) -> None:
        try:
            self._calls(
                "respond_decision_task_completed",
                taskToken=token,
                decisions=decisions,
                executionContext=context,
            )
        except Fault as fault:
            if fault.code == "UnknownResourceFault" or "token" in fault.message:
                raise StaleDecisionTaskError(owner, fault.message) from None
            raise InvalidDecisionError("decisions", f"Amazon SWF: {fault.message}") from fault


def _to_context(context: Context) -> dict[str, Any]:
    """Return the part of a context that is known of the process alone, as JSON."""
    return {
        "attempts": context.attempts,
        "children": list(context.children),
        "policy": context.policy,
        "options": context.options,
        "heard": list(context.heard),
    }


def _closes(decision: Swf) -> bool:
    return str(decision["decisionType"]) == "CancelWorkflowExecution"


def failures_before(newest: Iterable[dict[str, Any]]) -> int:
    """Return how many decisions in a row have failed, as of the newest events of a history, newest first."""
    contexts = (
        event["decisionTaskCompletedEventAttributes"].get("executionContext")
        for event in newest
        if event["eventType"] == "DecisionTaskCompleted"
    )
    return sum(1 for _ in takewhile(lambda context: context == FAILED, contexts))


def token_of(task: DecisionTask) -> str:
    """Return the token that a task carries.

    Raises:
        StaleDecisionTaskError: It carries none.
    """
    token = task.context.get("token")
    if not isinstance(token, str):
        raise StaleDecisionTaskError(str(task.process.id), "it holds no lease")
    return token
