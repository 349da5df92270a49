"""The backend itself: every call of the port as calls of Amazon SWF."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime as DateTime
from functools import partial
from threading import Event as Flag
from typing import Any

from pyworkflow.backend.amazonswf.child_policies import ChildPolicies
from pyworkflow.backend.amazonswf.client import Calls, check_client, make_client
from pyworkflow.backend.amazonswf.deciding import Deciding
from pyworkflow.backend.amazonswf.executions import Executions, execution_of, status_of
from pyworkflow.backend.amazonswf.looking import listed, page, waits_of
from pyworkflow.backend.amazonswf.polling import Polling, Task, with_checked_names
from pyworkflow.backend.amazonswf.purging import purge
from pyworkflow.backend.amazonswf.starting import Starting
from pyworkflow.backend.amazonswf.types import register_type
from pyworkflow.backend.amazonswf.working import Working
from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    Backend,
    Capability,
    Completion,
    FailedDecision,
    Pending,
    Poll,
    Reuse,
    Turn,
)
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    PyworkflowError,
    TimedOutError,
)
from pyworkflow.failure import describe
from pyworkflow.forks import ForkAware, watch_forks
from pyworkflow.payloads import BlobStore, PayloadCodec, open_store
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.swf.check import check_own
from pyworkflow.swf.payload import Payloads, cut_reason
from pyworkflow.swf.settings import VERSION, ActivityType, Settings, WorkflowType
from pyworkflow.swf.typenames import TypeNames
from pyworkflow.swf.words import CANCEL_SIGNAL, RETRY_SIGNAL
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_fields, check_name, check_payload, check_seconds

log = logging.getLogger("pyworkflow.amazonswf")

SENDERS = 8
"""Completions that are sent at a time."""


class AmazonSWFBackend(Backend, ForkAware):
    """Keeps processes on Amazon SWF.

    Args:
        ACCESS_KEY_ID: Of the AWS account; None for boto3's own search for credentials.
        SECRET_ACCESS_KEY: The secret that goes with it.
        region: The AWS region.
        domain: The SWF domain; `register_domain` makes one.
        client: A client of boto3 for SWF, in place of one made here. Its read timeout must be above a minute.
        version: The version of workflow and activity types.
        versions: Versions by the name of the type, for those that have another.
        lambda_role: The role (its ARN) that SWF takes on to invoke functions of AWS Lambda.
        blobs: Where payloads go that SWF cannot carry: a store, ``s3://bucket/prefix`` or a folder.
        strict: Whether a type that is registered with other defaults is an error; if not, it is logged.

    Raises:
        InvalidRequestError: An argument is not acceptable.
    """

    name = "amazonswf"
    capabilities = frozenset(
        {
            Capability.CHILDREN,
            Capability.CANCEL_REQUEST,
            Capability.CONTINUE,
            Capability.EXTERNAL,
            Capability.LAMBDA,
            Capability.RETRY,
            Capability.REUSE,
            Capability.SIGNAL_ID,
            Capability.PARKING,
            Capability.CLOSED,
            Capability.SHARED,
            Capability.DURABLE,
        }
    )

    def __init__(
        self,
        ACCESS_KEY_ID: str | None = None,
        SECRET_ACCESS_KEY: str | None = None,
        region: str = "us-east-1",
        domain: str = "default",
        *,
        client: Any = None,
        version: str = VERSION,
        versions: Mapping[str, str] | None = None,
        lambda_role: str | None = None,
        blobs: BlobStore | str | None = None,
        strict: bool = False,
    ) -> None:
        self.domain = check_name(domain, "domain")
        self.region = region
        if client is not None:
            check_client(client)

        def make(service: str) -> Any:
            return make_client(service, ACCESS_KEY_ID, SECRET_ACCESS_KEY, region)

        store = open_store(blobs, lambda: make("s3")) if isinstance(blobs, str) else blobs
        self.codec = PayloadCodec(store)
        self._names = TypeNames()
        self._strict = strict
        self._payloads = Payloads(self.codec)
        self._settings = Settings(version, dict(versions or {}), lambda_role)
        self._swf = lambda: client or make("swf")
        self._begin()
        watch_forks(self)

    def _begin(self) -> None:
        """Make what threads share, for the first time or in a child process."""
        domain = self.domain
        self._closing = Flag()
        self.calls = Calls(self._swf, domain, self._names)
        # On their own, so that polls that SWF slows down do not slow completions down.
        self.polls = Calls(self._swf, domain, self._names)
        self._executions = Executions(self.calls, self._payloads)
        self._starting = Starting(self.calls, self._executions, self._payloads, self._settings)
        self._policies = ChildPolicies(self.calls, self._executions, self._payloads)
        self._deciding = Deciding(
            lambda: self.polls,
            self.calls,
            self._executions,
            self._payloads,
            self._settings,
            self._policies,
            self._closing.wait,
        )
        self._working = Working(lambda: self.polls, self.calls, self._payloads, self._closing.wait)
        # What a poll brings too late has been shown to nobody.
        self._polling = Polling(self._ask, partial(self._give_back, unseen=True))
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="pyworkflow-swf")
        self._taken: set[str] = set()

    def after_fork_in_child(self) -> None:
        """Leave the parent's sockets to it, and replace the threads and locks that are not here."""
        inherited, closed = (self.calls, self.polls), self.closed
        self._begin()
        if closed:
            self._closing.set()
        for calls in inherited:
            calls.drop()

    # -- types and domain ----------------------------------------------------------------------------------------------------------

    def register_domain(self, retention_days: int = 30, description: str | None = None) -> None:
        """Make the domain, if there is none of its name.

        Args:
            retention_days: How long SWF keeps closed processes: 1 to 90.
            description: For people.
        """
        self._check_open()
        if not 1 <= retention_days <= 90:
            raise InvalidRequestError("retention_days", f"must be 1 to 90, not {retention_days}")
        self.calls.register_domain(str(retention_days), description)

    @property
    def lambda_role(self) -> str | None:
        """The role that SWF takes on to invoke functions of AWS Lambda."""
        return self._settings.lambda_role

    @lambda_role.setter
    def lambda_role(self, role: str | None) -> None:
        self._settings.lambda_role = role

    def register_versions(self, versions: Mapping[str, str]) -> None:
        self._check_open()
        self._names.add(versions)
        self._settings.versions.update(versions)

    def register_workflow(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        timeout: float = 365 * 86_400,
        decision_timeout: float = 60,
        *,
        handles_cancel: bool = False,
        graph: Json = None,
    ) -> None:
        self._check_open()
        known = WorkflowType(
            check_name(name, "workflow"),
            self._settings.type_of(name)["version"],
            check_name(category, "category"),
            check_seconds(timeout, "timeout", positive=True),
            check_seconds(decision_timeout, "decision_timeout", positive=True),
            handles_cancel,
        )
        check_fields(known)
        check_payload(graph, "graph")
        register_type(self.calls, "workflow", known, self._strict)
        self._settings.workflows[name] = known

    def register_activity(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        scheduled_timeout: float | None = None,
        execution_timeout: float = 365 * 86_400,
        heartbeat_timeout: float = 365 * 86_400,
        *,
        retry: Retry | None = None,
        at_most_once: bool = False,
    ) -> None:
        self._check_open()
        known = ActivityType(
            check_name(name, "activity"),
            self._settings.type_of(name)["version"],
            check_name(category, "category"),
            None
            if scheduled_timeout is None
            else check_seconds(scheduled_timeout, "scheduled_timeout", positive=True),
            check_seconds(execution_timeout, "execution_timeout", positive=True),
            check_seconds(heartbeat_timeout, "heartbeat_timeout", positive=True),
            retry,
            at_most_once,
        )
        check_fields(known)
        register_type(self.calls, "activity", known, self._strict)
        self._settings.activities[name] = known

    # -- processes -----------------------------------------------------------------------------------------------------------------

    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        self._check_open()
        return self._starting.start(process, reuse)

    def signal_process(
        self, process_id: str, name: str, data: Json = None, *, signal_id: str | None = None
    ) -> None:
        check_own(check_name(name, "signal name"), "signal name")
        if signal_id is not None:
            check_name(signal_id, "signal id")
        self._signal(process_id, name, data, signal_id)

    def _signal(self, process_id: str, name: str, data: Json, signal_id: str | None = None) -> None:
        owner = str(process_id).partition(":")[0]
        text = self._payloads.pack(data, owner, "data", id=signal_id)
        told = {"signalName": name, "input": text or "null"}
        self._tell("signal_workflow_execution", process_id, **told)

    def _tell(self, operation: str, process_id: str, **given: Any) -> None:
        self._check_open()
        workflow_id, run = self._executions.split(process_id)
        self._starting.tell(operation, workflow_id, run, **given)

    def cancel_process(self, process_id: str, details: Json = None) -> None:
        if details is not None:
            self._signal(process_id, CANCEL_SIGNAL, details)
        self._tell("request_cancel_workflow_execution", process_id)

    def terminate_process(
        self, process_id: str, reason: str | None = None, details: Json = None
    ) -> None:
        short, whole = cut_reason(reason)
        owner = str(process_id).partition(":")[0]
        text = self._payloads.pack(details, owner, "details", reason=whole)
        self._check_open()
        parent = self._policies.parent_with_children(process_id)
        self._tell("terminate_workflow_execution", process_id, reason=short, details=text)
        if parent is not None:
            self._policies.after_termination(parent)

    def retry_process(self, process_id: str) -> None:
        self._signal(process_id, RETRY_SIGNAL, None)

    def process_by_id(self, process_id: str) -> Process:
        self._check_open()
        info = self._executions.find(process_id)
        execution = execution_of(info)
        process = self._executions.read(execution).process(execution.id)
        return process.copy_with_id(
            execution.id, history=process.history, tags=tuple(info.get("tagList", process.tags))
        )

    def processes(
        self,
        workflow: str | None = None,
        tag: str | None = None,
        *,
        status: Status | None = Status.OPEN,
        parked: bool | None = None,
        limit: int | None = None,
        after: Process | None = None,
        newest: bool = False,
    ) -> list[Process]:
        self._check_open()
        if newest:
            # The engine's own reversed lists have other cursors; here they are all there.
            found = listed(self._executions, workflow, tag, status, parked, None, None)[::-1]
            return page(found, after, limit)
        found = listed(self._executions, workflow, tag, status, parked, after, limit)
        return found if limit is None else found[:limit]

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            self._check_open()
            info = self._executions.find(process_id)
            if status_of(info) is not Status.OPEN:
                process = self.process_by_id(process_id)
                if process.status not in (Status.OPEN, Status.CONTINUED):
                    return process
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise TimedOutError(f"process {process_id!r} is still open after {timeout} s")
            self._closing.wait(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, 2.0)

    def pending(self, process_id: str) -> list[Pending]:
        self._check_open()
        execution = execution_of(self._executions.find(process_id))
        return waits_of(self._executions.read(execution))

    # -- tasks ---------------------------------------------------------------------------------------------------------------------

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        self._check_open()
        polls = [with_checked_names(poll) for poll in polls]
        errors = self._complete_all(completions)
        if not polls:
            return Turn(errors, [])
        # Who has just told of something has more to do than to wait for SWF.
        tasks = self._polling.take(polls, wait or (-1 if completions else 0), stop)
        return Turn(errors, tasks)

    def _complete_all(self, completions: Sequence[Completion]) -> list[PyworkflowError | None]:
        if len(completions) < 2:
            errors = [self._completed(one) for one in completions]
        else:
            errors = list(self._senders.map(self._completed, completions))
        lost = next((e for e in errors if isinstance(e, BackendUnavailableError)), None)
        for completion, error in zip(completions, errors, strict=True):
            token = _token(completion)
            if lost is not None and error is None:
                # All of them will be sent again: this one has been taken already.
                self._taken.add(token)
            else:
                self._taken.discard(token)
        if lost is not None:
            raise lost
        return errors

    def _completed(self, completion: Completion) -> PyworkflowError | None:
        if _token(completion) in self._taken:
            return None
        try:
            self._complete(completion)
        except PyworkflowError as error:
            return error
        except Exception as error:
            # One outcome that cannot be sent must not keep the others from SWF.
            log.exception("an outcome of %s cannot be sent", _token(completion))
            return InvalidRequestError("outcome", describe(error).line)
        return None

    def _complete(self, completion: Completion) -> None:
        task, outcome = completion.task, completion.outcome
        if isinstance(task, ActivityTask):
            if not isinstance(outcome, ActivityResult):
                raise InvalidRequestError("outcome of an activity task", f"cannot be {outcome!r}")
            self._working.complete(task, outcome)
        elif isinstance(outcome, ActivityResult):
            raise InvalidRequestError("outcome of a decision task", f"cannot be {outcome!r}")
        else:
            self._deciding.complete(task, outcome)

    def _ask(self, poll: Poll) -> Task | None:
        if poll.kind is ActivityTask:
            return self._working.poll(poll)
        return self._deciding.poll(poll)

    def _give_back(self, task: Task, *, unseen: bool) -> None:
        try:
            if isinstance(task, ActivityTask):
                self._working.give_back(task, unseen=unseen)
            else:
                self._deciding.give_back(task, unseen=unseen)
        except PyworkflowError:
            # Nobody is left to tell: its timeout frees it.
            return

    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        self._check_open()
        return self._working.heartbeat(task, details)

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        self._check_open()
        self._complete(
            Completion(task, [decisions] if isinstance(decisions, Decision) else list(decisions))
        )

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        self._check_open()
        self._complete(Completion(task, result))

    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        self._check_open()
        self._complete(Completion(task, FailedDecision(reason, details)))

    def release_tasks(
        self, tasks: Sequence[ActivityTask | DecisionTask], *, unseen: bool = False
    ) -> None:
        self._check_open()
        for task in tasks:
            self._give_back(task, unseen=unseen)

    def wake(self) -> None:
        self._polling.wake()

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        """Remove the blobs of processes that closed before an instant; return how many processes had some.

        SWF removes the processes themselves when the domain's retention period is over.
        """
        self._check_open()
        return purge(self.codec, self._executions, closed_before, limit)

    def close(self) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self._polling.close()
            self._senders.shutdown(wait=False)

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise BackendUnavailableError("the backend has been closed")


def _token(completion: Completion) -> str:
    """Return the token of a task; of what is no completion, none."""
    context: object = getattr(getattr(completion, "task", None), "context", None)
    return str(context.get("token")) if isinstance(context, dict) else ""
