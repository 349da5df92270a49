"""What moto cannot do, on a scripted Amazon SWF: children, cancellation, new runs, messages, functions, lists, closing over news."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Completion, Reuse
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CompleteProcess,
    ContinueProcess,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
)
from pyworkflow.errors import (
    ProcessAlreadyExistsError,
    StaleTaskError,
    UnknownProcessError,
)
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    CancelRequestedEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process, Status
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
)
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask
from tests.unit.swf_script import ANY, NOW, ORDER, Script, scripted

A = ActivityExecution("charge", "a", 1)


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


def register(script: Script, **given: Any) -> None:
    script.fault("describe_workflow_type", "UnknownResourceFault", "Unknown type")
    script.answer("register_workflow_type")
    script.backend.register_workflow("order", **given)


def decides(script: Script, wanted: list[Any], *told: Any) -> None:
    """Have a process decide something on its first decision, and expect what SWF is told."""
    task = script.deciding()
    script.completes(*told)
    script.backend.complete_decision_task(task, wanted)


# -- cancellation --------------------------------------------------------------------------------------------------------------------


def test_canceling_asks_the_process_and_tells_it_why(script: Script) -> None:
    script.answer(
        "signal_workflow_execution",
        domain="d",
        workflowId="p",
        signalName="pyworkflow.cancel",
        input='"enough"',
    )
    script.answer("request_cancel_workflow_execution", domain="d", workflowId="p")

    script.backend.cancel_process("p", "enough")


def test_a_process_that_handles_cancellation_is_asked(script: Script) -> None:
    register(script, handles_cancel=True)

    task = script.deciding(CancelRequestedEvent("enough"))

    assert CancelRequestedEvent("enough") in task.process.unseen_events()


def test_any_other_process_is_canceled_without_its_decider(script: Script) -> None:
    register(script)
    script.hands_out(script.history(CancelRequestedEvent("enough"), DecisionStartedEvent()))
    script.completes(
        {
            "decisionType": "CancelWorkflowExecution",
            "cancelWorkflowExecutionDecisionAttributes": {"details": '"enough"'},
        },
        context="pyworkflow:quiet",
    )
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"


def test_a_waiting_activity_is_canceled(script: Script) -> None:
    scheduled = [DecisionStartedEvent(), DecisionEvent(ScheduleActivity("charge", "a", input=1))]
    task = script.deciding(*scheduled, SignalEvent(Signal("stop", None)))
    script.completes(
        {
            "decisionType": "RequestCancelActivityTask",
            "requestCancelActivityTaskDecisionAttributes": {"activityId": "a"},
        }
    )
    script.backend.complete_decision_task(task, CancelActivity("a"))
    ended = ActivityEvent(A, ActivityCanceled())

    signaled = [*scheduled, SignalEvent(Signal("stop", None))]
    task = script.deciding(
        *signaled, DecisionStartedEvent(), DecisionEvent(CancelActivity("a")), ended
    )

    assert task.process.unseen_events()[-1] == ended


def activity_task(script: Script) -> ActivityTask:
    script.answer(
        "poll_for_activity_task",
        {
            "taskToken": "token",
            "activityId": "a",
            "startedEventId": 6,
            "workflowExecution": {"workflowId": "p", "runId": "r1"},
            "activityType": {"name": "charge", "version": "1.0"},
            "input": "1",
        },
    )
    task = script.backend.poll_activity_task()
    assert task is not None
    return task


def test_a_heartbeat_tells_of_a_request_to_cancel_and_the_activity_follows_it(
    script: Script,
) -> None:
    task = activity_task(script)
    script.answer(
        "record_activity_task_heartbeat", {"cancelRequested": True}, taskToken="token", details="7"
    )
    script.answer("respond_activity_task_canceled", taskToken="token", details='"as asked"')

    assert script.backend.heartbeat_activity_task(task, 7)
    script.backend.complete_activity_task(task, ActivityCanceled("as asked"))


def test_what_is_unknown_cannot_be_canceled(script: Script) -> None:
    script.fault("request_cancel_workflow_execution", "UnknownResourceFault", "Unknown execution")
    script.answer("list_open_workflow_executions", {"executionInfos": []})
    script.answer("list_closed_workflow_executions", {"executionInfos": []})

    with pytest.raises(UnknownProcessError, match="nobody"):
        script.backend.cancel_process("nobody")


# -- decisions -----------------------------------------------------------------------------------------------------------------------


def test_a_closing_decision_over_news_is_decided_again_with_everything_unseen(
    script: Script,
) -> None:
    task = script.deciding(
        DecisionStartedEvent(),
        DecisionFailedEvent("unseen events"),
        SignalEvent(Signal("wait", {"n": 1})),
    )

    unseen = task.process.unseen_events()

    assert unseen[0].type == "process_started"
    assert SignalEvent(Signal("wait", {"n": 1})) in unseen


def test_an_activity_id_is_used_again_once_its_activity_has_ended(script: Script) -> None:
    done = [
        DecisionStartedEvent(),
        DecisionEvent(ScheduleActivity("charge", "a", input=1)),
        ActivityStartedEvent(A),
        ActivityEvent(A, ActivityCompleted(1)),
    ]
    task = script.deciding(*done, *done[:2], SignalEvent(Signal("x", None)))

    assert task.process.unfinished_activities() == [A]


@pytest.mark.parametrize("kind", ["decision", "activity"])
def test_an_unknown_task_is_stale(script: Script, kind: str) -> None:
    task = script.deciding() if kind == "decision" else activity_task(script)
    operation = "decision_task_completed" if kind == "decision" else "activity_task_completed"
    script.fault(f"respond_{operation}", "UnknownResourceFault", "Unknown task")

    outcome = ActivityCompleted() if isinstance(task, ActivityTask) else [CompleteProcess()]

    [error] = script.backend.turn([Completion(task, outcome)]).errors

    assert isinstance(error, StaleTaskError)
    assert "Unknown task" in str(error)


def test_a_message_to_another_process_is_sent_and_its_failure_told(script: Script) -> None:
    asked: list[Any] = [
        SignalProcess("other", Signal("hello", None)),
        RequestCancelProcess("other"),
    ]
    decides(
        script,
        asked,
        {
            "decisionType": "SignalExternalWorkflowExecution",
            "signalExternalWorkflowExecutionDecisionAttributes": {
                "workflowId": "other",
                "signalName": "hello",
                "input": "null",
            },
        },
        {
            "decisionType": "RequestCancelExternalWorkflowExecution",
            "requestCancelExternalWorkflowExecutionDecisionAttributes": {"workflowId": "other"},
        },
    )
    rejected = [DecisionRejectedEvent(one, "unknown process 'other'") for one in asked]

    task = script.deciding(
        DecisionStartedEvent(), *(DecisionEvent(one) for one in asked), *rejected
    )

    assert task.process.unseen_events()[-2:] == rejected


def test_the_details_of_a_request_to_cancel_another_process_go_ahead_of_it(script: Script) -> None:
    wanted = RequestCancelProcess("other", {"why": "late"})
    task = script.deciding()
    sent = script.records("RespondDecisionTaskCompleted")
    script.answer("respond_decision_task_completed")
    script.backend.complete_decision_task(task, wanted)
    signaled, _ = sent[0]["decisions"]
    given = signaled["signalExternalWorkflowExecutionDecisionAttributes"]
    decided = script.history(DecisionStartedEvent(), DecisionEvent(wanted))
    own = {
        "eventId": len(decided) + 1,
        "eventType": "SignalExternalWorkflowExecutionInitiated",
        "eventTimestamp": NOW,
        "signalExternalWorkflowExecutionInitiatedEventAttributes": given
        | {"decisionTaskCompletedEventId": 4},
    }
    failed = {
        "eventId": len(decided) + 2,
        "eventType": "SignalExternalWorkflowExecutionFailed",
        "eventTimestamp": NOW,
        "signalExternalWorkflowExecutionFailedEventAttributes": {
            "workflowId": "other",
            "cause": "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
            "initiatedEventId": len(decided) + 1,
            "decisionTaskCompletedEventId": 4,
        },
    }
    script.answer("describe_workflow_execution", script.description())
    script.answer("get_workflow_execution_history", {"events": [*decided, own, failed]})

    process = script.backend.process_by_id("p:r1")

    assert (given["signalName"], given["input"]) == ("pyworkflow.cancel", '{"why":"late"}')
    assert list(process.history)[1:] == [DecisionStartedEvent(), DecisionEvent(wanted)]


def test_a_function_is_scheduled_and_the_role_is_given_at_the_start() -> None:
    with scripted(lambda_role="arn:aws:iam::1:role/x") as script:
        script.answer(
            "start_workflow_execution",
            {"runId": "r1"},
            domain="d",
            workflowId=ANY,
            workflowType=ORDER,
            childPolicy="ABANDON",
            lambdaRole="arn:aws:iam::1:role/x",
        )
        script.backend.start_process(Process("order"))
        decides(
            script,
            [ScheduleLambda("resize", "l", 1)],
            {
                "decisionType": "ScheduleLambdaFunction",
                "scheduleLambdaFunctionDecisionAttributes": {
                    "id": "l",
                    "name": "resize",
                    "input": "1",
                    "startToCloseTimeout": "300",
                },
            },
        )


# -- runs ----------------------------------------------------------------------------------------------------------------------------


def test_a_process_goes_on_as_a_new_run(script: Script) -> None:
    task = script.deciding(input=1, tags=["t"], category="special", timeout=7)
    sent = script.records("RespondDecisionTaskCompleted")
    script.answer("respond_decision_task_completed", taskToken="token", decisions=ANY)
    script.backend.complete_decision_task(task, ContinueProcess(input=2))
    given = sent[0]["decisions"][0]["continueAsNewWorkflowExecutionDecisionAttributes"]
    events = script.history(DecisionStartedEvent())
    started = events[0]["workflowExecutionStartedEventAttributes"]
    started["input"], started["tagList"] = given["input"], given["tagList"]

    again = script.polled(events, run="r2")

    assert again is not None
    assert (again.process.run, again.process.input, again.process.tags) == (2, 2, ("t",))
    assert (given["taskList"], given["executionStartToCloseTimeout"]) == ({"name": "special"}, "7")


def test_what_a_run_has_not_consumed_goes_on_into_the_next(script: Script) -> None:
    task = script.deciding(input=1)
    sent = script.records("RespondDecisionTaskCompleted")
    script.answer("respond_decision_task_completed", taskToken="token", decisions=ANY)
    told = [Signal("pay", {"by": ["ann"]}, "s1"), Signal("ship", None)]
    script.backend.complete_decision_task(
        task, ContinueProcess(input=2, signals=told, cancel_details=["why"])
    )
    given = sent[0]["decisions"][0]["continueAsNewWorkflowExecutionDecisionAttributes"]
    events = script.history(DecisionStartedEvent())
    events[0]["workflowExecutionStartedEventAttributes"]["input"] = given["input"]

    again = script.polled(events, run="r2")

    assert again is not None
    assert again.process.unseen_events() == [
        ProcessStartedEvent(),
        *map(SignalEvent, told),
        CancelRequestedEvent(["why"]),
    ]
    assert again.process.input == 2
    assert again.context["heard"] == ["s1"]


def test_a_run_is_found_by_its_number(script: Script) -> None:
    runs = [
        script.info("p", "r1", closeStatus="COMPLETED"),
        script.info("p", "r2", startTimestamp=NOW + timedelta(1)),
    ]
    script.answer("list_open_workflow_executions", {"executionInfos": runs[1:]})
    script.answer("list_closed_workflow_executions", {"executionInfos": runs[:1]})
    for number, run in ((1, "r1"), (2, "r2")):
        script.answer(
            "get_workflow_execution_history",
            {"events": script.history(run=number)[:1]},
            domain="d",
            execution={"workflowId": "p", "runId": run},
            maximumPageSize=1,
        )
    script.answer("request_cancel_workflow_execution", domain="d", workflowId="p", runId="r2")

    script.backend.cancel_process("p:2")


def test_the_first_start_repeated_means_the_process_that_goes_on(script: Script) -> None:
    first, second = script.history(input=1), script.history(input=2, run=2)
    second[0]["workflowExecutionStartedEventAttributes"]["continuedExecutionRunId"] = "r1"
    for wanted in (1, 2):
        open_ones = {"executionInfos": [script.info("p", "r2")]}
        script.answer("list_closed_workflow_executions", {"executionInfos": []})
        script.fault("start_workflow_execution", "WorkflowExecutionAlreadyStartedFault")
        if wanted == 1:
            script.answer("list_open_workflow_executions", open_ones)
            script.answer("list_closed_workflow_executions", {"executionInfos": []})
        else:
            script.answer(
                "describe_workflow_execution",
                script.description("p", "r2"),
            )
        script.answer("get_workflow_execution_history", {"events": second[:1]})
        script.answer("get_workflow_execution_history", {"events": first[:1]})

    assert script.backend.start_process(Process("order", "p", 1)) == "p"
    with pytest.raises(ProcessAlreadyExistsError):
        script.backend.start_process(Process("order", "p", 2))


# -- lists ---------------------------------------------------------------------------------------------------------------------------


def test_lists_are_filtered_as_far_as_swf_can_and_finished_here(script: Script) -> None:
    infos = [
        script.info("p1", tagList=["even"]),
        script.info("p2", tagList=["even"], workflowType={"name": "polite", "version": "1"}),
        script.info("p3", tagList=["even"]),
    ]
    asked = {"domain": "d", "startTimeFilter": ANY, "tagFilter": {"tag": "even"}}
    script.answer(
        "list_open_workflow_executions",
        {"executionInfos": infos[:2], "nextPageToken": "more"},
        **asked,
    )
    script.answer(
        "list_open_workflow_executions",
        {"executionInfos": infos[2:]},
        nextPageToken="more",
        **asked,
    )
    script.answer(
        "list_open_workflow_executions",
        {"executionInfos": infos},
        domain="d",
        startTimeFilter=ANY,
        typeFilter={"name": "polite"},
    )

    assert [p.id for p in script.backend.processes("order", "even")] == ["p1", "p3"]
    assert [p.id for p in script.backend.processes("polite")] == ["p2"]


def test_a_page_asks_for_no_more_than_it_needs(script: Script) -> None:
    infos = [script.info(f"p{n}") for n in range(3)]
    script.answer(
        "list_open_workflow_executions",
        {"executionInfos": infos, "nextPageToken": "more"},
        domain="d",
        startTimeFilter=ANY,
        reverseOrder=True,
    )
    page = script.backend.processes(limit=2)
    script.answer("list_open_workflow_executions", {"executionInfos": infos})

    assert [p.id for p in page] == ["p0", "p1"]
    assert [p.id for p in script.backend.processes(after=page[-1])] == ["p2"]


def test_the_newest_come_first_on_wish(script: Script) -> None:
    infos = [script.info(f"p{number}") for number in range(4)]
    for _ in range(2):
        script.answer("list_open_workflow_executions", {"executionInfos": infos})
    newest = script.backend.processes(limit=2, newest=True)
    rest = script.backend.processes(after=newest[-1], newest=True)

    assert [p.id for p in newest + rest] == ["p3", "p2", "p1", "p0"]


def test_closed_processes_are_found_by_how_they_ended(script: Script) -> None:
    shut = script.info("shut", closeStatus="TERMINATED")
    script.answer(
        "list_closed_workflow_executions",
        {"executionInfos": [shut]},
        domain="d",
        startTimeFilter=ANY,
        closeStatusFilter={"status": "TERMINATED"},
    )

    assert [p.id for p in script.backend.processes(status=Status.TERMINATED)] == ["shut"]


def test_a_closed_id_is_taken_again_only_where_that_is_allowed(script: Script) -> None:
    for _ in range(2):
        closed = {"executionInfos": [script.info("p", closeStatus="COMPLETED")]}
        script.answer("list_closed_workflow_executions", closed)
        script.answer("list_open_workflow_executions", {"executionInfos": []})
        script.answer("list_closed_workflow_executions", closed)
    script.answer("get_workflow_execution_history", {"events": script.history()[:1]})
    script.answer(
        "start_workflow_execution",
        {"runId": "r2"},
        domain="d",
        workflowId="p",
        workflowType=ORDER,
        input='{"$pyworkflow":{"run":2},"value":5}',
        childPolicy="ABANDON",
    )

    with pytest.raises(ProcessAlreadyExistsError, match="completed"):
        script.backend.start_process(Process("order", "p", 5), reuse=Reuse.ALLOW_FAILED)
    script.backend.start_process(Process("order", "p", 5), reuse=Reuse.ALLOW)


def test_cancel_decisions_of_deciders_are_plain(script: Script) -> None:
    decides(
        script,
        [CancelProcess("")],
        {
            "decisionType": "CancelWorkflowExecution",
            "cancelWorkflowExecutionDecisionAttributes": {"details": '""'},
        },
    )
