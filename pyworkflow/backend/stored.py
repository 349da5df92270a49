"""What all backends that keep their own state have in common: the port's methods, on the ledger, over a `StoredUnit`.

A store supplies transactions (`_write`), snapshots (`_read`) and a `StoredUnit`; everything that has to do with the meaning of a call
is here or in the ledger, so that such backends behave alike by construction.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime as DateTime

from pyworkflow.backend import requests
from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    FEED_START,
    MOST_COUNTED,
    Capability,
    Diagnosis,
    FeedEntry,
    Pending,
    Poller,
    Queue,
    RegisteredActivity,
    RegisteredWorkflow,
    Reuse,
)
from pyworkflow.backend.cursors import cursor_of
from pyworkflow.backend.defining import Defining
from pyworkflow.backend.reading import (
    describe_pending,
    feed_after,
    listed,
    readable,
    registered_activity,
    registered_workflow,
    to_process,
)
from pyworkflow.backend.touches import Planned, Touches
from pyworkflow.backend.turns import POLLER_SECONDS, Turns
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.clock import SECOND, SystemClock, to_datetime, to_instant
from pyworkflow.codec import Json, payload
from pyworkflow.errors import PyworkflowError, TimedOutError, UnreadableProcessError
from pyworkflow.event import Event
from pyworkflow.ledger import lifecycle
from pyworkflow.ledger.checks.record import Violation
from pyworkflow.ledger.lifecycle import Start
from pyworkflow.ledger.parking import resume
from pyworkflow.ledger.rows import NEVER, ActivityTypeRow, ProcessRow, WorkflowRow
from pyworkflow.process import Process, Status
from pyworkflow.retry import Retry
from pyworkflow.values import check_fields, check_name, check_payload, check_text

log = logging.getLogger("pyworkflow.backend")


class StoredBackend(Turns, Defining):
    """A backend that keeps its own state by the rules of the ledger."""

    capabilities = frozenset(Capability) - {
        Capability.SHARED,
        Capability.DURABLE,
        Capability.CLOCK,
        Capability.JOIN,
    }

    # -- types ---------------------------------------------------------------------------------------------------------------------

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
        """Make a workflow known."""
        row = WorkflowRow(
            check_name(name, "workflow"),
            check_name(category, "category"),
            requests.duration(timeout, "timeout"),
            requests.duration(decision_timeout, "decision_timeout"),
            handles_cancel,
            payload(check_payload(graph, "graph")),
        )
        check_fields(row)
        known = self._snapshot(lambda unit: unit.workflow(row.name))
        if known != row:
            _log_change("workflow", known, row)
            self._do(lambda unit: unit.set_workflow(row))

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
        """Make an activity known."""
        row = ActivityTypeRow(
            check_name(name, "activity"),
            check_name(category, "category"),
            NEVER
            if scheduled_timeout is None
            else requests.duration(scheduled_timeout, "scheduled_timeout"),
            requests.duration(execution_timeout, "execution_timeout"),
            requests.duration(heartbeat_timeout, "heartbeat_timeout"),
            retry,
            at_most_once,
        )
        check_fields(row)
        known = self._snapshot(lambda unit: unit.activity_type(row.name))
        if known != row:
            _log_change("activity", known, row)
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
        request = requests.start(process)
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
                works[place] = _started(requests.start(process), reuse)
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
        self._do(Planned(lambda unit: resume(unit, process_id), Touches(ids=(process_id,))))

    def process_by_id(self, process_id: str) -> Process:
        """Return a process with its whole history."""
        return self._read(lambda unit: self._process(unit, requests.named(unit, process_id)))

    @contextmanager
    def _reading(self, row: ProcessRow) -> Generator[None]:
        """Raise `UnreadableProcessError` for what is damaged of a process, and keep nothing of that: it may be repaired."""
        try:
            with readable(row):
                yield
        except UnreadableProcessError:
            self._histories.forget(row.key)
            raise

    def _process(self, unit: StoredUnit, row: ProcessRow) -> Process:
        if not self._histories.have(row.key):
            # Its events and its input, in one trip.
            unit.expect_histories([(row.key, 0)])
        with self._reading(row):
            return to_process(unit, row, *self._histories.upto(unit, row, row.last_seq))

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
            return [listed(unit, row) for row in rows]

        return self._read(read)

    def history(self, process_id: str, since: int = 0) -> list[Event]:
        """Return the events of a process after the first `since`."""

        def read(unit: StoredUnit) -> list[Event]:
            row = requests.named(unit, process_id)
            with self._reading(row):
                return self._histories.upto(unit, row, row.last_seq)[0][since:]

        return self._read(read)

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        """Return a process as soon as it is closed."""

        def closed(unit: StoredUnit) -> Process | None:
            row = requests.named(unit, process_id)
            return None if row.status in _GOING_ON else self._process(unit, row)

        process = self._wait_for(closed, timeout, ends=True)
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

    # -- looking on ----------------------------------------------------------------------------------------------------------------

    def feed(self, cursor: str = FEED_START, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        """Return the events of all processes after a cursor."""
        return self._wait_for(lambda unit: feed_after(unit, cursor, limit), wait)

    def feed_end(self) -> str:
        """Return the cursor of the newest entry of the feed."""
        batch = self._read(lambda unit: unit.feed_end())
        return FEED_START if batch is None else cursor_of(batch)

    def queues(self) -> list[Queue]:
        """Return the state of every queue that has tasks or pollers."""
        return self._read(lambda unit: unit.queues(self._recently(unit)))

    def pollers(self, within: float = 86_400) -> list[Poller]:
        """Return who has polled which queue."""
        seconds = requests.duration(within, "within")

        def read(unit: StoredUnit) -> list[Poller]:
            return [
                Poller(row.kind, row.category, row.identity, to_datetime(row.seen), row.names)
                for row in unit.pollers(unit.now - seconds)
            ]

        return self._read(read)

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def diagnose(self) -> Diagnosis:
        """Return the state of the store."""

        def read(unit: StoredUnit) -> tuple[int, int, dict[str, str]]:
            parked = unit.select(None, None, "open", True, MOST_COUNTED, 0, False)
            return unit.now, len(parked), unit.facts()

        now, parked, facts = self._snapshot(read)
        ahead = (now - SystemClock().now()) / SECOND
        return Diagnosis(self.name, to_datetime(now), ahead, parked, facts)

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Violation]:
        """Return every invariant that does not hold."""
        # Not by `_read`, which does what is due: a check changes nothing.
        return self._snapshot(lambda unit: unit.check(progress))

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        """Remove processes that closed before an instant."""
        before = to_instant(closed_before)
        return self._do(lambda unit: unit.purge(before, limit))


def _log_change(
    kind: str, known: WorkflowRow | ActivityTypeRow | None, row: WorkflowRow | ActivityTypeRow
) -> None:
    """Log which settings of another program, or of an older release, a registration changes."""
    if known is None:
        return
    changes = [
        name if name == "graph" else f"{name} {_shown(new)} in place of {_shown(old)}"
        for name in row.__struct_fields__
        if (new := getattr(row, name)) != (old := getattr(known, name))
    ]
    log.info("%s %r is registered with other settings: %s", kind, row.name, ", ".join(changes))


def _shown(value: object) -> str:
    """Return a setting for people: durations are stored in microseconds."""
    if type(value) is int:
        return "none" if value >= NEVER else f"{value / SECOND:g} s"
    return repr(value)


_GOING_ON = ("open", "continued")


def _started(request: Start, reuse: Reuse) -> Work:
    """Return the work that starts a process, and returns it as it stands."""
    start = requests.starting(request, reuse)
    return Planned(
        lambda unit: to_process(unit, start.work(unit), None, request.input), start.touches
    )
