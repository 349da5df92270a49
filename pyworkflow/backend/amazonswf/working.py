"""Activity tasks: from what SWF hands out to what a worker sees, and from its result to SWF."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.amazonswf.client import OUTAGE_PAUSE, Calls, Fault, identity_of
from pyworkflow.backend.exchange import Poll
from pyworkflow.codec import Json
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    PyworkflowError,
    StaleActivityTaskError,
)
from pyworkflow.failure import describe
from pyworkflow.ids import key_of
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.swf.attempts import MISROUTED, RELEASED
from pyworkflow.swf.misrouted import pause_of_poller
from pyworkflow.swf.payload import Payloads, cut_reason, recorded
from pyworkflow.swf.words import MAX_HEARTBEAT, parse_attempt
from pyworkflow.task import ActivityTask

log = logging.getLogger("pyworkflow.amazonswf")

MAX_BEATS = 10_000
"""Tasks whose last heartbeat is remembered."""


class Working:
    """Polls for activities and completes them.

    Args:
        polls: Calls SWF for long polls.
        calls: Calls SWF for anything else.
        payloads: How values become texts.
        pause: Waits for some seconds; returns whether there is nothing to wait for any more.
    """

    def __init__(
        self,
        polls: Callable[[], Calls],
        calls: Calls,
        payloads: Payloads,
        pause: Callable[[float], bool],
    ) -> None:
        self._polls = polls
        self._calls = calls
        self._payloads = payloads
        self._pause = pause
        self._lock = RLock()
        self._beats: OrderedDict[str, Json] = OrderedDict()

    def poll(self, poll: Poll) -> ActivityTask | None:
        """Return the next task."""
        misrouted = 0
        while not self._pause(pause_of_poller(misrouted)):
            answer = self._polls()(
                "poll_for_activity_task",
                taskList={"name": poll.category},
                identity=identity_of(poll),
            )
            if not answer.get("taskToken"):
                return None
            if poll.names is not None and answer["activityType"]["name"] not in poll.names:
                self._give_back_misrouted(answer)
                misrouted += 1
                continue
            misrouted = 0
            try:
                return self._task(answer)
            except BackendUnavailableError:
                self._give_back_later(answer)
                raise
            except Exception as error:
                # One input that cannot be read must not keep a worker from all others.
                log.exception("the input of activity %s cannot be read", answer["activityId"])
                self._refuse(answer["taskToken"], error)
        return None

    def _give_back_misrouted(self, answer: dict[str, Any]) -> None:
        """Let another worker do an activity that this program does not have."""
        log.info(
            "%s of %s is given back: this program does not have activity %r",
            answer["activityId"],
            answer["workflowExecution"]["workflowId"],
            answer["activityType"]["name"],
        )
        try:
            self._failed(answer["taskToken"], MISROUTED, {MISROUTED: True})
        except Fault as fault:
            log.warning("an activity that another worker is to do is over: %s", fault)

    def _give_back_later(self, answer: dict[str, Any]) -> None:
        """Have an activity done once the outage may be over; what cannot be said now is said by its timeouts."""
        try:
            meta: dict[str, Json] = {RELEASED: True, "delay": OUTAGE_PAUSE}
            self._failed(answer["taskToken"], RELEASED, meta)
        except PyworkflowError as error:
            log.warning("activity %s is left to its timeouts: %s", answer["activityId"], error)

    def _refuse(self, token: str, error: Exception) -> None:
        """Fail an activity whose input cannot be read."""
        told = describe(error)
        reason, whole = cut_reason(told.reason)
        try:
            self._failed(token, reason, {"reason": whole, "type_name": told.kind})
        except Fault as fault:
            log.warning("an activity whose input cannot be read is over: %s", fault)

    def _task(self, answer: dict[str, Any]) -> ActivityTask:
        execution = answer["workflowExecution"]
        activity_id, attempt = parse_attempt(answer["activityId"])
        packed = self._payloads.unpack(answer.get("input"))
        return ActivityTask(
            ActivityExecution(
                answer["activityType"]["name"], activity_id, recorded(packed.value, Any)
            ),
            execution["workflowId"],
            {
                "token": answer["taskToken"],
                "run_id": execution["runId"],
                "version": answer["activityType"]["version"],
            },
            attempt,
            packed.meta.get("heartbeat"),
            idempotency_key=key_of(execution["runId"], activity_id, packed.meta.get("use", 0)),
        )

    def _failed(
        self, token: str, reason: str | None, meta: dict[str, Json], owner: str = "-"
    ) -> None:
        details = self._payloads.pack_failure(meta.pop("details", None), owner, **meta)
        self._calls("respond_activity_task_failed", taskToken=token, reason=reason, details=details)

    def complete(self, task: ActivityTask, result: ActivityResult) -> None:
        """Send how an activity ended.

        Raises:
            StaleActivityTaskError: The task is over.
            PayloadError: The result is not acceptable.
        """
        token, owner = token_of(task), str(task.process_id)
        try:
            self._send(token, owner, result)
        except Fault as fault:
            raise self._stale(task, fault) from None
        with self._lock:
            self._beats.pop(token, None)

    def _send(self, token: str, owner: str, result: ActivityResult) -> None:
        pack = self._payloads.pack
        if isinstance(result, ActivityCompleted):
            text = pack(result.result, owner, "result")
            self._calls("respond_activity_task_completed", taskToken=token, result=text)
        elif isinstance(result, ActivityCanceled):
            text = pack(result.details, owner, "details")
            self._calls("respond_activity_task_canceled", taskToken=token, details=text)
        elif isinstance(result, ActivityFailed):
            reason, whole = cut_reason(result.reason)
            meta = {"details": result.details, "reason": whole, "type_name": result.type_name}
            self._failed(token, reason, meta | {"heartbeat": self._beat(token)}, owner)
        elif isinstance(result, ActivityTimedOut):
            meta = {"details": result.details, "timedout": True}
            self._failed(token, "timed out", meta | {"heartbeat": self._beat(token)}, owner)
        else:
            raise InvalidRequestError("outcome of an activity task", f"cannot be {result!r}")

    def _beat(self, token: str) -> Json:
        with self._lock:
            return self._beats.get(token)

    def heartbeat(self, task: ActivityTask, details: Json) -> bool:
        """Send a sign of life; return whether the activity has been asked to cancel itself.

        Raises:
            StaleActivityTaskError: The task is over.
        """
        token = token_of(task)
        if details is not None:
            with self._lock:
                self._beats[token] = details
                if len(self._beats) > MAX_BEATS:
                    self._beats.popitem(last=False)
        # A beat without details would wipe out the last ones.
        told = self._beat(token)
        text = self._payloads.pack(told, str(task.process_id), "details", MAX_HEARTBEAT)
        try:
            answer = self._calls("record_activity_task_heartbeat", taskToken=token, details=text)
        except Fault as fault:
            raise self._stale(task, fault) from None
        return bool(answer.get("cancelRequested"))

    def give_back(self, task: ActivityTask, *, unseen: bool) -> None:
        """Let another worker do it at once: as the same attempt if no users' code has run for it."""
        mark = MISROUTED if unseen else RELEASED
        self._failed(token_of(task), mark, {mark: True}, str(task.process_id))

    @staticmethod
    def _stale(task: ActivityTask, fault: Fault) -> Exception:
        if fault.code == "UnknownResourceFault" or "token" in fault.message:
            return StaleActivityTaskError(task.activity_execution.id, fault.message)
        return fault


def token_of(task: ActivityTask) -> str:
    """Return the token that a task carries.

    Raises:
        StaleActivityTaskError: It carries none.
    """
    token = task.context.get("token")
    if not isinstance(token, str):
        raise StaleActivityTaskError(task.activity_execution.id, "it holds no lease")
    return token
