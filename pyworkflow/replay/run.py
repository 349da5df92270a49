"""One process whose code is run along its history: alive between decisions, and made again from the history whenever that is needed."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC
from datetime import datetime as DateTime
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec import UNSET, UnsetType, structs

from pyworkflow.cache import value_size
from pyworkflow.codec import Json, fixed, stored
from pyworkflow.decision import (
    CompleteProcess,
    ContinueProcess,
    Decision,
    RecordMarker,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import (
    NondeterminismError,
    OtherReleaseError,
    PayloadError,
    PyworkflowError,
)
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionRejectedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.failure import describe
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.replay.arguments import call_of, plain
from pyworkflow.replay.commands import Commands
from pyworkflow.replay.compare import (
    PATCHED,
    SIDE_EFFECT,
    UNCONSUMED,
    differ,
    identity_of,
    is_report,
    side_by_side,
)
from pyworkflow.replay.ending import ending
from pyworkflow.replay.failures import (
    ChildNotStarted,
    SideEffectFailed,
    child_failure,
    continuing,
    raised,
    refuse,
)
from pyworkflow.replay.forbidden import unguarded
from pyworkflow.replay.info import Info
from pyworkflow.replay.mailbox import Mailbox, fitted
from pyworkflow.replay.operation import OnCancel, Operation
from pyworkflow.replay.requests import Requests
from pyworkflow.replay.windows import Reader, Window
from pyworkflow.result import ActivityCompleted, ActivityFailed, ProcessCompleted
from pyworkflow.signal import Signal

if TYPE_CHECKING:
    from pyworkflow.replay.workflow import ReplayWorkflow

log = logging.getLogger("pyworkflow.replay")

T = TypeVar("T")

EPOCH = DateTime(1970, 1, 1, tzinfo=UTC)


class StaleRunError(Exception):
    """A run has gone on from a decision that did not count: it is made again from the history."""


class Run(Requests):
    """The code of one process, as far as its history has come.

    Args:
        workflow: The workflow object whose code runs.
        process: The process.
        reads: Whether it only answers a query: it goes on over events that no decision has been shown yet, performs no side effect, and stops
            where it would need the value of one.
    """

    def __init__(
        self, workflow: "ReplayWorkflow", process: Process, *, reads: bool = False
    ) -> None:
        super().__init__(self._ignore_signal, workflow.parks_on)
        self.workflow = workflow
        self._reads = reads
        self.process = process
        self.history = History()
        self._input_size = value_size(stored(process, "input"))
        self.random = Random(self.seed("random"))  # noqa: S311 - to be the same again is its purpose
        self.uuids = Random(self.seed("uuid"))  # noqa: S311
        self.now = process.started or EPOCH
        self._reader = Reader()
        self._made: list[Decision] = []
        self._window: Window = Window([], 0, None)
        self._known: Sequence[Decision] | None = None
        self._main: asyncio.Task[Any] | None = None
        self._patches: dict[str, bool] = {}
        self._recorded_patches: set[str] = set()
        self._cancel_requested = False
        self._cancel_details: Json = None
        self._late_cancel: Json | UnsetType = UNSET
        self._handling: set[asyncio.Task[Any]] = set()
        self._unrecorded: list[Decision] | None = None
        self._failure: BaseException | None = None

    def seed(self, purpose: str) -> str:
        """Return a text that is this process's own, and the same in every replay."""
        process = self.process
        told = f"{purpose}|{process.workflow}|{process.id}|{process.run}|{process.started}"
        return sha256(told.encode()).hexdigest()

    # -- along the history ---------------------------------------------------------------------------------------------------------

    def advance(
        self,
        history: History,
        known: Sequence[Decision] | None = None,
    ) -> list[Decision]:
        """Run the code to the end of a history; return what it decides there.

        Args:
            history: The history; it begins with the one that was given before.
            known: What was decided at the end of it, if that is known: the code is told what that recorded, and may decide otherwise.

        Raises:
            NondeterminismError: The code decides something else than the history holds.
            StaleRunError: What was decided before did not count.
        """
        decided: list[Decision] = []
        with self.loop.current():
            for window in self._reader.windows(history, beyond=self._reads):
                if window is None:
                    raise StaleRunError
                decided = self._decide(window, known)
        self.history = history
        return decided

    @property
    def finished(self) -> bool:
        """Whether the code has come to its end, and so have the activities that it began."""
        return self._ended_code and not self._still_running()

    @property
    def _ended_code(self) -> bool:
        """Whether `run` has ended, and the signal handlers that had begun by then."""
        main = self._main
        return self._broken or (main is not None and main.done() and not self._handling)

    def _still_running(self) -> list[Operation[Any]]:
        """Return the activities that the process may not close over: whoever cancels one only asks it."""
        running = self._running.values()
        return [operation for operation in running if operation.on_cancel != OnCancel.ABANDON]

    @property
    def _end(self) -> BaseException | None:
        """What `run` has ended by, if it did not return."""
        if self._main is None or not self._main.done():
            return None
        return asyncio.CancelledError() if self._main.cancelled() else self._main.exception()

    @property
    def _continues(self) -> bool:
        """Whether the process goes on as a new run: signals and requests to cancel are for that."""
        end = self._end
        return end is not None and continuing(end) is not None

    @property
    def _broken(self) -> bool:
        """Whether the code has ended by an exception: nothing of it goes on."""
        return self._failure is not None or (self._end is not None and not self._continues)

    @property
    def size(self) -> int:
        """About how many bytes its values take."""
        decided = (value_size(getattr(decision, "input", None)) for decision in self._made)
        # Its payloads are there as JSON, and in the code as values.
        return 2 * (self.history.size + self._input_size) + sum(decided)

    def drop(self) -> None:
        """Let go of the code, wherever it is, and of all values."""
        self.loop.drop()
        # The parts of a run refer to each other, so they wait for the collector, and that counts objects and not their bytes.
        self.history = History()
        self.process = structs.replace(self.process, input=None, history=self.history)
        self.commands = Commands()
        self._mailbox = Mailbox(lambda name, error: None)
        self._operations.clear()
        self._running.clear()
        self._reader, self._window, self._main = Reader(), Window([], 0, None), None
        self._made, self._known, self._unrecorded = [], None, None
        self._cancel_details = None

    def _decide(self, window: Window, known: Sequence[Decision] | None) -> list[Decision]:
        if window is not self._window:
            self._window = window
            self._known = known if window.decided is None else window.decided
            self.now = window.time or self.now
            self._places = []
            self._uncompared.clear()
            self._made = self._run(window)
        if window.decided is not None:
            self._compare(window.decided)
        return self._made

    def _run(self, window: Window) -> list[Decision]:
        time = self.now.timestamp()
        for event in window.events:
            self._tell(event)
            if not self._broken:
                self.loop.run(time)
            if self._unrecorded is not None:
                return self._unrecorded
        if not self._ended_code:
            return self.commands.take()
        main = self._main
        assert main is not None  # noqa: S101 - it has ended
        end = ending(main, self._failure, self._cancel_details, self.workflow.parks_on)
        # Earlier releases closed over what was running, and a history that says so is a history.
        if (running := self._still_running()) and not (self._known and self._known[-1].closing):
            if not isinstance(end, CompleteProcess | ContinueProcess):
                for operation in running:
                    operation.cancel()
            if self._still_running():
                return self.commands.take()
        return [*self.commands.take(), *self._with_unconsumed(end)]

    def _with_unconsumed(self, end: Decision) -> list[Decision]:
        """Return the end of the run with what it has not consumed: the next run gets it, or the history says so."""
        left = self._mailbox.left()
        if isinstance(end, ContinueProcess):
            late = self._late_cancel
            return [structs.replace(end, signals=(*end.signals, *left), cancel_details=late)]
        if not left:
            return [end]
        names = Counter(signal.name for signal in left)
        if not self.info().replaying:
            counts = ", ".join(f"{number} of {name!r}" for name, number in names.items())
            log.warning("process %r ends without having taken signals: %s", self.process.id, counts)
        return [RecordMarker(UNCONSUMED, fixed(names)), end]

    def _compare(self, recorded: list[Decision]) -> None:
        recorded = [decision for decision in recorded if not is_report(decision)]
        made = [decision for decision in self._made if not is_report(decision)]
        self._recorded_patches.update(
            d.details for d in recorded if isinstance(d, RecordMarker) and d.name == PATCHED
        )
        if differ(recorded, made, self.compares):
            raise self._mismatch_with(recorded, made)

    def compares(self, decision: Decision) -> bool:
        """Tell whether the payload of a decision of the present window counts."""
        if not self.workflow.compare_payloads:
            return False
        return not self._uncompared or identity_of(decision) not in self._uncompared

    def _mismatch_with(
        self, recorded: Sequence[Decision], made: list[Decision]
    ) -> NondeterminismError:
        places = self._places if len(self._places) == len(made) else []
        shown = side_by_side(
            self.process.workflow,
            self._window.number,
            recorded,
            made,
            places,
            self.compares,
        )
        if changes := sorted(self._recorded_patches - self._patches.keys()):
            release = f"another release has decided it, with changes that this code lacks: {', '.join(changes)}"
            return OtherReleaseError(
                self.process.id, f"{release}; a worker of that release goes on\n{shown}"
            )
        return NondeterminismError(self.process.id, shown)

    # -- events --------------------------------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        match event:
            case ProcessStartedEvent():
                self._start()
            case ActivityEvent():
                self._end_activity(event)
            case TimerEvent():
                self._fire(event.timer.id)
            case SignalEvent():
                self._receive(event.signal)
            case ChildProcessEvent():
                self._end_child(event)
            case CancelRequestedEvent():
                self._request_cancel(event.details)
            case DecisionRejectedEvent():
                self._reject(event.decision, event.reason)
            case _:
                pass

    def _start(self) -> None:
        run = self.workflow.run
        args, kwargs = call_of(run, self.process.input, f"input of workflow {self.workflow.name!r}")
        self._main = self.loop.create_task(run(*args, **kwargs), name="run")

    def _end_activity(self, event: ActivityEvent) -> None:
        execution, result = event.activity_execution, event.result
        operation = self._ended("activity", execution.id)
        self._concluded(execution.id, result)
        if operation is None or operation.done():
            return
        if isinstance(result, ActivityCompleted):
            operation.succeed(result.result)
        else:
            operation.fail(raised(result, execution))

    def _end_child(self, event: ChildProcessEvent) -> None:
        operation = self._ended("child", event.process_id)
        if operation is None:
            return
        if isinstance(event.result, ProcessCompleted):
            operation.succeed(event.result.result)
        else:
            operation.fail(child_failure(event.process_id, event.workflow or "", event.result))

    def _receive(self, signal: Signal) -> None:
        handler = self.workflow.handler_of(signal.name)
        if self._broken or self._continues:
            self._mailbox.keep(signal)
        elif handler is not None:
            self.loop.call_soon(self._handle, handler, signal)
        else:
            self._mailbox.put(signal)

    def _ignore_signal(self, name: str, error: PayloadError) -> None:
        """Report a signal that does not fit; the history keeps it."""
        if not self.info().replaying:
            log.warning("process %r ignores signal %r: %s", self.process.id, name, error)

    def _handle(self, handler: Callable[..., Any], signal: Signal) -> None:
        what = f"data of signal {signal.name!r}"
        try:
            args, kwargs = fitted(lambda data: call_of(handler, data, what), signal.data)
        except PayloadError as error:
            self._ignore_signal(signal.name, error)
            return
        try:
            returned = handler(*args, **kwargs)
        except (
            BaseException
        ) as error:  # of users' code: what becomes of it is decided with the window
            self.loop.refuse_mistake(error)
            self._failure = self._failure or error
            return
        if asyncio.iscoroutine(returned):
            task = self.loop.create_task(returned, name=f"signal {signal.name}")
            self._handling.add(task)
            task.add_done_callback(self._handled)

    def _handled(self, task: "asyncio.Task[Any]") -> None:
        self._handling.discard(task)
        # A handler that fails fails the process, as it would if `run` had called it.
        error = None if task.cancelled() else task.exception()
        self._failure = self._failure or error

    def _request_cancel(self, details: Json) -> None:
        if self._broken or self._continues:
            self._late_cancel = details
        # Once: a second request would interrupt the compensation that the first has begun.
        elif not self._cancel_requested and self._main is not None:
            self._cancel_requested = True
            self._cancel_details = details
            ended = self._main.done()
            for each in [*self._handling, *self._still_running()] if ended else [self._main]:
                each.cancel()

    def _reject(self, decision: Decision, reason: str) -> None:
        match decision:
            case StartChildProcess():
                child = decision.process
                operation = self._ended("child", child.id)
                if operation is not None:
                    operation.fail(ChildNotStarted(child.id, child.workflow, None, reason))
            case ScheduleActivity():
                operation = self._ended("activity", decision.id)
                failed = ActivityFailed(reason)
                self._concluded(decision.id, failed)
                if operation is not None:
                    operation.fail(failed)
            case Timer():
                raise PyworkflowError(f"timer {decision.id!r} could not be started: {reason}")
            case _:
                # What was to be told or canceled is not there any more.
                pass

    # -- what is recorded ----------------------------------------------------------------------------------------------------------

    def _recorded(self, name: str) -> list[RecordMarker]:
        return [d for d in self._known or () if isinstance(d, RecordMarker) and d.name == name]

    def patched(self, change: str) -> bool:
        """Tell whether the process takes the changed path; see `ReplayWorkflow.patched`."""
        self.loop.listen()
        if change not in self._patches:
            old = self._known is not None
            new = not old or any(m.details == change for m in self._recorded(PATCHED))
            self._patches[change] = new
            if new and not self.answers:
                self.decide(RecordMarker(PATCHED, change))
        return self._patches[change]

    def side_effect(self, function: Callable[[], T], convert: Callable[[Any], T] | None) -> T:
        """Return what a function returned the first time; see `ReplayWorkflow.side_effect`."""
        self.listen()
        number = self.commands.next_id(SIDE_EFFECT)
        if self._known is None and self._reads:
            self._unrecorded = []
            refuse()
        if self._known is None:
            details = self._perform(number, function)
        else:
            found = (m.details for m in self._recorded(SIDE_EFFECT) if m.details["id"] == number)
            details = next(found, cast("dict[str, Json]", {}))
            if not details:
                # What it would return is not known, so nothing after it counts.
                self._note()
                made = [*self.commands.take(), RecordMarker(SIDE_EFFECT, {"id": number})]
                self._unrecorded = made
                refuse()
        self.decide(RecordMarker(SIDE_EFFECT, fixed(details)))
        if "error" in details:
            raise SideEffectFailed(details["error"])
        value: Any = details.get("value")
        returned: T = value if convert is None else convert(value)
        return returned

    def _perform(self, number: str, function: Callable[[], Any]) -> dict[str, Json]:
        try:
            with unguarded():
                value = plain(function(), "value of a side effect")
        except Exception as error:
            # Nothing is recorded of a mistake or an outage: the decision is made again.
            self.loop.refuse_mistake(error)
            return {"id": number, "error": describe(error).line}
        return {"id": number, "value": value}

    def info(self) -> Info:
        """Return what the code may know of its process."""
        process = self.process
        return Info(
            process.workflow,
            process.id,
            stored(process, "input"),
            process.tags,
            process.parent,
            process.run,
            process.started,
            self._window.number,
            self._cancel_requested,
            self._reads or self._known is not None,
        )
