"""Executions on SWF: finding them by our ids, listing them, reading their histories."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, timedelta
from datetime import datetime as DateTime
from threading import RLock
from typing import Any

from msgspec import Struct

from pyworkflow.backend.amazonswf.client import Calls, Fault
from pyworkflow.errors import UnknownProcessError
from pyworkflow.event import ProcessStartedEvent
from pyworkflow.process import Process, Status
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import Reader

STATUSES = {
    "COMPLETED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "CANCELED": Status.CANCELED,
    "TERMINATED": Status.TERMINATED,
    "CONTINUED_AS_NEW": Status.CONTINUED,
    "TIMED_OUT": Status.TIMED_OUT,
}
CLOSE_STATUSES = {ours: theirs for theirs, ours in STATUSES.items()}

LOOK_BACK = timedelta(days=366 + 90)
"""How long ago an execution that SWF still knows may have started: a year open, and the longest retention."""

MAX_KNOWN = 100_000

Info = dict[str, Any]


class Execution(Struct, frozen=True):
    """One run of a process on SWF."""

    id: str
    run: str

    def told(self) -> dict[str, str]:
        """Return it as SWF names it."""
        return {"workflowId": self.id, "runId": self.run}


class Executions:
    """Finds and reads executions.

    Args:
        calls: Calls SWF.
        payloads: How texts become values.
    """

    def __init__(self, calls: Calls, payloads: Payloads) -> None:
        self._calls = calls
        self._payloads = payloads
        self._lock = RLock()
        self._newest: OrderedDict[str, str] = OrderedDict()

    def note(self, process_id: str, run: str) -> None:
        """Remember the newest run of a process: SWF's lists learn of it later."""
        with self._lock:
            self._newest[process_id] = run
            self._newest.move_to_end(process_id)
            if len(self._newest) > MAX_KNOWN:
                self._newest.popitem(last=False)

    def split(self, process_id: str) -> tuple[str, str | None]:
        """Return the two parts of ``id`` or ``id:run``; a number of a run becomes SWF's name of it.

        Raises:
            UnknownProcessError: There is no run of this number.
        """
        name, _, run = str(process_id).partition(":")
        if not (run.isascii() and run.isdigit()):
            return name, run or None
        for info in self.runs(name):
            execution = execution_of(info)
            if self.first(execution).state.run == int(run):
                return name, execution.run
        raise UnknownProcessError(process_id)

    def find(self, process_id: str) -> Info:
        """Return what SWF tells of the run that an id means: the one that is named, or the newest.

        Raises:
            UnknownProcessError: There is none.
        """
        name, run = self.split(process_id)
        if run is not None:
            return self.describe(Execution(name, run))
        with self._lock:
            known = self._newest.get(name)
        info = self._described(Execution(name, known)) if known is not None else None
        if info is not None and info["executionStatus"] == "OPEN":
            return info
        listed = self.runs(name)
        if info is not None and all(execution_of(one).run != known for one in listed):
            listed.append(info)
        if not listed:
            raise UnknownProcessError(process_id)
        newest = listed[-1]
        self.note(name, execution_of(newest).run)
        return newest

    def _described(self, execution: Execution) -> Info | None:
        try:
            return self.describe(execution)
        except UnknownProcessError:
            return None

    def describe(self, execution: Execution) -> Info:
        """Return what SWF tells of an execution.

        Raises:
            UnknownProcessError: There is none.
        """
        try:
            answer = self._calls("describe_workflow_execution", execution=execution.told())
        except Fault as fault:
            if fault.code in ("UnknownResourceFault", "ValidationException"):
                raise UnknownProcessError(execution.id) from None
            raise
        return {**answer["executionInfo"], "openCounts": answer["openCounts"]}

    def runs(self, name: str) -> list[Info]:
        """Return all runs of a process that SWF knows, oldest first."""
        found = [
            info
            for status in ("open", "closed")
            for info in self.list(status, {"executionFilter": {"workflowId": name}})
            if execution_of(info).id == name
        ]
        return sorted(found, key=_started)

    def list(
        self, status: str, filters: dict[str, Any], since: DateTime | None = None, **more: Any
    ) -> Iterator[Info]:
        """Return executions: ``open`` or ``closed`` ones, newest first."""
        oldest = DateTime.now(UTC) - LOOK_BACK if since is None else since
        return self._calls.pages(
            f"list_{status}_workflow_executions",
            "executionInfos",
            startTimeFilter={"oldestDate": oldest},
            **filters,
            **more,
        )

    def first(self, execution: Execution) -> Reader:
        """Return the start of an execution."""
        reader = Reader(self._payloads)
        page = self._calls(
            "get_workflow_execution_history", execution=execution.told(), maximumPageSize=1
        )
        reader.read(page["events"][:1])
        return reader

    def origin(self, execution: Execution) -> Reader:
        """Return the start of the first run of a process that goes on as this one."""
        while True:
            page = self._calls(
                "get_workflow_execution_history", execution=execution.told(), maximumPageSize=1
            )
            attributes = page["events"][0]["workflowExecutionStartedEventAttributes"]
            before = attributes.get("continuedExecutionRunId")
            if not before:
                reader = Reader(self._payloads)
                reader.read(page["events"][:1])
                return reader
            execution = Execution(execution.id, before)

    def read(self, execution: Execution) -> Reader:
        """Return an execution with its whole history.

        Raises:
            UnknownProcessError: There is none.
        """
        reader = Reader(self._payloads)
        try:
            reader.read(self.events(execution))
        except Fault as fault:
            if fault.code == "UnknownResourceFault":
                raise UnknownProcessError(execution.id) from None
            raise
        return reader

    def events(self, execution: Execution) -> Iterator[dict[str, Any]]:
        """Return the events of an execution as SWF tells them, oldest first."""
        return self._calls.pages(
            "get_workflow_execution_history", "events", execution=execution.told()
        )


def execution_of(info: Info) -> Execution:
    """Return which execution something is told of."""
    return Execution(info["execution"]["workflowId"], info["execution"]["runId"])


def status_of(info: Info) -> Status:
    """Return where an execution stands."""
    return STATUSES.get(info.get("closeStatus", ""), Status.OPEN)


def _started(info: Info) -> DateTime:
    started: DateTime = info["startTimestamp"]
    return started


def to_process(info: Info) -> Process:
    """Return what a list tells of a process."""
    started = _started(info).astimezone(UTC)
    closed = info.get("closeTimestamp")
    return Process(
        workflow=info["workflowType"]["name"],
        id=info["execution"]["workflowId"],
        tags=info.get("tagList", ()),
        history=[ProcessStartedEvent(datetime=started)],
        parent=info.get("parent", {}).get("workflowId"),
        status=status_of(info),
        started=started,
        closed=closed.astimezone(UTC) if closed is not None else None,
    )
