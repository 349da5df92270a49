"""What becomes of events that no handler or rule takes."""

from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution, activity
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    FailProcess,
    RecordMarker,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidRequestError, StalledError
from pyworkflow.event import (
    ActivityEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process, ProcessCompleted, ProcessFailed, Status
from pyworkflow.result import ActivityCanceled, ActivityFailed, ActivityResult, ActivityTimedOut
from pyworkflow.signal import Signal
from pyworkflow.testing.run import Runner, WaitsForeverError
from pyworkflow.workflow import Decidable, DefaultWorkflow, RuleSetWorkflow, rules


@activity
def charge(order: dict[str, int]) -> int:
    return order["amount"]


class HandlerOrder(DefaultWorkflow):
    activities = (charge,)

    def initiate(self, process: Process) -> Decidable:
        return charge

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: Any
    ) -> Decidable:
        return CompleteProcess(result)


class RuleOrder(RuleSetWorkflow):
    activities = (charge,)

    @rules.process_started
    def begin(self, event: Event, process: Process) -> Decidable:
        return charge

    @rules.completed_activity(charge)
    def end(self, event: ActivityEvent, process: Process) -> Decidable:
        return CompleteProcess(event.result)

    @rules.rule(lambda event: True)
    def log(self, event: Event, process: Process) -> Decidable:
        return RecordMarker("log")


def process(*events: Event, run: int = 1) -> Process:
    history = [
        ProcessStartedEvent(),
        DecisionStartedEvent(),
        DecisionEvent(ScheduleActivity(charge, id="c")),
        *events,
        DecisionStartedEvent(),
    ]
    return Process("w", "p", 7, history=history, run=run)


def ended(result: ActivityResult) -> ActivityEvent:
    return ActivityEvent(ActivityExecution("charge", "c"), result)


@pytest.mark.parametrize("style", [HandlerOrder, RuleOrder])
def test_an_activity_that_fails_without_a_handler_fails_its_process(style: Any) -> None:
    runner = Runner(style)

    ended = runner.finish(runner.start(style, {"price": 1}))

    assert ended.status is Status.FAILED
    assert isinstance(ended.result, ProcessFailed)
    assert ended.result.reason == "activity 'charge' failed: KeyError: 'amount'"
    assert "Traceback" in str(ended.result.details)


@pytest.mark.parametrize("style", [HandlerOrder, RuleOrder])
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (ActivityFailed("no money"), "activity 'charge' failed: no money"),
        (ActivityTimedOut("start_to_close"), "activity 'charge' timed out: start_to_close"),
        (ActivityCanceled("by hand"), "activity 'charge' canceled: by hand"),
        (ActivityCanceled(), "activity 'charge' canceled"),
    ],
)
def test_every_end_but_completion_fails_the_process(
    style: Any, result: ActivityResult, reason: str
) -> None:
    decision = style().decide(process(ended(result)))[-1]

    assert isinstance(decision, FailProcess)
    assert decision.reason == reason


class Patient(HandlerOrder):
    def respond_to_signal(self, process: Process, signal: Signal) -> Decidable:
        return CompleteProcess(signal.data)


def test_a_cancellation_that_the_process_asked_for_does_not_fail_it() -> None:
    canceled = process(DecisionEvent(CancelActivity("c")), ended(ActivityCanceled()))

    assert Patient().decide(canceled) == []
    with pytest.raises(StalledError):
        HandlerOrder().decide(canceled)


class Forgetful(HandlerOrder):
    def respond_to_interrupted_activity(
        self, process: Process, execution: ActivityExecution, result: ActivityResult
    ) -> Decidable:
        return RecordMarker("pity")


class Starts(RuleSetWorkflow):
    @rules.completed_activity(charge)
    def end(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess()


class Waits(Starts):
    @rules.signal("go")
    def go(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("gone")


class WaitsForAny(Starts):
    @rules.rule(lambda event: event.signal.name == "go")  # type: ignore[attr-defined]
    def go(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("gone")


def test_decisions_that_leave_nothing_open_are_refused() -> None:
    failed = process(ended(ActivityFailed("x")))

    with pytest.raises(StalledError, match=r"'Forgetful' opens nothing .* after activity; "):
        Forgetful().decide(failed)
    with pytest.raises(StalledError, match="after process_started"):
        Starts().decide(Process("Starts", "p"))


@pytest.mark.parametrize("workflow", [Waits, WaitsForAny])
def test_a_workflow_that_takes_signals_waits_for_one(workflow: Any) -> None:
    assert workflow().decide(Process("w", "p")) == []


child = StartChildProcess(Process("Other", "kid"))


@pytest.mark.parametrize(
    "events",
    [
        [ended(ActivityFailed("x")), DecisionEvent(Timer(5))],
        [ended(ActivityFailed("x")), DecisionEvent(child)],
        [ended(ActivityFailed("x")), DecisionEvent(ScheduleActivity(charge))],
    ],
)
def test_a_process_with_something_open_is_not_stalled(events: list[Event]) -> None:
    assert [d.type for d in Forgetful().decide(process(*events))] == ["record_marker"]


def test_what_has_ended_moves_nothing() -> None:
    timer = Timer(5)
    gone = [ended(ActivityFailed("x")), DecisionEvent(timer), DecisionEvent(CancelTimer(timer.id))]
    over = [DecisionEvent(child), ChildProcessEvent("kid", ProcessCompleted(), "Other")]
    refused = [DecisionEvent(child), DecisionRejectedEvent(child, "unknown workflow 'Other'")]

    with pytest.raises(StalledError):
        Forgetful().decide(process(*gone, *over, *refused))


def test_a_later_run_may_have_children_of_an_earlier_one() -> None:
    stalled = process(ended(ActivityFailed("x")), run=2)

    assert [d.type for d in Forgetful().decide(stalled)] == ["record_marker"]


def test_a_stalled_process_is_parked_at_once_and_goes_on_with_repaired_code() -> None:
    runner = Runner(Forgetful)
    process_id = runner.start(Forgetful, {})

    parked = runner.manager.process_by_id(process_id).parked
    assert parked is not None
    assert "'Forgetful' opens nothing and does not close the process" in parked
    with pytest.raises(WaitsForeverError, match="opens nothing"):
        runner.finish(process_id)

    class Repaired(HandlerOrder):
        name = "Forgetful"

    repaired = Runner(Repaired, backend=runner.manager.backend, clock=runner.clock)
    repaired.manager.retry_process(process_id)

    assert repaired.finish(process_id).status is Status.FAILED


def test_signals_that_no_handler_takes_do_not_harm_a_process() -> None:
    signaled = process(SignalEvent(Signal("hello")))

    assert HandlerOrder().decide(signaled) == []


def test_a_misspelt_handler_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(InvalidRequestError, match=r"'initate': .* did you mean 'initiate'\?"):

        class Typo(DefaultWorkflow):
            def initate(self, process: Process) -> Decidable: ...

    with pytest.raises(InvalidRequestError, match="did you mean 'respond_to_completed_activity'"):

        class Shortened(DefaultWorkflow):
            def respond_to_completed(self, process: Process) -> Decidable: ...


def test_other_methods_may_have_any_name() -> None:
    class Fine(DefaultWorkflow):
        def initiate_payment(self) -> None: ...

        def signal(self) -> None: ...

    assert Fine.takes_signals is False
