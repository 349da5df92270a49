"""Tasks that reach a worker without the code for them, on a scripted Amazon SWF: given back, uncounted, unseen by the decider."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import Any

import pytest

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.amazonswf.looking import waits_of
from pyworkflow.backend.amazonswf.polling import Polling
from pyworkflow.backend.exchange import Completion, FailedDecision, Poll
from pyworkflow.decision import CancelActivity, ScheduleActivity
from pyworkflow.errors import InvalidRequestError
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    DecisionEvent,
    DecisionStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCanceled, ActivityTimedOut
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.swf import chores
from pyworkflow.swf.misrouted import pause
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import Reader
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.words import attributes_key
from pyworkflow.task import ActivityTask, DecisionTask
from tests.unit.swf_script import NOW, Script, scripted

MARK = '{"$pyworkflow":{"misrouted":true},"value":null}'
WAKE = '{"$pyworkflow":{"wake":true},"value":null}'
A = ActivityExecution("ship", "a", 1)


@pytest.fixture
def pauses() -> list[float]:
    """The seconds for which the worker has left its queues to others."""
    return []


@pytest.fixture
def script(pauses: list[float]) -> Iterator[Script]:
    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    with scripted() as script:
        script.backend._deciding._pause = script.backend._working._pause = wait
        yield script


# -- pauses --------------------------------------------------------------------------------------------------------------------------


def test_another_worker_may_take_a_task_at_once_and_pauses_grow_from_then_on() -> None:
    pauses = [pause(times, 100) for times in range(200)]

    assert pauses[:3] == [0, 1, 1]
    assert sum(pauses[:17]) < 20
    assert pauses == sorted(pauses)
    assert pauses[-1] == 600


@pytest.mark.parametrize("added", [5, 11], ids=["decision", "activity"])
def test_a_year_of_waiting_fits_into_a_history(added: int) -> None:
    events = times = 0
    waited = 0.0
    while waited < 365 * 86_400:
        waited += pause(times, events)
        times, events = times + 1, events + added

    assert events < 25_000


# -- decisions -----------------------------------------------------------------------------------------------------------------------


class History:
    """A history of SWF in the making."""

    def __init__(self, script: Script, *happened: Any) -> None:
        self.events = script.history(*happened)
        self.now = NOW

    def add(self, kind: str, **attributes: Any) -> "History":
        self.events.append(
            {
                "eventId": len(self.events) + 1,
                "eventType": kind,
                "eventTimestamp": self.now,
                attributes_key(kind, "Event"): attributes,
            }
        )
        return self

    def starts_decision(self) -> "History":
        self.add("DecisionTaskScheduled", taskList={"name": "default"})
        return self.add("DecisionTaskStarted", scheduledEventId=len(self.events))

    def completes(self, context: str) -> "History":
        last = len(self.events)
        return self.add(
            "DecisionTaskCompleted",
            scheduledEventId=last - 1,
            startedEventId=last,
            executionContext=context,
        )

    def wakes(self, fired: bool) -> "History":
        timer = f"t{len(self.events)}"
        self.add(
            "TimerStarted",
            timerId=timer,
            startToFireTimeout="1",
            control=WAKE,
            decisionTaskCompletedEventId=len(self.events),
        )
        if fired:
            self.add("TimerFired", timerId=timer, startedEventId=len(self.events))
        return self

    def reader(self) -> Reader:
        reader = Reader(Payloads())
        reader.read(self.events)
        return reader


def polls_for(script: Script, *names: str) -> DecisionTask | ActivityTask | None:
    """Poll as a worker that has workflows of these names."""
    [task] = script.backend.turn(polls=[Poll(DecisionTask, names=names)]).tasks
    return task


def test_a_decision_of_a_workflow_that_a_worker_does_not_have_is_given_back(
    script: Script,
) -> None:
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(script.history(DecisionStartedEvent()))
    script.answer("respond_decision_task_completed")
    script.then_another(workflow="mine")

    task = polls_for(script, "mine")

    assert isinstance(task, DecisionTask)
    assert task.process.workflow == "mine"
    assert sent[0]["executionContext"] == "pyworkflow:misrouted 1"
    assert delays(sent[0]) == ["0"]


def test_a_worker_leaves_its_queue_to_others_for_ever_longer(
    script: Script, pauses: list[float]
) -> None:
    for _ in range(6):
        script.hands_out(script.history(DecisionStartedEvent()))
        script.answer("respond_decision_task_completed")
    script.then_another(workflow="mine")

    polls_for(script, "mine")

    assert pauses == [0, 0.5, 1, 2, 4, 5, 5]


def test_a_backend_that_was_closed_polls_no_more() -> None:
    def closed(seconds: float) -> bool:
        return True

    with scripted() as script:
        script.backend._deciding._pause = script.backend._working._pause = closed
        assert script.backend.turn(polls=[Poll(DecisionTask), Poll(ActivityTask)]).tasks == []
        assert not script.backend.polls.made


def delays(answer: dict[str, Any]) -> list[str]:
    return [
        decision["startTimerDecisionAttributes"]["startToFireTimeout"]
        for decision in answer["decisions"]
    ]


@pytest.mark.parametrize(
    ("context", "fired", "expected", "next_context"),
    [
        ("pyworkflow:misrouted 1", True, ["1"], "pyworkflow:misrouted 2"),
        ("pyworkflow:misrouted 40", True, ["6"], "pyworkflow:misrouted 41"),
        # The timer that is open will ask again anyway.
        ("pyworkflow:misrouted 9", False, [], "pyworkflow:misrouted 10"),
        # Somebody who had the workflow has decided meanwhile.
        ("another client's", True, ["0"], "pyworkflow:misrouted 1"),
    ],
)
def test_each_time_in_a_row_it_waits_longer(
    script: Script, context: str, fired: bool, expected: list[str], next_context: str
) -> None:
    history = History(script).starts_decision().completes(context).wakes(fired).starts_decision()
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(history.events)
    script.answer("respond_decision_task_completed")
    script.then_another(workflow="mine")

    polls_for(script, "mine")

    assert delays(sent[0]) == expected
    assert sent[0]["executionContext"] == next_context


def test_a_decision_that_waits_for_a_deployment_is_given_back(script: Script) -> None:
    history = History(script).starts_decision().completes("pyworkflow:misrouted 20").wakes(True)
    sent = script.records("RespondDecisionTaskCompleted")
    script.hands_out(history.starts_decision().events)
    script.answer("respond_decision_task_completed")
    task = polls_for(script, "order")
    assert task is not None

    outcome = FailedDecision("of another release", waits=True)
    [refusal] = script.backend.turn([Completion(task, outcome)]).errors

    assert refusal is None
    assert sent[0]["executionContext"] == "pyworkflow:misrouted 21"
    assert [one["decisionType"] for one in sent[0]["decisions"]] == ["StartTimer"]
    assert delays(sent[0]) == ["2"]


def test_a_decision_that_was_given_back_leaves_no_trace(script: Script) -> None:
    history = History(script, SignalEvent(Signal("x", 0)))
    for times in (1, 2, 3):
        history.starts_decision().completes(f"pyworkflow:misrouted {times}").wakes(fired=True)
    reader = history.starts_decision().reader()

    process = reader.process("p")

    assert [event.type for event in process.history] == [
        "process_started",
        "signal",
        "decision_started",
    ]
    assert reader.wants_decider()
    assert reader.state.failures == 0


def test_why_says_that_workers_do_not_have_the_workflow(script: Script) -> None:
    history = History(script).starts_decision().completes("pyworkflow:misrouted 4").wakes(False)

    [pending] = waits_of(history.reader())

    assert (pending.kind, pending.state, pending.pollers) == ("decision", "scheduled", None)
    assert str(pending.details).startswith("given back 4 times by workers")
    assert "have workflow 'order'?" in str(pending.details)


# -- activities ----------------------------------------------------------------------------------------------------------------------


def hands_out_activity(script: Script, name: str) -> None:
    script.answer(
        "poll_for_activity_task",
        {
            "taskToken": f"token of {name}",
            "activityId": "a",
            "startedEventId": 6,
            "workflowExecution": {"workflowId": "p", "runId": "r1"},
            "activityType": {"name": name, "version": "1.0"},
            "input": "1",
        },
    )


def test_an_activity_that_a_worker_does_not_have_is_given_back(script: Script) -> None:
    hands_out_activity(script, "ship")
    script.answer(
        "respond_activity_task_failed",
        taskToken="token of ship",
        reason="misrouted",
        details=MARK,
    )
    hands_out_activity(script, "charge")

    [task] = script.backend.turn(polls=[Poll(ActivityTask, names=("charge",))]).tasks

    assert isinstance(task, ActivityTask)
    assert task.activity_execution.activity == "charge"


def test_one_that_is_over_meanwhile_disturbs_nobody(script: Script) -> None:
    hands_out_activity(script, "ship")
    script.fault("respond_activity_task_failed", "UnknownResourceFault", "Unknown activity")
    hands_out_activity(script, "charge")

    assert script.backend.turn(polls=[Poll(ActivityTask, names=("charge",))]).tasks


def scheduled(script: Script, **given: Any) -> History:
    """Return a history in which activity ``ship`` is scheduled."""
    decision = ScheduleActivity("ship", "a", input=1, **given)
    return History(script, DecisionStartedEvent(), DecisionEvent(decision))


def is_misrouted(history: History) -> History:
    """Have a worker without the activity give it back."""
    number = next(
        event["eventId"]
        for event in reversed(history.events)
        if event["eventType"] == "ActivityTaskScheduled"
    )
    history.add("ActivityTaskStarted", scheduledEventId=number)
    return history.add(
        "ActivityTaskFailed",
        scheduledEventId=number,
        startedEventId=len(history.events),
        reason="misrouted",
        details=MARK,
    )


def own_decisions(history: History) -> list[dict[str, Any]]:
    """Return what the package itself decides on a history."""
    return [one for _, one in chores.attempts(history.reader().state, Payloads(), "p")]


def is_scheduled_again(history: History) -> History:
    """Apply the package's own decision to schedule the activity again."""
    history.starts_decision().completes("pyworkflow:quiet")
    [decision] = own_decisions(history)
    attributes = decision["scheduleActivityTaskDecisionAttributes"]
    return history.add(
        "ActivityTaskScheduled",
        decisionTaskCompletedEventId=len(history.events),
        **{"taskList": {"name": "default"}} | attributes,
    )


def test_it_is_scheduled_again_as_the_same_attempt(script: Script) -> None:
    history = is_scheduled_again(is_misrouted(scheduled(script, retry=Retry(2))))

    [activity] = history.reader().state.activities.values()

    assert (activity.swf_id, activity.attempt, activity.failed) == ("a#1~1", 1, 0)
    assert activity.attributes["input"] == "1"


def test_neither_an_attempt_nor_a_reason_to_decide(script: Script) -> None:
    history = is_misrouted(is_scheduled_again(is_misrouted(scheduled(script)))).starts_decision()
    reader = history.reader()

    assert not reader.wants_decider()
    assert reader.history().find(ActivityEvent) == []
    assert {event.type for event in reader.history()[3:]} == {
        "activity_started",
        "decision_started",
    }
    started = reader.history().find(ActivityStartedEvent)
    assert started == [ActivityStartedEvent(A, 1)] * 2


def test_the_second_time_in_a_row_it_waits(script: Script) -> None:
    history = is_misrouted(is_scheduled_again(is_misrouted(scheduled(script))))

    [timer] = own_decisions(history)

    assert timer["startTimerDecisionAttributes"]["startToFireTimeout"] == "1"
    [pending] = waits_of(history.reader())
    assert (pending.kind, pending.state, pending.since) == ("activity", "scheduled", NOW)
    assert str(pending.details).startswith("given back 2 times by workers")
    assert "have activity 'ship'?" in str(pending.details)


def test_its_time_to_be_started_runs_on(script: Script) -> None:
    history = is_scheduled_again(is_misrouted(scheduled(script, scheduled_timeout=60)))
    history.now = NOW + timedelta(seconds=61)

    is_misrouted(history)

    [ended] = history.reader().history().find(ActivityEvent)
    assert ended == ActivityEvent(A, ActivityTimedOut("schedule_to_start"))


def test_it_is_tried_once_more_before_that_time_is_over(script: Script) -> None:
    history = scheduled(script, scheduled_timeout=60)
    for _ in range(80):
        is_misrouted(history)
        history.add(
            "TimerStarted",
            timerId="t",
            startToFireTimeout="1",
            control='{"$pyworkflow":{"retry":"a"},"value":null}',
        )
        history.add("TimerFired", timerId="t")
        is_scheduled_again(history)
    history.now = NOW + timedelta(seconds=55)

    [timer] = own_decisions(is_misrouted(history))

    assert timer["startTimerDecisionAttributes"]["startToFireTimeout"] == "5"


def test_one_that_is_to_be_canceled_is_canceled(script: Script) -> None:
    history = scheduled(script)
    history.add("ActivityTaskStarted", scheduledEventId=len(history.events))
    history.add("ActivityTaskCancelRequested", activityId="a", decisionTaskCompletedEventId=4)
    history.add(
        "ActivityTaskFailed",
        scheduledEventId=len(history.events) - 2,
        startedEventId=len(history.events) - 1,
        details=MARK,
    )

    [ended] = history.reader().history().find(ActivityEvent)

    assert ended == ActivityEvent(A, ActivityCanceled())


def test_one_that_was_scheduled_again_is_canceled_by_its_present_id(script: Script) -> None:
    history = is_scheduled_again(is_misrouted(scheduled(script)))
    state = history.reader().state
    context = chores.context_of(state, Process("order", "p"), Payloads(), Settings())

    [[decision]] = chores.translated([CancelActivity("a")], chores.waiting(state), context)

    assert decision["requestCancelActivityTaskDecisionAttributes"] == {"activityId": "a#1~1"}


def test_an_id_without_room_for_a_number_is_used_again(script: Script) -> None:
    long = "x" * 256
    decision = ScheduleActivity("ship", long, input=1)
    history = is_misrouted(History(script, DecisionStartedEvent(), DecisionEvent(decision)))

    [again] = own_decisions(history)

    assert again["scheduleActivityTaskDecisionAttributes"]["activityId"] == long


# -- polls ---------------------------------------------------------------------------------------------------------------------------


def test_who_has_nothing_polls_nothing() -> None:
    asked: list[Poll] = []
    polling = Polling(asked.append, print)

    assert polling.take([Poll(DecisionTask, names=())], 0) == []
    assert polling.take([Poll(DecisionTask, names=())], 60, lambda: bool(not asked)) == []
    assert asked == []


@pytest.mark.parametrize("kind", [DecisionTask, ActivityTask])
def test_a_name_that_cannot_be_one_is_refused(script: Script, kind: Any) -> None:
    with pytest.raises(InvalidRequestError):
        script.backend.turn(polls=[Poll(kind, names=("",))])


def threads() -> list[Thread]:
    """Return the long polls that are under way."""
    return [thread for thread in enumerate_threads() if thread.name.startswith("pyworkflow-poll")]


def test_a_task_that_came_late_is_for_whoever_has_its_code() -> None:
    late = ActivityTask(A, "p", {"token": "t"})
    asked = Event()
    answers: dict[tuple[str, ...], ActivityTask] = {("ship", "pack"): late}

    def ask(poll: Poll) -> ActivityTask | None:
        if poll.names == ("ship", "pack"):
            asked.wait(10)
        return answers.pop(poll.names or (), None)

    polling = Polling(ask, print)
    assert polling.take([Poll(ActivityTask, names=("ship", "pack"))], -1) == []
    asked.set()
    for thread in threads():
        thread.join(10)

    assert polling.take([Poll(ActivityTask, names=("charge",))], 0) == []
    assert polling.take([Poll(ActivityTask, names=("ship",))], 0) == [late]
