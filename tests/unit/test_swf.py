"""Amazon's vocabulary: every type of the service model, both ways."""

from datetime import UTC, timedelta
from datetime import datetime as DateTime
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.amazonswf.looking import waits_of
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    NewProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidRequestError, PayloadError
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessTerminated,
    ProcessTimedOut,
)
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.swf.asked import from_swf
from pyworkflow.swf.chores import context_of
from pyworkflow.swf.decisions import Context, to_swf
from pyworkflow.swf.happened import READERS
from pyworkflow.swf.payload import Packed, Payloads
from pyworkflow.swf.reading import MissingEventError, Reader
from pyworkflow.swf.settings import ActivityType, Settings
from pyworkflow.swf.words import attempt_id, parse_attempt, timeout
from pyworkflow.swf.writing import to_swf_history

MODEL: Any = Session().get_service_model("swf")
DECISION_TYPES = set(MODEL.shape_for("Decision").members["decisionType"].enum)
EVENT_TYPES = set(MODEL.shape_for("HistoryEvent").members["eventType"].enum)

DECISIONS: list[Decision] = [
    ScheduleActivity("charge", "a", input=0),
    ScheduleActivity("charge", "a#2", "fast", [], 1.5, 20, 30, Retry(5, non_retryable=("x",))),
    CancelActivity("a"),
    ScheduleLambda("resize", "l", {"n": 1}, 7.5),
    ScheduleLambda("resize", "l"),
    Timer(5, 0, "t"),
    Timer(0.25, {"$pyworkflow": {"delay": 3}}, "t"),
    CancelTimer("t"),
    StartChildProcess(NewProcess("order", "kid", False, ("small", "green")), ChildPolicy.TERMINATE),
    SignalProcess("other", Signal("hello", "", "s1")),
    SignalProcess("other:run", Signal("hello", None)),
    RequestCancelProcess("other", {"why": []}),
    RecordMarker("m", "x"),
    CompleteProcess([]),
    CancelProcess(""),
    FailProcess("reason " * 100, {"n": 1}),
    FailProcess(None, None),
    ContinueProcess(0, tags=["x"]),
    ContinueProcess(),
    ContinueProcess(
        signals=[Signal("a", {"x": [1]}, "s1"), Signal("b", 0)], cancel_details=["why"]
    ),
]


def validate(told: dict[str, Any], shape: str) -> None:
    """Hold something to Amazon's own service model."""
    report = ParamValidator().validate(told, MODEL.shape_for(shape))
    assert not report.has_errors(), report.generate_report()


def context(**given: Any) -> Context:
    process = Process("order", "p", {"in": 1}, ["tag"], category="special", timeout=77)
    return Context(Payloads(), Settings(**given), process)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: d.type)
def test_a_decision_survives_the_way_to_swf_and_back(decision: Decision) -> None:
    told = to_swf(decision, context())

    validate(told, "Decision")
    assert from_swf(told, Payloads()) == decision


def test_every_decision_type_of_the_service_model_is_translated() -> None:
    assert {to_swf(d, context())["decisionType"] for d in DECISIONS} == DECISION_TYPES


def scheduled(
    *ends: Event, decision: ScheduleActivity | ScheduleLambda | None = None
) -> list[Event]:
    wanted = decision or ScheduleActivity("charge", "a", input=[1])
    return [DecisionStartedEvent(), DecisionEvent(wanted), *ends]


A = ActivityExecution("charge", "a", [1])
L = ActivityExecution("resize", "l", 0)
LAMBDA = ScheduleLambda("resize", "l", 0)
KID = StartChildProcess(NewProcess("order", "kid", 1, ("small",)))
TIMER = Timer(5, {"why": 0}, "t")
RETRY = Retry(max_attempts=3, initial=4)


def ended(result: Any) -> list[Event]:
    return scheduled(ActivityStartedEvent(A), ActivityEvent(A, result))


def child(result: Any) -> list[Event]:
    told = ChildProcessEvent("kid", result, "order", ("small",))
    return [DecisionStartedEvent(), DecisionEvent(KID), told]


def decided(*decisions: Any) -> list[Event]:
    return [DecisionStartedEvent(), *(DecisionEvent(d) for d in decisions)]


def rejected(decision: Any, cause: str, *, initiated: bool = False) -> list[Event]:
    made = [decision] if initiated else [RecordMarker("m")]
    return [*decided(*made), DecisionRejectedEvent(decision, cause)]


SIGNAL = SignalProcess("other", Signal("x", 1))
CANCEL = RequestCancelProcess("other")
UNKNOWN = "unknown process 'other'"

HISTORIES: list[list[Event]] = [
    ended(ActivityCompleted(0)),
    ended(ActivityFailed("bad " * 100, {"x": 1}, "ValueError")),
    ended(ActivityFailed()),
    ended(ActivityCanceled("no")),
    ended(ActivityTimedOut("heartbeat")),
    ended(ActivityTimedOut("its own")),
    scheduled(ActivityEvent(A, ActivityTimedOut("schedule_to_start"))),
    [*scheduled(), *decided(CancelActivity("a")), ActivityEvent(A, ActivityCanceled())],
    scheduled(ActivityStartedEvent(L), ActivityEvent(L, ActivityCompleted(1)), decision=LAMBDA),
    scheduled(ActivityStartedEvent(L), ActivityEvent(L, ActivityFailed("x", 1)), decision=LAMBDA),
    scheduled(
        ActivityStartedEvent(L),
        ActivityEvent(L, ActivityTimedOut("start_to_close")),
        decision=LAMBDA,
    ),
    scheduled(
        ActivityEvent(L, ActivityFailed("ASSUME_ROLE_FAILED", "no such role")), decision=LAMBDA
    ),
    scheduled(
        ActivityStartedEvent(A),
        ActivityAttemptEvent(A, ActivityFailed("once"), 1, 4.0),
        ActivityStartedEvent(A, 2),
        ActivityAttemptEvent(A, ActivityTimedOut("heartbeat"), 2, 8.0),
        ActivityStartedEvent(A, 3),
        ActivityEvent(A, ActivityFailed("thrice")),
        decision=ScheduleActivity("charge", "a", input=[1], retry=RETRY),
    ),
    scheduled(
        ActivityAttemptEvent(A, ActivityTimedOut("schedule_to_start"), 1, 4.0),
        ActivityStartedEvent(A, 2),
        ActivityEvent(A, ActivityCompleted(0)),
        decision=ScheduleActivity("charge", "a", input=[1], retry=RETRY),
    ),
    [*decided(TIMER), TimerEvent(TIMER)],
    [*decided(TIMER), *decided(CancelTimer("t"))],
    [SignalEvent(Signal("s", 0)), SignalEvent(Signal("s", None, "id"))],
    [CancelRequestedEvent("why"), CancelRequestedEvent()],
    child(ProcessCompleted(50)),
    child(ProcessFailed("bad " * 100, [])),
    child(ProcessCanceled("no")),
    child(ProcessTimedOut("start_to_close")),
    child(ProcessTerminated()),
    decided(SIGNAL, CANCEL, CompleteProcess("done")),
    decided(FailProcess("bad", 1)),
    decided(CancelProcess("enough")),
    decided(ContinueProcess(2)),
    [ProcessTimedOutEvent()],
    [ProcessTerminatedEvent("long " * 100, {"n": 0})],
    [DecisionStartedEvent(), DecisionTimedOutEvent(), *decided(CompleteProcess())],
    [
        DecisionStartedEvent(),
        SignalEvent(Signal("s", 1)),
        DecisionTimedOutEvent(),
        *decided(CompleteProcess()),
    ],
    [DecisionStartedEvent(), DecisionFailedEvent("broken", "trace"), *decided(TIMER)],
    [*decided(RecordMarker("m")), DecisionFailedEvent("unseen events"), *decided(TIMER)],
    rejected(ScheduleActivity("charge", "b"), "activity 'charge': is not registered"),
    rejected(CancelActivity("b"), "the activity is not open any more"),
    rejected(ScheduleLambda("f", "l"), "activity id 'l': is open already"),
    rejected(Timer(0, None, "t"), "timer id 't': is open already"),
    rejected(CancelTimer("t"), "the timer is not open any more"),
    rejected(RecordMarker("m"), "OPERATION_NOT_PERMITTED"),
    rejected(KID, "process 'kid' already exists: it is open", initiated=True),
    rejected(StartChildProcess(NewProcess("order", "kid")), "workflow 'order': is not registered"),
    rejected(SIGNAL, UNKNOWN, initiated=True),
    rejected(CANCEL, UNKNOWN, initiated=True),
    rejected(CompleteProcess(), "OPERATION_NOT_PERMITTED"),
    rejected(FailProcess(), "OPERATION_NOT_PERMITTED"),
    rejected(CancelProcess(), "OPERATION_NOT_PERMITTED"),
    rejected(ContinueProcess(), "WORKFLOW_TYPE_DEPRECATED"),
    decided(*DECISIONS[:4]),
]


def process_of(events: list[Event]) -> Process:
    return Process(
        "order",
        "p",
        False,
        ["x", "y"],
        [ProcessStartedEvent(), *events],
        "mother",
        3,
        category="q",
        timeout=60,
    )


def read(events: list[dict[str, Any]]) -> Reader:
    reader = Reader(Payloads())
    reader.read(events)
    return reader


@pytest.mark.parametrize("events", HISTORIES, ids=lambda e: "-".join(x.type for x in e)[:50])
def test_a_history_survives_the_way_to_swf_and_back(events: list[Event]) -> None:
    process = process_of(events)
    told = to_swf_history(process)
    for event in told:
        validate({"eventTimestamp": DateTime(2026, 1, 1, tzinfo=UTC)} | event, "HistoryEvent")

    back = read(told).process("p")

    assert list(back.history) == list(process.history)
    assert (back.workflow, back.input, back.tags, back.parent, back.run) == (
        "order",
        False,
        ("x", "y"),
        "mother",
        3,
    )
    assert (back.category, back.timeout) == ("q", 60)


def test_every_event_type_of_the_service_model_is_written() -> None:
    written = {
        event["eventType"] for events in HISTORIES for event in to_swf_history(process_of(events))
    }

    assert written == EVENT_TYPES


def test_every_event_type_of_the_service_model_is_read() -> None:
    own = {
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "DecisionTaskCompleted",
        "DecisionTaskTimedOut",
    }

    assert set(READERS) | own == EVENT_TYPES


@pytest.mark.parametrize("events", HISTORIES, ids=lambda e: "-".join(x.type for x in e)[:50])
def test_reading_event_by_event_is_reading_at_once(events: list[Event]) -> None:
    told = to_swf_history(process_of(events))
    reader = Reader(Payloads())
    for event in told:
        reader.read([event])
        # Looking must not disturb what is read later.
        reader.history()

    assert list(reader.history()) == list(read(told).history())
    assert reader.state == read(told).state


def raw(number: int, kind: str, **attributes: Any) -> dict[str, Any]:
    at = DateTime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    key = f"{kind[0].lower()}{kind[1:]}EventAttributes"
    return {"eventId": number, "eventType": kind, "eventTimestamp": at, key: attributes}


START = raw(1, "WorkflowExecutionStarted", workflowType={"name": "w", "version": "1"})


def test_decisions_come_right_after_the_start_of_the_decision_that_made_them() -> None:
    reader = read(
        [
            START,
            raw(2, "DecisionTaskScheduled"),
            raw(3, "DecisionTaskStarted", scheduledEventId=2),
            raw(4, "WorkflowExecutionSignaled", signalName="meanwhile", input="0"),
            raw(5, "DecisionTaskCompleted", scheduledEventId=2, startedEventId=3),
            raw(
                6,
                "TimerStarted",
                timerId="t",
                startToFireTimeout="5",
                decisionTaskCompletedEventId=5,
            ),
            raw(7, "DecisionTaskScheduled"),
            raw(8, "DecisionTaskStarted", scheduledEventId=7),
        ]
    )

    history = reader.history()

    assert [event.type for event in history] == [
        "process_started",
        "decision_started",
        "decision",
        "signal",
        "decision_started",
    ]
    assert SignalEvent(Signal("meanwhile", 0)) in history.unseen()
    times = [event.datetime for event in history]
    assert times == sorted(times, key=str)


def pending(events: list[Event], *more: str) -> list[tuple[str, str]]:
    """Return what a process waits for, after some more events without attributes."""
    told = to_swf_history(process_of(events))
    for kind in more:
        number = len(told) + 1
        told.append(raw(number, kind, scheduledEventId=number - 1, signalName="s", input="0"))
    return [(one.kind, one.state) for one in waits_of(read(told))]


SIGNALED = ("WorkflowExecutionSignaled", "DecisionTaskScheduled")


@pytest.mark.parametrize(
    ("events", "more", "expected"),
    [
        ([], [], []),
        ([], ["DecisionTaskScheduled"], [("decision", "scheduled")]),
        ([], ["DecisionTaskScheduled", "DecisionTaskStarted"], [("decision", "started")]),
        (decided(TIMER), [], [("timer", "open")]),
        (decided(TIMER), SIGNALED, [("decision", "scheduled"), ("timer", "open")]),
        (
            decided(TIMER),
            [*SIGNALED, "DecisionTaskStarted"],
            [("decision", "started"), ("timer", "open")],
        ),
        (decided(KID), ["DecisionTaskScheduled"], [("child_process", "open")]),
        (scheduled(), [], [("activity", "scheduled")]),
        (scheduled(ActivityStartedEvent(A)), [], [("activity", "started")]),
        (ended(ActivityCompleted(0)), ["DecisionTaskScheduled"], [("decision", "scheduled")]),
    ],
)
def test_a_process_waits_for_a_decider_only_while_a_decision_is_due(
    events: list[Event], more: list[str], expected: list[tuple[str, str]]
) -> None:
    assert pending(events, *more) == expected


def test_a_surplus_decision_has_nothing_for_a_decider() -> None:
    events = [
        START,
        raw(2, "DecisionTaskScheduled"),
        raw(3, "DecisionTaskScheduled"),
        raw(4, "DecisionTaskStarted", scheduledEventId=2),
    ]
    assert read(events).wants_decider()

    events += [
        raw(5, "DecisionTaskCompleted", scheduledEventId=2, startedEventId=4),
        raw(6, "DecisionTaskStarted", scheduledEventId=3),
    ]

    assert not read(events).wants_decider()


def test_a_repeated_signal_id_is_one_event() -> None:
    text = Payloads().pack(1, "p", id="s1")
    signals = [raw(n, "WorkflowExecutionSignaled", signalName="s", input=text) for n in (2, 3)]

    assert read([START, *signals]).history().find(SignalEvent) == [
        SignalEvent(Signal("s", 1, "s1"))
    ]


def test_texts_of_other_clients_are_values() -> None:
    started = raw(
        1, "WorkflowExecutionStarted", workflowType={"name": "w", "version": "1"}, input="no JSON"
    )

    assert read([started]).process("p").input == "no JSON"


def test_a_missing_event_is_told() -> None:
    with pytest.raises(MissingEventError, match="event 2 is missing"):
        read([START, raw(3, "DecisionTaskScheduled")])


@pytest.mark.parametrize("value", [0, "", [], False, None, {}, {"$pyworkflow": 1}, {"$stored": 2}])
def test_a_value_survives_in_a_text(value: Any) -> None:
    payloads = Payloads()

    assert payloads.value(payloads.pack(value, "p")) == value
    assert payloads.value(payloads.pack(value, "p", run=2)) == value


def test_a_long_value_without_a_store_is_refused() -> None:
    with pytest.raises(PayloadError, match="32768 at most"):
        Payloads().pack("x" * 40_000, "p")


@pytest.mark.parametrize(
    ("own", "attempt"), [("a", 1), ("a", 7), ("a#7", 1), ("a#7", 2), ("#1", 1)]
)
def test_ids_of_attempts_are_told_apart(own: str, attempt: int) -> None:
    assert parse_attempt(attempt_id(own, attempt)) == (own, attempt)


def test_an_id_without_room_for_attempts_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="leaves no room"):
        to_swf(ScheduleActivity("charge", "x" * 255, retry=Retry(3)), context())


def test_durations_are_whole_seconds_and_never_shorter() -> None:
    assert (timeout(0.1), timeout(1.5), timeout(365 * 86_400)) == ("1", "2", "NONE")
    assert (
        to_swf(Timer(1.2), context())["startTimerDecisionAttributes"]["startToFireTimeout"] == "2"
    )


def test_an_activity_without_a_limit_to_its_wait_says_so_to_swf() -> None:
    settings = Settings()
    settings.activities["charge"] = ActivityType("charge", "1.0", "default", None, 600, 60)
    own = Context(Payloads(), settings, Process("order", "p"))

    known = to_swf(ScheduleActivity("charge", "a"), own)["scheduleActivityTaskDecisionAttributes"]
    unknown = to_swf(ScheduleActivity("ship", "a"), own)["scheduleActivityTaskDecisionAttributes"]

    # What an older release registered with the type would limit the wait.
    assert known["scheduleToStartTimeout"] == known["scheduleToCloseTimeout"] == "NONE"
    assert known["startToCloseTimeout"] == "600"
    assert settings.activities["charge"].defaults()["defaultTaskScheduleToStartTimeout"] == "NONE"
    assert not {name for name in unknown if name.endswith("Timeout")}


def test_an_id_that_is_used_again_is_counted_beside_the_input() -> None:
    schedule = ScheduleActivity("charge", "a", input=1)
    again = Context(Payloads(), Settings(), process_of(decided(schedule)))

    texts = [
        to_swf(schedule, c)["scheduleActivityTaskDecisionAttributes"]["input"]
        for c in (context(), again)
    ]

    assert texts[0] == "1"
    assert Payloads().unpack(texts[1]) == Packed(1, {"use": 1})


def test_a_new_run_of_another_workflow_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="another workflow"):
        to_swf(ContinueProcess(workflow="other"), context())


def test_a_new_run_keeps_queue_time_limit_tags_and_counts_on() -> None:
    told = to_swf(ContinueProcess(), context(versions={"order": "7"}))
    attributes = told["continueAsNewWorkflowExecutionDecisionAttributes"]

    assert attributes["taskList"] == {"name": "special"}
    assert attributes["executionStartToCloseTimeout"] == "77"
    assert attributes["tagList"] == ["tag"]
    assert attributes["workflowTypeVersion"] == "7"
    packed = Payloads().unpack(attributes["input"])
    assert (packed.value, packed.meta["run"]) == ({"in": 1}, 2)


def test_a_new_run_takes_over_role_priority_and_decision_timeout() -> None:
    started = raw(
        1,
        "WorkflowExecutionStarted",
        workflowType={"name": "order", "version": "1.0"},
        lambdaRole="arn:role",
        taskPriority="7",
        taskStartToCloseTimeout="20",
    )
    reader = read([started])
    given = context_of(reader.state, reader.process("p"), Payloads(), Settings())

    run = to_swf(ContinueProcess(), given)["continueAsNewWorkflowExecutionDecisionAttributes"]
    child = to_swf(KID, given)["startChildWorkflowExecutionDecisionAttributes"]

    assert (run["lambdaRole"], run["taskPriority"], run["taskStartToCloseTimeout"]) == (
        "arn:role",
        "7",
        "20",
    )
    assert child["lambdaRole"] == "arn:role"
    validate(run, "ContinueAsNewWorkflowExecutionDecisionAttributes")


def test_a_process_that_timed_out_says_which_timeout() -> None:
    reader = read(to_swf_history(process_of([ProcessTimedOutEvent()])))

    assert reader.process("p").result == ProcessTimedOut("start_to_close")


def test_lambda_gets_its_input_as_it_is_and_the_role_goes_with_the_start() -> None:
    told = to_swf(ScheduleLambda("f", "l", {"$stored": 1}), context())
    options = Settings(lambda_role="arn:role").start_options("order")

    assert options == {"lambdaRole": "arn:role"}
    assert '"$stored"' in told["scheduleLambdaFunctionDecisionAttributes"]["input"]


@pytest.mark.parametrize(
    ("kind", "more", "ends"),
    [
        ("ActivityTaskTimedOut", {"timeoutType": "HEARTBEAT"}, True),
        ("ActivityTaskTimedOut", {"timeoutType": "START_TO_CLOSE"}, True),
        ("ActivityTaskFailed", {"details": Payloads().pack(None, "p", released=True)}, True),
        (
            "ActivityTaskFailed",
            {"details": Payloads().pack(None, "p", released=True, delay=60)},
            False,
        ),
        ("ActivityTaskFailed", {"details": Payloads().pack("own", "p", timedout=True)}, False),
        ("ActivityTaskFailed", {"reason": "no"}, False),
    ],
)
def test_one_that_must_not_run_twice_is_not_tried_again_after_a_timeout(
    kind: str, more: dict[str, Any], ends: bool
) -> None:
    settings = Settings()
    settings.activities["charge"] = ActivityType(
        "charge", "1.0", "default", 60, 60, 60, Retry(3), at_most_once=True
    )
    decision = ScheduleActivity("charge", "a", input=[1])
    happened = scheduled(ActivityStartedEvent(A), decision=decision)
    told = to_swf_history(process_of(happened), settings=settings)
    last = len(told)
    told.append(raw(last + 1, kind, scheduledEventId=last - 1, startedEventId=last, **more))

    assert (read(told).state.activities == {}) == ends
