"""What one payload, one outcome or one outage does on a scripted Amazon SWF: it stays with the process that it happened to."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.amazonswf.executions import Execution
from pyworkflow.backend.amazonswf.reader_cache import ReaderCache
from pyworkflow.backend.base import Completion, FailedDecision
from pyworkflow.decision import CompleteProcess, RecordMarker, ScheduleActivity, Timer
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    SignalEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityFailed
from pyworkflow.signal import Signal
from pyworkflow.swf import chores
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import Reader
from pyworkflow.swf.writing import to_swf_history
from tests.unit.swf_script import Script, scripted

MISSING = '{"$stored":{"blob":"a/b"}}'


class Away:
    """A blob store that cannot be reached."""

    def get(self, key: str) -> bytes | None:
        raise BackendUnavailableError(f"bucket 'b': {key} cannot be reached")

    put: Any = get
    delete: Any = get
    keys: Any = get


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.fixture
def away() -> Iterator[Script]:
    with scripted(blobs=Away()) as script:
        yield script


def unreadable(script: Script, *happened: Any) -> list[dict[str, Any]]:
    """Return a history whose input is nowhere."""
    events = script.history(*happened, DecisionStartedEvent())
    events[0]["workflowExecutionStartedEventAttributes"]["input"] = MISSING
    return events


# -- decisions -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "delay"), [(0, "1"), (3, "8"), (9, None)])
def test_a_history_that_cannot_be_read_is_a_failed_decision_and_parks_its_process_at_last(
    script: Script, before: int, delay: str | None
) -> None:
    failed: list[Any] = [DecisionStartedEvent(), DecisionFailedEvent("PayloadError: gone")]
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(unreadable(script, *failed * before))
    script.answer("respond_decision_task_completed")
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"
    marker, *timers = sent[0]["decisions"]
    details = marker["recordMarkerDecisionAttributes"]["details"]
    assert sent[0]["executionContext"] == "pyworkflow:failed"
    assert "PayloadError" in details
    assert ('"parked":true' in details) == (delay is None)
    assert [t["startTimerDecisionAttributes"]["startToFireTimeout"] for t in timers] == (
        [] if delay is None else [delay]
    )


def test_a_decision_of_somebody_who_could_read_it_ends_the_row_of_failures(script: Script) -> None:
    failed: list[Any] = [DecisionStartedEvent(), DecisionFailedEvent("PayloadError: gone")]
    read: list[Any] = [DecisionStartedEvent(), DecisionEvent(Timer(9))]
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(unreadable(script, *failed * 9, *read))
    script.answer("respond_decision_task_completed")
    script.then_another()

    script.backend.poll_decision_task()

    assert len(sent[0]["decisions"]) == 2


def test_a_blob_store_that_is_away_is_no_failure_of_the_decider(away: Script) -> None:
    away.hands_out(unreadable(away))
    sent = away.records("RespondDecisionTaskCompleted")
    away.answer("respond_decision_task_completed")

    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        away.backend.poll_decision_task()

    [timer] = sent[0]["decisions"]
    assert timer["startTimerDecisionAttributes"]["startToFireTimeout"] == "60"
    assert sent[0]["executionContext"] == "pyworkflow:quiet"


def test_the_outage_itself_is_told_where_nothing_can_be_sent_either(away: Script) -> None:
    away.hands_out(unreadable(away))
    away.fault("respond_decision_task_completed", "ThrottlingException", "Rate exceeded")

    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        away.backend.poll_decision_task()


def test_processes_are_listed_beside_one_that_cannot_be_read(script: Script) -> None:
    infos = [script.info("p"), script.info("q")]
    script.answer("list_open_workflow_executions", {"executionInfos": infos})
    script.answer("get_workflow_execution_history", {"events": unreadable(script)})
    script.answer("get_workflow_execution_history", {"events": script.history()})

    assert [process.id for process in script.backend.processes(parked=True)] == ["p"]


def test_a_decision_that_loses_each_of_its_workers_is_parked(script: Script) -> None:
    lost: list[Any] = [DecisionStartedEvent(), DecisionTimedOutEvent()]
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(script.history(*lost * 10, DecisionStartedEvent()))
    script.answer("respond_decision_task_completed")
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"
    [marker] = sent[0]["decisions"]
    packed = Payloads().unpack(marker["recordMarkerDecisionAttributes"]["details"])
    assert packed.meta["parked"]
    assert packed.meta["reason"] == "10 decisions in a row failed, the last by its timeout"


def test_one_that_lost_nine_is_decided_once_more(script: Script) -> None:
    lost: list[Any] = [DecisionStartedEvent(), DecisionTimedOutEvent()]

    assert script.deciding(*lost * 9).attempt == 10


# -- activities ----------------------------------------------------------------------------------------------------------------------


def hands_out_activity(script: Script, text: str, name: str = "charge") -> None:
    script.answer(
        "poll_for_activity_task",
        {
            "taskToken": f"token of {name}",
            "activityId": "a",
            "startedEventId": 6,
            "workflowExecution": {"workflowId": "p", "runId": "r1"},
            "activityType": {"name": name, "version": "1.0"},
            "input": text,
        },
    )


def test_an_input_that_cannot_be_read_fails_its_activity_and_no_other(script: Script) -> None:
    sent = script.records("RespondActivityTaskFailed")
    hands_out_activity(script, MISSING)
    script.answer("respond_activity_task_failed")
    hands_out_activity(script, "1", "ship")

    task = script.backend.poll_activity_task()

    assert task is not None
    assert task.activity_execution.activity == "ship"
    assert "blob store" in sent[0]["reason"]
    assert '"type_name":"PayloadError"' in sent[0]["details"]


def test_a_blob_store_that_is_away_is_no_failure_of_the_activity(away: Script) -> None:
    hands_out_activity(away, MISSING)
    away.answer(
        "respond_activity_task_failed",
        taskToken="token of charge",
        reason="released",
        details='{"$pyworkflow":{"released":true,"delay":60.0},"value":null}',
    )

    with pytest.raises(BackendUnavailableError, match="cannot be reached"):
        away.backend.poll_activity_task()


@pytest.mark.parametrize("text", ['{"$pyworkflow":5}', '{"$pyworkflow":null,"value":1}'])
def test_what_only_looks_like_an_envelope_is_a_value(script: Script, text: str) -> None:
    hands_out_activity(script, text)

    task = script.backend.poll_activity_task()

    assert task is not None
    assert "$pyworkflow" in task.activity_execution.input


def test_what_was_given_back_in_an_outage_is_done_later() -> None:
    given_back = {"reason": "released", "details": '{"$pyworkflow":{"released":true,"delay":60}}'}
    events = to_swf_history(
        Process(
            "order",
            "p",
            history=Script.happened(
                DecisionStartedEvent(),
                DecisionEvent(ScheduleActivity("charge", "a")),
                ActivityStartedEvent(ActivityExecution("charge", "a")),
                ActivityEvent(ActivityExecution("charge", "a"), ActivityFailed("released")),
            ),
        )
    )
    events[-1]["activityTaskFailedEventAttributes"] |= given_back
    reader = Reader(Payloads())
    reader.read(events)

    [(_, timer)] = chores.attempts(reader.state, Payloads(), "p")

    assert timer["startTimerDecisionAttributes"]["startToFireTimeout"] == "60"


# -- failures that are too long ------------------------------------------------------------------------------------------------------

NOISE = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789\n\"'<>/", k=60_000))
"""Text that compression does not make fit."""


def test_a_failure_with_details_without_room_is_recorded_with_what_fits(script: Script) -> None:
    hands_out_activity(script, "1")
    task = script.backend.poll_activity_task()
    assert task is not None
    sent = script.records("RespondActivityTaskFailed")
    script.answer("respond_activity_task_failed")

    script.backend.complete_activity_task(task, ActivityFailed("r" * 500, NOISE, "ValueError"))

    packed = Payloads().unpack(sent[0]["details"])
    assert packed.value.startswith(NOISE[:1000])
    assert packed.value.endswith(NOISE[-1000:])
    assert (packed.meta["reason"], packed.meta["type_name"]) == ("r" * 500, "ValueError")


def test_a_traceback_without_room_is_cut(script: Script) -> None:
    task = script.deciding()
    sent = script.records("RespondDecisionTaskCompleted")
    script.answer("respond_decision_task_completed")

    script.backend.fail_decision_task(task, "ValueError: " + NOISE, NOISE)

    marker = sent[0]["decisions"][0]["recordMarkerDecisionAttributes"]
    assert Payloads().value(marker["details"]).endswith(NOISE[-1000:])


def test_the_next_attempt_does_without_a_heartbeat_that_has_no_room() -> None:
    reader = Reader(Payloads())
    decision = ScheduleActivity("charge", "a", input="i" * 32_700)
    happened = Script.happened(DecisionStartedEvent(), DecisionEvent(decision))
    reader.read(to_swf_history(Process("order", "p", history=happened)))
    activity = reader.state.activities["a"]
    activity.waiting, activity.heartbeat = True, "h" * 2_000

    [(_, again)] = chores.attempts(reader.state, Payloads(), "p")

    assert again["scheduleActivityTaskDecisionAttributes"]["input"] == f'"{"i" * 32_700}"'


# -- outcomes that cannot be sent ----------------------------------------------------------------------------------------------------


def test_an_outcome_that_breaks_the_translation_is_refused_by_itself(script: Script) -> None:
    first, second = (
        script.deciding(),
        script.polled(script.history(DecisionStartedEvent()), run="r2", taskToken="other"),
    )
    assert second is not None
    script.answer("respond_decision_task_completed", taskToken="other", decisions=[])
    wrong: Any = FailedDecision(5)  # type: ignore[arg-type]

    errors = script.backend.turn([Completion(first, wrong), Completion(second, [])]).errors

    assert isinstance(errors[0], InvalidRequestError)
    assert errors[1] is None


def test_what_is_no_completion_is_refused_by_itself(script: Script) -> None:
    task = script.deciding()
    script.answer("respond_decision_task_completed")
    wrong: Any = Completion(object(), [])  # type: ignore[arg-type]

    errors = script.backend.turn([wrong, Completion(task, [])]).errors

    assert isinstance(errors[0], InvalidRequestError)
    assert errors[1] is None


# -- what is kept --------------------------------------------------------------------------------------------------------------------


def reader_of(characters: int) -> Reader:
    reader = Reader(Payloads())
    signal = SignalEvent(Signal("s", "x" * characters))
    history = Script.happened(signal, DecisionStartedEvent())
    reader.read(to_swf_history(Process("order", "p", history=history)))
    return reader


def test_what_is_kept_of_processes_is_counted_in_bytes() -> None:
    cache = ReaderCache(limit=1_000_000)
    for number in range(400):
        cache.keep(Execution(str(number), "r"), reader_of(20_000))

    assert 900_000 < cache.size <= 1_000_000
    assert cache.take(Execution("0", "r")) is None
    assert cache.take(Execution("399", "r")) is not None
    cache.keep(Execution("large", "r"), reader_of(30_000))
    assert cache.take(Execution("large", "r")) is not None


def test_one_that_is_too_large_stays_until_another_is_kept() -> None:
    cache = ReaderCache(limit=10_000)

    cache.keep(Execution("large", "r"), reader_of(20_000))
    assert cache.size > 10_000
    cache.keep(Execution("small", "r"), reader_of(10))

    assert cache.size < 10_000
    assert cache.take(Execution("large", "r")) is None


def test_a_closed_process_is_forgotten_at_once(script: Script) -> None:
    task = script.deciding()
    kept = script.backend._deciding._readers
    assert kept.size > 0
    script.answer("respond_decision_task_completed")

    script.backend.complete_decision_task(task, [RecordMarker("m"), CompleteProcess()])

    assert kept.size == 0
