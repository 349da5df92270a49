"""The Amazon SWF backend beyond the contract: what it asks of SWF, how little, and what it does with SWF's refusals."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from pyworkflow.backend import connect
from pyworkflow.backend.amazonswf import AmazonSWFBackend, Fault
from pyworkflow.backend.base import Completion
from pyworkflow.codec import decode, encode
from pyworkflow.decision import (
    CompleteProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    Timer,
)
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidDecisionError,
    InvalidRequestError,
    PayloadError,
    UnknownWorkflowError,
)
from pyworkflow.event import (
    DecisionEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.signal import Signal
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import Reader
from pyworkflow.swf.writing import to_swf_history
from pyworkflow.task import DecisionTask
from tests.unit.swf_script import ANY, ORDER, Script, make_client, scripted


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


# -- before any call -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"tags": ["a", "b", "c", "d", "e", "f"]},
        {"tags": ["x" * 300]},
        {"id": "a:b"},
        {"id": "a\x07b"},
        {"input": float("nan")},
        {"timeout": -1},
        {"category": "a/b"},
    ],
    ids=str,
)
def test_a_start_that_swf_would_refuse_is_refused_before_any_call(
    script: Script, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        script.backend.start_process(Process("order", **given))

    assert not script.backend.calls.made


@pytest.mark.parametrize(
    ("decisions", "culprit"),
    [
        ([Timer(1), ScheduleActivity("charge", "a:b")], "decision 2, schedule_activity"),
        ([CompleteProcess(), Timer(1)], "decision 1, complete_process"),
        ([Timer(10**8 + 1.0)], "decision 1, timer"),
        ([RecordMarker("pyworkflow.failed")], "decision 1, record_marker"),
        ([RequestCancelProcess("p")], "decision 1, request_cancel_process: .*its own"),
        ([RecordMarker("m", float("inf"))], "decision 1, record_marker"),
    ],
)
def test_a_decision_that_cannot_apply_is_named_before_any_call(
    script: Script, decisions: Any, culprit: str
) -> None:
    task = script.deciding()

    with pytest.raises(InvalidDecisionError, match=culprit):
        script.backend.complete_decision_task(task, decisions)


def test_a_value_without_room_and_store_is_refused(script: Script) -> None:
    # Digits that do not repeat: compression makes nothing of them.
    noise = "".join(str(hash((n, "x"))) for n in range(9_000))

    with pytest.raises(PayloadError, match="blob store is needed"):
        script.backend.start_process(Process("order", input=noise))


def test_a_client_that_gives_up_a_long_poll_is_refused() -> None:
    client = make_client()
    client.meta.config.read_timeout = 60

    with pytest.raises(InvalidRequestError, match="read timeout of 60"):
        AmazonSWFBackend(client=client)


def test_the_first_pyworkflows_arguments_are_taken() -> None:
    with AmazonSWFBackend("key", "secret", region="eu-west-1", domain="foo.bar") as backend:
        assert backend.calls.client.meta.region_name == "eu-west-1"
        assert backend.calls.client.meta.config.retries["mode"] == "adaptive"
        assert backend.calls.client.meta.config.read_timeout > 60
        assert backend.calls.client is not backend.polls.client


def test_a_url_names_region_domain_and_options(tmp_path: Any) -> None:
    with connect(f"swf://eu-west-1/foo.bar?blobs={tmp_path}&version=2") as backend:
        assert isinstance(backend, AmazonSWFBackend)
        assert (backend.region, backend.domain) == ("eu-west-1", "foo.bar")
        assert backend.codec.store is not None


@pytest.mark.parametrize("url", ["swf:", "swf://eu-west-1", "swf://eu-west-1/a?x=1", "swf:///d"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="swf://region/domain"):
        connect(url)


# -- types ---------------------------------------------------------------------------------------------------------------------------


def described(**defaults: Any) -> dict[str, Any]:
    configuration = {
        "defaultTaskList": {"name": "default"},
        "defaultExecutionStartToCloseTimeout": "31536000",
        "defaultTaskStartToCloseTimeout": "60",
        "defaultChildPolicy": "ABANDON",
    }
    info = {"workflowType": ORDER, "status": "REGISTERED", "creationDate": 1}
    return {"typeInfo": info, "configuration": configuration | defaults}


def test_a_type_that_is_registered_as_wanted_costs_one_call(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.answer("describe_workflow_type", described())
    script.backend.register_workflow("order")

    assert not caplog.records


def test_a_type_with_other_defaults_is_explained(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.answer("describe_workflow_type", described(defaultTaskStartToCloseTimeout="30"))
    with caplog.at_level(logging.WARNING):
        script.backend.register_workflow("order")

    assert "defaultTaskStartToCloseTimeout is '30', not '60'" in caplog.text
    assert "Another version" in caplog.text


def test_a_type_with_other_defaults_may_be_an_error() -> None:
    with scripted(strict=True) as script:
        script.answer("describe_workflow_type", described(defaultTaskList={"name": "old"}))

        with pytest.raises(InvalidRequestError, match="defaultTaskList is 'old', not 'default'"):
            script.backend.register_workflow("order")


def test_a_deprecated_type_is_told(script: Script) -> None:
    answer = described()
    answer["typeInfo"]["status"] = "DEPRECATED"
    script.answer("describe_workflow_type", answer)

    with pytest.raises(InvalidRequestError, match="deprecated"):
        script.backend.register_workflow("order")


def test_versions_belong_to_the_type() -> None:
    with scripted(version="2", versions={"charge": "7"}) as script:
        for kind, name, version in (("workflow", "order", "2"), ("activity", "charge", "7")):
            script.fault(f"describe_{kind}_type", "UnknownResourceFault", "Unknown type")
            defaults = dict.fromkeys(_defaults(kind), ANY)
            script.answer(
                f"register_{kind}_type", domain="d", name=name, version=version, **defaults
            )
        script.backend.register_workflow("order")
        script.backend.register_activity("charge")


def _defaults(kind: str) -> list[str]:
    if kind == "workflow":
        return list(described()["configuration"])
    names = ("Heartbeat", "ScheduleToClose", "ScheduleToStart", "StartToClose")
    return ["defaultTaskList", *(f"defaultTask{name}Timeout" for name in names)]


def test_an_unknown_domain_is_explained(script: Script) -> None:
    script.fault("start_workflow_execution", "UnknownResourceFault", "Unknown domain: d")

    with pytest.raises(InvalidRequestError, match="register_domain"):
        script.backend.start_process(Process("order"))


def test_an_unknown_workflow_is_told(script: Script) -> None:
    script.fault("start_workflow_execution", "UnknownResourceFault", "Unknown type: order")

    with pytest.raises(UnknownWorkflowError, match="order"):
        script.backend.start_process(Process("order"))


# -- how little is fetched -----------------------------------------------------------------------------------------------------------


def signals(count: int) -> list[Event]:
    return [SignalEvent(Signal("n", n)) for n in range(count)]


def test_a_long_history_is_paged_once_and_then_only_what_is_new(script: Script) -> None:
    happened: list[Event] = [*signals(250), DecisionStartedEvent()]
    events = script.history(*happened)
    newest = events[::-1]
    script.hands_out(events, page=100, nextPageToken="1")
    for number in (1, 2):
        script.answer(
            "poll_for_decision_task",
            {
                "taskToken": "token",
                "startedEventId": len(events),
                "workflowExecution": {"workflowId": "p", "runId": "r1"},
                "workflowType": ORDER,
                "events": newest[100 * number : 100 * (number + 1)],
                **({"nextPageToken": "2"} if number == 1 else {}),
            },
            domain="d",
            taskList=ANY,
            maximumPageSize=100,
            reverseOrder=True,
            nextPageToken=str(number),
        )
    first = script.backend.poll_decision_task()
    assert first is not None
    assert len(first.process.history.find(SignalEvent)) == 250
    script.completes()
    script.backend.complete_decision_task(first, [])
    more = [*happened, SignalEvent(Signal("last", 0)), DecisionStartedEvent()]

    again = script.polled(script.history(*more), page=100, nextPageToken="not needed")

    assert again is not None
    assert again.process.unseen_events() == [SignalEvent(Signal("last", 0))]
    assert len(again.process.history) == len(more) + 1


def test_a_history_with_a_gap_is_read_again_from_its_beginning(script: Script) -> None:
    events = script.history(*signals(5), DecisionStartedEvent())
    script.hands_out(events, page=2)
    late = [*events, *script.history(*signals(9))[len(events) :]]
    script.answer(
        "get_workflow_execution_history",
        {"events": late},
        domain="d",
        execution={"workflowId": "p", "runId": "r1"},
    )

    task = script.backend.poll_decision_task()

    assert task is not None
    assert [e.type for e in task.process.history] == [
        "process_started",
        *["signal"] * 5,
        "decision_started",
    ]


@pytest.mark.parametrize("length", [10, 10_000])
def test_each_event_is_translated_once_however_long_the_history(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[Event] = []
    for n in range(length // 4):
        happened += [DecisionStartedEvent(), DecisionEvent(RecordMarker("m", n)), *signals(1)]
    happened.append(DecisionStartedEvent())
    events = to_swf_history(Process("order", "p", history=[ProcessStartedEvent(), *happened]))
    read: list[int] = []
    plain: Callable[..., None] = Reader._read

    def counted(self: Reader, raw: dict[str, Any]) -> None:
        read.append(raw["eventId"])
        plain(self, raw)

    monkeypatch.setattr(Reader, "_read", counted)
    reader = Reader(Payloads())
    reader.read(events[:-6])
    before = reader.history()
    read.clear()

    reader.read(events[-6:])
    after = reader.history()

    assert read == [event["eventId"] for event in events[-6:]]
    assert list(after) == [ProcessStartedEvent(), *happened]
    # The longer history goes on with the list of the shorter one: nothing is copied.
    assert after._tally is before._tally


# -- tasks that no decider sees ------------------------------------------------------------------------------------------------------


def test_a_history_that_cannot_be_read_keeps_nobody_from_others(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    events = script.history(DecisionStartedEvent())
    events[0]["workflowExecutionStartedEventAttributes"]["input"] = '{"$stored":{"blob":"a/b"}}'
    script.hands_out(events)
    script.answer(
        "respond_decision_task_completed",
        taskToken="token",
        decisions=ANY,
        executionContext="pyworkflow:failed",
    )
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"
    assert "the history of p cannot be read" in caplog.text


def test_a_surplus_task_that_is_over_meanwhile_disturbs_nobody(script: Script) -> None:
    nothing_new = [DecisionStartedEvent(), DecisionEvent(Timer(60)), DecisionStartedEvent()]
    script.hands_out(script.history(*nothing_new))
    script.fault("respond_decision_task_completed", "UnknownResourceFault", "Unknown task")
    script.then_another()

    task = script.backend.poll_decision_task()

    assert task is not None
    assert task.process.input == "another"


# -- refusals ------------------------------------------------------------------------------------------------------------------------


def answering(client: Any, *answers: tuple[int, bytes] | Exception) -> list[str]:
    """Have a client get these answers in place of the network's; return the bodies that it sends."""
    left, sent = list(answers), list[str]()

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.body.decode() if isinstance(request.body, bytes) else request.body)
        told = left.pop(0)
        if isinstance(told, Exception):
            raise told
        status, body = told
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, headers, _Body(body))

    client.meta.events.register_first("before-send.swf.*", answer)
    return sent


class _Body:
    """What AWSResponse reads of an answer."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.data


THROTTLED = (400, b'{"__type":"ThrottlingException","message":"Rate exceeded"}')
STARTED = (200, b'{"runId":"r1"}')


def test_throttling_is_retried_and_counted() -> None:
    client = make_client(retries={"mode": "adaptive", "max_attempts": 4})
    sent = answering(client, THROTTLED, THROTTLED, STARTED)

    with AmazonSWFBackend(client=client, domain="d") as backend:
        backend.start_process(Process("order", input=1))

        assert backend.calls.made["start_workflow_execution"] == 1
        assert backend.calls.retried == 2
        assert len(set(sent)) == 1


def test_throttling_without_end_may_be_tried_again_later() -> None:
    client = make_client(retries={"mode": "standard", "max_attempts": 2})
    answering(client, THROTTLED, THROTTLED, THROTTLED)

    with AmazonSWFBackend(client=client, domain="d") as backend:
        with pytest.raises(BackendUnavailableError, match="Rate exceeded"):
            backend.start_process(Process("order"))

        assert backend.calls.retried == 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("OperationNotPermittedFault", BackendUnavailableError),
        ("AccessDeniedException", BackendUnavailableError),
        ("LimitExceededFault", BackendUnavailableError),
        ("DomainDeprecatedFault", Fault),
        ("DefaultUndefinedFault", Fault),
        ("ValidationException", InvalidRequestError),
    ],
)
def test_faults_are_told_in_our_words(script: Script, code: str, expected: type[Exception]) -> None:
    script.fault("start_workflow_execution", code, "told by SWF")

    with pytest.raises(expected, match="told by SWF"):
        script.backend.start_process(Process("order"))


def test_a_closed_backend_says_so(script: Script) -> None:
    script.backend.close()

    with pytest.raises(BackendUnavailableError, match="closed"):
        script.backend.poll_decision_task()
    assert script.backend.closed


def test_a_task_can_be_written_down_and_completed_by_another(script: Script) -> None:
    task: DecisionTask = decode(encode(script.deciding()), DecisionTask)
    script.completes(
        {
            "decisionType": "CompleteWorkflowExecution",
            "completeWorkflowExecutionDecisionAttributes": {"result": "0"},
        }
    )

    script.backend.complete_decision_task(task, CompleteProcess(0))


def test_a_result_of_another_kind_is_refused(script: Script) -> None:
    task = script.deciding()

    with pytest.raises(InvalidRequestError, match="outcome of a decision task"):
        script.backend._complete(Completion(task, ActivityCompleted()))


def test_completions_that_were_taken_are_not_sent_again_with_those_that_were_not(
    script: Script,
) -> None:
    first, second = (
        script.deciding(),
        script.polled(script.history(DecisionStartedEvent()), run="r2", taskToken="other"),
    )
    assert second is not None
    both = [Completion(first, []), Completion(second, [])]
    sent: list[str] = []

    def complete(task: DecisionTask, outcome: Any) -> None:
        sent.append(task.context["token"])
        if sent == ["token", "other"] or sent == ["other", "token"]:
            raise BackendUnavailableError("no network")

    script.backend._deciding.complete = complete  # type: ignore[method-assign]
    script.backend._senders = ThreadPoolExecutor(1)
    with pytest.raises(BackendUnavailableError):
        script.backend.turn(both)

    assert script.backend.turn(both).errors == [None, None]
    assert sent == ["token", "other", "other"]
