"""What all backends that keep their own state have in common: the port's methods, on the ledger, over a `StoredUnit`.

A store supplies transactions (`_write`), snapshots (`_read`) and a `StoredUnit`; everything that has to do with the meaning of a call
is here or in the ledger, so that such backends behave alike by construction.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime as DateTime
from functools import partial
from typing import Any

from pyworkflow.backend import requests
from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    Capability,
    Completion,
    FailedDecision,
    FeedEntry,
    Pending,
    Poll,
    Poller,
    Queue,
    RegisteredActivity,
    RegisteredWorkflow,
    Reuse,
    Turn,
)
from pyworkflow.backend.defining import Defining
from pyworkflow.backend.reading import (
    HistoryCache,
    describe_pending,
    feed_entries,
    open_process,
    registered_activity,
    registered_workflow,
    to_process,
)
from pyworkflow.backend.touches import Planned, Touches
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.clock import SECOND, Clock, to_datetime, to_instant
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError, TimedOutError
from pyworkflow.event import Event
from pyworkflow.history import History
from pyworkflow.ids import new_id
from pyworkflow.ledger import claims, lifecycle
from pyworkflow.ledger.checks.record import Violation
from pyworkflow.ledger.claims import ActivityClaim, DecisionClaim
from pyworkflow.ledger.lifecycle import Start
from pyworkflow.ledger.rows import NEVER, ActivityTypeRow, ProcessRow, WorkflowRow
from pyworkflow.ledger.unit import Batch
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_name, check_payload, check_text

POLLER_SECONDS = 60
"""Somebody who has polled a queue within these seconds counts as polling it."""


class StoredBackend(Defining):
    """A backend that keeps its own state by the rules of the ledger."""

    capabilities = frozenset(Capability) - {Capability.SHARED, Capability.DURABLE, Capability.CLOCK}

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._histories = HistoryCache()
        self._polled: dict[tuple[str, str, str], float] = {}

    # -- types ---------------------------------------------------------------------------------------------------------------------

    def register_workflow(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        timeout: float = 365 * 86_400,
        decision_timeout: float = 60,
        *,
        handles_cancel: bool = False,
    ) -> None:
        """Make a workflow known."""
        row = WorkflowRow(
            check_name(name, "workflow"),
            check_name(category, "category"),
            requests.duration(timeout, "timeout"),
            requests.duration(decision_timeout, "decision_timeout"),
            handles_cancel,
        )
        if self._snapshot(lambda unit: unit.workflow(row.name)) != row:
            self._do(lambda unit: unit.set_workflow(row))

    def register_activity(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        scheduled_timeout: float = 60,
        execution_timeout: float = 365 * 86_400,
        heartbeat_timeout: float = 365 * 86_400,
        *,
        retry: Retry | None = None,
        at_most_once: bool = False,
    ) -> None:
        """Make an activity known."""
        row = ActivityTypeRow(
            check_name(name, "activity"),
            check_name(category, "category"),
            requests.duration(scheduled_timeout, "scheduled_timeout"),
            requests.duration(execution_timeout, "execution_timeout"),
            requests.duration(heartbeat_timeout, "heartbeat_timeout"),
            retry,
            at_most_once,
        )
        if self._snapshot(lambda unit: unit.activity_type(row.name)) != row:
            self._do(lambda unit: unit.set_activity_type(row))

    def workflows(self) -> list[RegisteredWorkflow]:
        """Return the workflows that are registered."""
        return self._snapshot(lambda unit: [registered_workflow(r) for r in unit.workflows()])

    def activities(self) -> list[RegisteredActivity]:
        """Return the activities that are registered."""
        return self._snapshot(lambda unit: [registered_activity(r) for r in unit.activity_types()])

    # -- processes -----------------------------------------------------------------------------------------------------------------

    def start_process(self, process: Process, *, reuse: Reuse = Reuse.REJECT) -> str:
        """Start a process and return its id."""
        request = requests.start(process, new_id())
        self._do(requests.starting(request, reuse))
        return request.id

    def start_processes(
        self, processes: Sequence[Process], *, reuse: Reuse = Reuse.REJECT
    ) -> list[Process | PyworkflowError]:
        """Start processes together."""
        started: list[Process | PyworkflowError | None] = [None] * len(processes)
        works: dict[int, Work] = {}
        for place, process in enumerate(processes):
            try:
                works[place] = _started(requests.start(process, new_id()), reuse)
            except PyworkflowError as error:
                started[place] = error
        for place, result in zip(works, self._write(list(works.values())), strict=True):
            started[place] = result
        return [done for done in started if done is not None]

    def signal_process(
        self, process_id: str, name: str, data: Json = None, *, signal_id: str | None = None
    ) -> None:
        """Tell a process something."""
        self._do(requests.signaling(process_id, name, data, signal_id))

    def cancel_process(self, process_id: str, details: Json = None) -> None:
        """Cancel a process."""
        check_payload(details, "details")
        self._do(
            Planned(
                lambda unit: lifecycle.cancel(unit, process_id, details).id,
                Touches(ids=(process_id,)),
            )
        )

    def terminate_process(
        self, process_id: str, reason: str | None = None, details: Json = None
    ) -> None:
        """Close a process by force."""
        check_payload(details, "details")
        short = check_text(reason, "reason")
        self._do(
            Planned(
                lambda unit: lifecycle.terminate(unit, process_id, short, details).id,
                Touches(ids=(process_id,)),
            )
        )

    def retry_process(self, process_id: str) -> None:
        """Resume a parked process."""
        self._do(
            Planned(lambda unit: lifecycle.resume(unit, process_id), Touches(ids=(process_id,)))
        )

    def process_by_id(self, process_id: str) -> Process:
        """Return a process with its whole history."""
        return self._read(lambda unit: self._process(unit, requests.named(unit, process_id)))

    def _process(self, unit: StoredUnit, row: ProcessRow) -> Process:
        return to_process(unit, row, *self._histories.upto(unit, row.key, row.last_seq))

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
        """Return processes without their histories."""

        def read(unit: StoredUnit) -> list[Process]:
            key = NEVER if newest else 0
            if after is not None:
                key = requests.named(unit, f"{after.id}:{after.run}").key
            state = None if status is None else status.value
            rows = unit.select(workflow, tag, state, parked, limit, key, newest)
            return [to_process(unit, row, None, unit.input(row.key)) for row in rows]

        return self._read(read)

    def history(self, process_id: str, since: int = 0) -> list[Event]:
        """Return the events of a process after the first `since`."""

        def read(unit: StoredUnit) -> list[Event]:
            row = requests.named(unit, process_id)
            return self._histories.upto(unit, row.key, row.last_seq)[0][since:]

        return self._read(read)

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        """Return a process as soon as it is closed."""

        def closed(unit: StoredUnit) -> Process | None:
            row = requests.named(unit, process_id)
            return None if row.status in _GOING_ON else self._process(unit, row)

        process = self._wait_for(lambda: self._read(closed), timeout, ends=True)
        if process is None:
            raise TimedOutError(f"process {process_id!r} is still open after {timeout} s")
        return process

    def pending(self, process_id: str) -> list[Pending]:
        """Return what a process waits for."""

        def read(unit: StoredUnit) -> list[Pending]:
            row = requests.named(unit, process_id)
            return describe_pending(unit, row, unit.pollers(self._recently(unit)))

        return self._read(read)

    def _recently(self, unit: StoredUnit) -> int:
        return unit.now - POLLER_SECONDS * SECOND

    # -- tasks ---------------------------------------------------------------------------------------------------------------------

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        """Complete some tasks and ask for others, together."""
        self._alive()
        errors: list[PyworkflowError | None] = [None] * len(completions)
        works: list[Work] = []
        places: list[int] = []
        for place, completion in enumerate(completions):
            try:
                works.append(requests.completion(completion))
                places.append(place)
            except PyworkflowError as error:
                errors[place] = error
        works.extend(self._sightings(polls))
        wanted = [requests.poll(poll) for poll in polls]
        results = self._turn(completions, [*works, *wanted]) if works else []
        for place, result in zip(places, results, strict=False):
            errors[place] = result if isinstance(result, PyworkflowError) else None
        tasks = self._tasks(results[len(works) :])
        end = time.monotonic() + wait
        while polls and not tasks and not completions and not (stop is not None and stop()):
            # An idle poll costs a look, not a transaction.
            left = end - time.monotonic()
            if not self._wait_for(lambda: self._ready(polls), left, stop):
                break
            tasks = self._tasks(self._turn((), wanted))
            if left <= 0:
                # What is ready may be in other transactions' hands.
                break
        return Turn(errors, tasks)

    def _turn(self, completions: Sequence[Completion], works: list[Work]) -> list[Any]:
        """Run works; what they recorded is known from then on without reading it."""
        expected = requests.expectation(completions)
        *results, staged = self._write([*expected, *works, _staged])
        self._histories.wrote(staged)
        return results[len(expected) :]

    def _ready(self, polls: Sequence[Poll]) -> bool:
        return self._read(lambda unit: _some_ready(unit, polls))

    def _sightings(self, polls: Sequence[Poll]) -> list[Work]:
        """Let people know who polls what, but seldom: it costs a commit."""
        works: list[Work] = []
        now = time.monotonic()
        for poll in polls:
            kind = "decision" if poll.kind is DecisionTask else "activity"
            key = (kind, poll.category, poll.identity or "anonymous")
            if now - self._polled.get(key, -POLLER_SECONDS) > POLLER_SECONDS / 3:
                self._polled[key] = now
                works.append(partial(_saw, key))
        return works

    def _tasks(self, results: Iterable[Any]) -> list[ActivityTask | DecisionTask]:
        tasks: list[ActivityTask | DecisionTask] = []
        decided: list[DecisionClaim] = []
        for result in results:
            if isinstance(result, PyworkflowError):
                raise result
            for claim in result:
                if isinstance(claim, ActivityClaim):
                    tasks.append(requests.activity_task(claim))
                else:
                    decided.append(claim)
        if decided:
            tasks.extend(self._decision_tasks(decided))
        return tasks

    def _decision_tasks(self, claims: list[DecisionClaim]) -> list[DecisionTask]:
        tasks: dict[int, DecisionTask] = {}
        missing: list[DecisionClaim] = []
        for claim in claims:
            key = claim.process.key
            known = self._histories.known(key, claim.started_seq)
            if known is None:
                missing.append(claim)
            else:
                tasks[key] = requests.decision_task(claim, open_process(claim.process, *known))
        if missing:
            for claim, known in zip(
                missing, self._snapshot(partial(self._missing, missing)), strict=True
            ):
                tasks[claim.process.key] = requests.decision_task(
                    claim, open_process(claim.process, *known)
                )
        return [tasks[claim.process.key] for claim in claims]

    def _missing(
        self, claims: list[DecisionClaim], unit: StoredUnit
    ) -> list[tuple[History, bytes]]:
        keys = [claim.process.key for claim in claims]
        unit.expect_histories([(key, self._histories.have(key)) for key in keys])
        return [
            self._histories.upto(unit, claim.process.key, claim.started_seq) for claim in claims
        ]

    def heartbeat_activity_task(self, task: ActivityTask, details: Json = None) -> bool:
        """Record a sign of life."""
        number, token = requests.activity_lease(task)
        data = None if details is None else check_payload(details, "heartbeat details")
        name = task.activity_execution.id
        beat: bool = self._do(
            Planned(
                lambda unit: claims.heartbeat(unit, number, token, name, data),
                Touches(numbers=(number,)),
            )
        )
        return beat

    def complete_decision_task(
        self, task: DecisionTask, decisions: Decision | Iterable[Decision]
    ) -> None:
        """Record the decisions of a task."""
        listed = [decisions] if isinstance(decisions, Decision) else list(decisions)
        self._do(requests.completion(Completion(task, listed)))

    def complete_activity_task(self, task: ActivityTask, result: ActivityResult) -> None:
        """Record the result of an activity."""
        self._do(requests.completion(Completion(task, result)))

    def fail_decision_task(self, task: DecisionTask, reason: str, details: Json = None) -> None:
        """Tell that a decider failed."""
        self._do(requests.completion(Completion(task, FailedDecision(reason, details))))

    def extend_leases(
        self, tasks: Sequence[ActivityTask | DecisionTask], lease: float | None
    ) -> list[bool]:
        """Keep tasks for longer."""
        if not tasks:
            return []
        works: list[Work] = [requests.extension(task, lease) for task in tasks]
        return [result is True for result in self._write(works)]

    def release_tasks(self, tasks: Sequence[ActivityTask | DecisionTask]) -> None:
        """Give tasks back."""
        if tasks:
            self._write([requests.release(task) for task in tasks])

    # -- looking on ----------------------------------------------------------------------------------------------------------------

    def feed(self, cursor: int = 0, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        """Return the events of all processes after a cursor."""
        since = self.feed_end() if cursor == -1 else cursor

        def look() -> list[FeedEntry]:
            return self._read(lambda unit: feed_entries(unit.feed(since, limit), limit))

        return self._wait_for(look, wait)

    def feed_end(self) -> int:
        """Return the cursor of the newest entry of the feed."""
        return self._read(lambda unit: unit.feed_end())

    def queues(self) -> list[Queue]:
        """Return the state of every queue that has tasks or pollers."""
        return self._read(lambda unit: unit.queues(self._recently(unit)))

    def pollers(self, within: float = 86_400) -> list[Poller]:
        """Return who has polled which queue."""
        seconds = requests.duration(within, "within")

        def read(unit: StoredUnit) -> list[Poller]:
            found = unit.sightings(unit.now - seconds)
            return [
                Poller(kind, category, identity, to_datetime(seen))
                for identity, kind, category, seen in found
            ]

        return self._read(read)

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Violation]:
        """Return every invariant that does not hold."""
        # Not by `_read`, which does what is due: a check changes nothing.
        return self._snapshot(lambda unit: unit.check(progress))

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        """Remove processes that closed before an instant."""
        before = to_instant(closed_before)
        return self._do(lambda unit: unit.purge(before, limit))


_GOING_ON = ("open", "continued")


def _started(request: Start, reuse: Reuse) -> Work:
    """Return the work that starts a process, and returns it as it stands."""
    start = requests.starting(request, reuse)
    return Planned(
        lambda unit: to_process(unit, start.work(unit), None, request.input), start.touches
    )


def _staged(unit: StoredUnit) -> dict[int, Batch]:
    return unit.staged


def _saw(seen: tuple[str, str, str], unit: StoredUnit) -> None:
    unit.saw(*seen)


def _some_ready(unit: StoredUnit, polls: Sequence[Poll]) -> bool:
    return any(
        unit.ready_decisions(poll.category, 1)
        if poll.kind is DecisionTask
        else unit.ready_activities(poll.category, 1)
        for poll in polls
    )
