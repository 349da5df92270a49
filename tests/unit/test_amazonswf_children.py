"""Children on a scripted Amazon SWF: their policies are this package's own, whatever ends the parent."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyworkflow.decision import (
    CancelProcess,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    NewProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidDecisionError
from pyworkflow.event import (
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
)
from pyworkflow.result import ProcessFailed, ProcessTerminated, ProcessTimedOut
from pyworkflow.swf.words import attributes_key
from pyworkflow.task import DecisionTask
from tests.unit.swf_script import NOW, ORDER, Script, scripted

POLICIES = (ChildPolicy.ABANDON, ChildPolicy.TERMINATE, ChildPolicy.REQUEST_CANCEL)
KID = StartChildProcess(NewProcess("order", "kid", 0, ("small",)), ChildPolicy.TERMINATE)


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


def kid(policy: str) -> StartChildProcess:
    return StartChildProcess(NewProcess("order", policy.lower()), policy)


def add(events: list[dict[str, Any]], kind: str, **attributes: Any) -> None:
    """Add an event to a history of SWF."""
    events.append(
        {
            "eventId": len(events) + 1,
            "eventType": kind,
            "eventTimestamp": NOW,
            attributes_key(kind, "Event"): attributes,
        }
    )


def family(script: Script, policies: tuple[str, ...] = POLICIES) -> list[dict[str, Any]]:
    """Return a history with an open child of each policy, and a signal that is to be decided on."""
    children = [DecisionEvent(kid(policy)) for policy in policies]
    events = script.history(DecisionStartedEvent(), *children)
    initiated = [e["eventId"] for e in events if e["eventType"].endswith("Initiated")]
    for policy, number in zip(policies, initiated, strict=True):
        add(
            events,
            "ChildWorkflowExecutionStarted",
            workflowExecution={"workflowId": policy.lower(), "runId": f"run-{policy}"},
            workflowType=ORDER,
            initiatedEventId=number,
        )
    add(events, "WorkflowExecutionSignaled", signalName="end", input="0")
    add(events, "DecisionTaskScheduled", taskList={"name": "default"})
    add(events, "DecisionTaskStarted", scheduledEventId=len(events))
    return events


def is_asked_to_cancel(script: Script, name: str, run: str | None = None) -> None:
    target: dict[str, Any] = {"workflowId": name} | ({} if run is None else {"runId": run})
    script.answer(
        "signal_workflow_execution",
        domain="d",
        **target,
        signalName="pyworkflow.cancel",
        input='"its parent has closed"',
    )
    script.answer("request_cancel_workflow_execution", domain="d", **target)


def is_terminated(script: Script, name: str, run: str | None = None) -> None:
    target: dict[str, Any] = {"workflowId": name} | ({} if run is None else {"runId": run})
    script.answer(
        "terminate_workflow_execution", domain="d", **target, reason="its parent has closed"
    )


def described(
    script: Script, name: str = "p", run: str = "r1", open_children: int = 0, **more: Any
) -> None:
    script.answer(
        "describe_workflow_execution",
        script.description(name, run, open_children, **more),
        domain="d",
        execution={"workflowId": name, "runId": run},
    )


# -- what SWF is told ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_swf_is_told_to_abandon_whatever_the_policy(script: Script, policy: str) -> None:
    task = script.deciding()
    told = "0" if policy == "ABANDON" else f'{{"$pyworkflow":{{"policy":"{policy}"}},"value":0}}'
    script.completes(
        {
            "decisionType": "StartChildWorkflowExecution",
            "startChildWorkflowExecutionDecisionAttributes": {
                "workflowType": ORDER,
                "workflowId": "kid",
                "input": told,
                "tagList": ["small"],
                "childPolicy": "ABANDON",
            },
        }
    )

    script.backend.complete_decision_task(
        task, StartChildProcess(NewProcess("order", "kid", 0, ("small",)), policy)
    )


@pytest.mark.parametrize(
    "result",
    [ProcessFailed("bad", [1]), ProcessTerminated(), ProcessTimedOut("start_to_close")],
)
def test_a_parent_hears_once_how_its_child_ended(script: Script, result: Any) -> None:
    told = ChildProcessEvent("kid", result, "order", ("small",))
    task = script.deciding(DecisionStartedEvent(), DecisionEvent(KID), told)

    assert task.process.history.find(ChildProcessEvent) == [told]
    assert told in task.process.unseen_events()


def test_a_child_whose_id_is_taken_is_told_as_an_event(script: Script) -> None:
    rejected = DecisionRejectedEvent(
        StartChildProcess(NewProcess("order", "kid")),
        "process 'kid' already exists: it is open",
    )
    task = script.deciding(DecisionStartedEvent(), DecisionEvent(Timer(9)), rejected)

    assert task.process.unseen_events()[-1] == rejected


# -- when the parent ends ------------------------------------------------------------------------------------------------------------


def deciding(script: Script, events: list[dict[str, Any]], run: str = "r1") -> DecisionTask:
    task = script.polled(events, run)
    assert task is not None
    return task


@pytest.mark.parametrize("end", [CompleteProcess(1), FailProcess("bad"), CancelProcess()])
def test_a_decision_that_closes_the_parent_ends_its_children_by_their_policies(
    script: Script, end: Decision
) -> None:
    task = deciding(script, family(script))
    script.answer("respond_decision_task_completed")
    described(script, closeStatus="COMPLETED")
    is_terminated(script, "terminate")
    is_asked_to_cancel(script, "request_cancel")

    script.backend.complete_decision_task(task, end)


def test_children_go_on_where_swf_refused_to_close_their_parent(script: Script) -> None:
    task = deciding(script, family(script))
    script.answer("respond_decision_task_completed")
    described(script)

    script.backend.complete_decision_task(task, CompleteProcess())


def test_abandoned_children_cost_no_call(script: Script) -> None:
    task = deciding(script, family(script, (ChildPolicy.ABANDON,)))
    script.answer("respond_decision_task_completed")

    script.backend.complete_decision_task(task, CompleteProcess())


def test_a_decision_that_goes_on_costs_no_call(script: Script) -> None:
    task = deciding(script, family(script))
    script.answer("respond_decision_task_completed")

    script.backend.complete_decision_task(task, Timer(1))


def test_a_child_that_has_ended_meanwhile_keeps_no_other_from_its_end(script: Script) -> None:
    task = deciding(script, family(script))
    script.answer("respond_decision_task_completed")
    described(script, closeStatus="COMPLETED")
    script.fault("terminate_workflow_execution", "UnknownResourceFault", "Unknown execution")
    is_asked_to_cancel(script, "request_cancel")

    script.backend.complete_decision_task(task, CompleteProcess())


def test_an_outage_after_the_end_of_the_parent_is_nobodys_failure(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    task = deciding(script, family(script))
    script.answer("respond_decision_task_completed")
    script.fault("describe_workflow_execution", "ThrottlingException", "Rate exceeded")

    script.backend.complete_decision_task(task, CompleteProcess())

    assert "at its children's next decisions" in caplog.text


def test_a_cancellation_without_a_decider_ends_the_children_too(script: Script) -> None:
    script.fault("describe_workflow_type", "UnknownResourceFault", "Unknown type")
    script.answer("register_workflow_type")
    script.backend.register_workflow("order")
    events = family(script, (ChildPolicy.TERMINATE,))
    events[-3] |= {
        "eventType": "WorkflowExecutionCancelRequested",
        "workflowExecutionCancelRequestedEventAttributes": {},
    }
    del events[-3]["workflowExecutionSignaledEventAttributes"]
    script.hands_out(events)
    script.answer("respond_decision_task_completed")
    described(script, closeStatus="CANCELED")
    is_terminated(script, "terminate")
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"


def test_terminating_a_process_ends_its_children_by_their_policies(script: Script) -> None:
    described(script, open_children=3)
    script.answer(
        "terminate_workflow_execution", domain="d", workflowId="p", runId="r1", reason="stuck"
    )
    script.answer("get_workflow_execution_history", {"events": family(script)[:-2]})
    is_terminated(script, "terminate")
    is_asked_to_cancel(script, "request_cancel")

    script.backend.terminate_process("p:r1", "stuck")


def test_terminating_a_process_without_children_reads_no_history(script: Script) -> None:
    described(script)
    script.answer(
        "terminate_workflow_execution", domain="d", workflowId="p", runId="r1", reason="stuck"
    )

    script.backend.terminate_process("p:r1", "stuck")


# -- where nobody ended the children -------------------------------------------------------------------------------------------------


def child_of(script: Script, policy: str, *events: Any) -> list[dict[str, Any]]:
    """Return the history of a child of ``mother`` that is to be decided."""
    told = script.history(*events, DecisionStartedEvent(), parent="mother")
    started = told[0]["workflowExecutionStartedEventAttributes"]
    started["parentWorkflowExecution"]["runId"] = "m1"
    started["input"] = f'{{"$pyworkflow":{{"policy":"{policy}"}},"value":0}}'
    return told


def test_a_child_is_terminated_at_its_next_decision_once_its_parent_is_closed(
    script: Script,
) -> None:
    script.hands_out(child_of(script, "TERMINATE"))
    described(script, "mother", "m1", closeStatus="TIMED_OUT")
    is_terminated(script, "p", "r1")
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"


def test_a_child_is_asked_to_cancel_itself_once_its_parent_is_closed(script: Script) -> None:
    script.hands_out(child_of(script, "REQUEST_CANCEL"))
    described(script, "mother", "m1", closeStatus="TERMINATED")
    is_asked_to_cancel(script, "p", "r1")
    script.completes(context="pyworkflow:quiet")
    script.hands_out(
        child_of(script, "REQUEST_CANCEL", CancelRequestedEvent("its parent has closed")), "r2"
    )

    task = script.backend.poll_decision_task()

    assert task is not None
    assert CancelRequestedEvent("its parent has closed") in task.process.unseen_events()


def test_a_parent_that_is_gone_is_closed(script: Script) -> None:
    script.hands_out(child_of(script, "TERMINATE"))
    script.fault("describe_workflow_execution", "UnknownResourceFault", "Unknown execution")
    is_terminated(script, "p", "r1")
    script.then_another()

    assert script.backend.poll_decision_task() is not None


def test_an_open_parent_is_looked_for_once_a_minute(script: Script) -> None:
    now = [0.0]
    script.backend._policies._monotonic = lambda: now[0]

    for now[0], looks in ((0.0, True), (59.0, False), (60.0, True)):
        script.hands_out(child_of(script, "TERMINATE"), run=f"r{now[0]}")
        if looks:
            described(script, "mother", "m1")
        task = script.backend.poll_decision_task()
        assert task is not None
        assert task.process.input == 0


def test_a_decider_is_asked_where_the_parent_cannot_be_looked_for(script: Script) -> None:
    script.hands_out(child_of(script, "TERMINATE"))
    script.fault("describe_workflow_execution", "AccessDeniedException", "not allowed")

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == 0


def test_a_new_run_of_a_child_keeps_its_policy(script: Script) -> None:
    script.hands_out(child_of(script, "TERMINATE"))
    described(script, "mother", "m1")
    task = script.backend.poll_decision_task()
    assert task is not None
    sent = script.records("RespondDecisionTaskCompleted")
    script.answer("respond_decision_task_completed")

    script.backend.complete_decision_task(task, ContinueProcess(input=1))

    given = sent[0]["decisions"][0]["continueAsNewWorkflowExecutionDecisionAttributes"]
    assert '"policy":"TERMINATE"' in given["input"]


# -- new runs of the parent ----------------------------------------------------------------------------------------------------------


def test_a_parent_with_open_children_does_not_go_on_as_a_new_run(script: Script) -> None:
    task = deciding(script, family(script))

    with pytest.raises(InvalidDecisionError, match=r"continue_process: open children 'abandon', "):
        script.backend.complete_decision_task(task, ContinueProcess())


def test_nor_does_one_that_has_just_started_a_child(script: Script) -> None:
    task = script.deciding()

    with pytest.raises(InvalidDecisionError, match=r"decision 2, continue_process: open .* 'kid'"):
        script.backend.complete_decision_task(task, [KID, ContinueProcess()])


def test_a_parent_whose_children_have_ended_goes_on_as_a_new_run(script: Script) -> None:
    told = ChildProcessEvent("kid", ProcessTerminated(), "order", ("small",))
    task = script.deciding(DecisionStartedEvent(), DecisionEvent(KID), told)
    script.answer("respond_decision_task_completed")

    script.backend.complete_decision_task(task, ContinueProcess())
