"""Ways to write a decider: plain, handlers, rules."""

from typing import Any

import pytest

from pyworkflow.activity import Activity, ActivityExecution, activity
from pyworkflow.decision import (
    CompleteProcess,
    FailProcess,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityTimedOut, ProcessCompleted
from pyworkflow.signal import Signal
from pyworkflow.workflow import (
    Decidable,
    DefaultWorkflow,
    RuleSetWorkflow,
    Workflow,
    decisions_of,
    rules,
    workflow,
)


class ChargeActivity(Activity):
    pass


@activity
def ship(order: int) -> int:
    return order


def process(*events: Event) -> Process:
    return Process("w", "p", 7, history=[ProcessStartedEvent(), *events, DecisionStartedEvent()])


def ended(result: Any, name: str = "Charge") -> ActivityEvent:
    return ActivityEvent(ActivityExecution(name, "1", 0), result)


def test_names_come_from_the_class_without_its_suffix() -> None:
    class OrderWorkflow(Workflow): ...

    class Named(Workflow):
        name = "other"

    assert (Workflow.name, OrderWorkflow.name, Named.name) == ("Workflow", "Order", "other")
    assert (Activity.name, ChargeActivity.name) == ("Activity", "Charge")


def test_what_a_decider_returns_becomes_decisions() -> None:
    timer = Timer(1)
    scheduled = decisions_of([ChargeActivity, None, ship, timer], process())

    assert [d.type for d in scheduled] == ["schedule_activity", "schedule_activity", "timer"]
    assert isinstance(scheduled[0], ScheduleActivity)
    assert scheduled[0].input == 7
    assert decisions_of(None, process()) == decisions_of([], process()) == []
    assert decisions_of(timer, process()) == [timer]


@pytest.mark.parametrize("wrong", ["Charge", 5, {"a": 1}, [5], object()])
def test_what_is_no_decision_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="Invalid decision type"):
        decisions_of(wrong, process())


class Handlers(DefaultWorkflow):
    def initiate(self, process: Process) -> Decidable:
        return ChargeActivity

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: Any
    ) -> Decidable:
        return CompleteProcess(result)

    def respond_to_interrupted_activity(
        self, process: Process, execution: ActivityExecution, result: Any
    ) -> Decidable:
        return FailProcess(type(result).__name__)

    def respond_to_signal(self, process: Process, signal: Signal) -> Decidable:
        return Timer(5)


class Polite(DefaultWorkflow):
    def respond_to_cancel_request(self, process: Process, details: Any) -> Decidable:
        return CompleteProcess(details)


def test_each_event_has_its_handler() -> None:
    decided = Handlers().decide(process(ended(ActivityCompleted(0))))

    assert decided[0].type == "schedule_activity"
    assert decided[1] == CompleteProcess(0)
    assert Handlers().decide(process(ended(ActivityTimedOut())))[-1] == FailProcess(
        "ActivityTimedOut"
    )


def test_what_closes_the_process_comes_last_and_timers_are_not_merged() -> None:
    signals = [SignalEvent(Signal("x")), SignalEvent(Signal("x"))]
    decided = Handlers().decide(process(ended(ActivityCompleted(1)), *signals))

    assert [d.type for d in decided] == ["schedule_activity", "timer", "timer", "complete_process"]


def test_a_workflow_that_overrides_the_handler_handles_cancellation() -> None:
    assert Polite.handles_cancel
    assert not Handlers.handles_cancel
    assert Polite().decide(process(CancelRequestedEvent("why"))) == [CompleteProcess("why")]


class Rules(RuleSetWorkflow):
    @rules.process_started
    def begin(self, event: Event, process: Process) -> Decidable:
        return ChargeActivity

    @rules.completed_activity(ChargeActivity, result=0)
    def nothing(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("zero")

    @rules.completed_activity(ChargeActivity, result=lambda r: r["n"] > 1)
    def much(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("much")

    @rules.interrupted_activity(result=ActivityFailed)
    def failed(self, event: Event, process: Process) -> Decidable:
        return FailProcess("failed")

    @rules.signal("a")
    @rules.signal("b")
    def told(self, event: Event, process: Process) -> Decidable:
        return Timer(1)

    @rules.timer({"n": 1})
    def rung(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("rung")

    @rules.child_process_completed(has_tag="big")
    def grown(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("grown")


class MoreRules(Rules):
    @rules.signal("c")
    def more(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("more")

    @rules.timer()
    def rung(self, event: Event, process: Process) -> Decidable:
        return CompleteProcess("any timer")


@pytest.mark.parametrize(
    ("event", "decided"),
    [
        (ended(ActivityCompleted(0)), [CompleteProcess("zero")]),
        (ended(ActivityCompleted({"n": 2})), [CompleteProcess("much")]),
        (ended(ActivityCompleted({"n": 1})), []),
        (ended(ActivityCompleted(0), "Other"), []),
        (ended(ActivityFailed("x")), [FailProcess("failed")]),
        (ended(ActivityTimedOut("x")), [FailProcess("activity 'Charge' timed out: x", "x")]),
        (SignalEvent(Signal("c")), []),
        (TimerEvent(Timer(1, {"n": 1})), [CompleteProcess("rung")]),
        (TimerEvent(Timer(1, {"n": 2})), []),
        (ChildProcessEvent("c", ProcessCompleted(), "w", ("big",)), [CompleteProcess("grown")]),
        (ChildProcessEvent("c", ProcessCompleted(), "w"), []),
    ],
)
def test_a_rule_fires_for_the_events_that_its_filters_fit(event: Event, decided: list[Any]) -> None:
    assert Rules().decide(process(event))[1:] == decided


def test_rules_are_inherited_and_overridden() -> None:
    assert MoreRules().decide(process(SignalEvent(Signal("c"))))[-1] == CompleteProcess("more")
    assert [d.type for d in MoreRules().decide(process(SignalEvent(Signal("a"))))][-1] == "timer"
    assert MoreRules().decide(process(TimerEvent(Timer(1))))[-1] == CompleteProcess("any timer")


def test_two_rules_that_start_equal_timers_start_two() -> None:
    class Twice(RuleSetWorkflow):
        @rules.signal()
        def one(self, event: Event, process: Process) -> Decidable:
            return Timer(5)

        @rules.signal("a")
        def two(self, event: Event, process: Process) -> Decidable:
            return Timer(5)

    assert len(Twice().decide(process(SignalEvent(Signal("a"))))) == 2


@pytest.mark.parametrize("nothing", [None, False, 0, 0.0, "", (), [], {}])
def test_whatever_is_falsy_is_no_decision(nothing: Any) -> None:
    assert decisions_of(nothing, process()) == []


def test_a_function_is_a_workflow_by_its_decorator() -> None:
    @workflow
    def greet(process: Process) -> Decidable:
        """Greet."""
        return CompleteProcess(process.input)

    @workflow(name="Farewell", activities=[ship], timeout=5, handles_cancel=True)
    def leave(process: Process) -> Decidable:
        return None

    assert (greet.name, greet.__doc__, greet.activities) == ("greet", "Greet.", ())
    assert greet().decide(process()) == CompleteProcess(7)
    assert (leave.name, list(leave.activities), leave.timeout) == ("Farewell", [ship], 5)
    assert leave.handles_cancel


def test_a_rule_for_everything_does_not_promise_to_handle_cancellation() -> None:
    class Logs(RuleSetWorkflow):
        @rules.rule(lambda event: True)
        def log(self, event: Event, process: Process) -> None: ...

    class Answers(Logs):
        @rules.cancel_requested
        def cancel(self, event: Event, process: Process) -> None: ...

    class Knows(RuleSetWorkflow):
        @rules.rule(lambda event: isinstance(event, CancelRequestedEvent))
        def cancel(self, event: Event, process: Process) -> None: ...

    assert [Logs.handles_cancel, Answers.handles_cancel, Knows.handles_cancel] == [
        False,
        True,
        True,
    ]


def test_timers_and_children_of_one_id_are_never_silently_one() -> None:
    class Twice(RuleSetWorkflow):
        @rules.process_started
        def one(self, event: Event, process: Process) -> Decidable:
            return [Timer(5, id="t"), StartChildProcess(Process("w", id="c"))]

        @rules.process_started
        def two(self, event: Event, process: Process) -> Decidable:
            return [Timer(5, id="t"), StartChildProcess(Process("w", id="c"))]

    decided = Twice().decide(process())

    assert [decision.type for decision in decided] == ["timer", "start_child_process"] * 2
