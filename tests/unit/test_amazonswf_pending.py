"""What an open process on Amazon SWF waits for, since when and until when, and how ``pyworkflow why`` says it."""

from datetime import UTC, timedelta
from datetime import datetime as DateTime
from typing import Any

from pyworkflow.backend.amazonswf.looking import waits_of
from pyworkflow.backend.exchange import Pending
from pyworkflow.cli.looking import reason
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.reading import Reader
from pyworkflow.swf.words import attributes_key

NOON = DateTime(2026, 1, 1, 12, tzinfo=UTC)
RETRY = '{"$pyworkflow":{"retry":{"max_attempts":3,"initial":30}},"value":null}'


def at(seconds: float) -> DateTime:
    return NOON + timedelta(seconds=seconds)


class History:
    """Events of an execution that takes twenty seconds for a decision at most."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.add(
            0,
            "WorkflowExecutionStarted",
            workflowType={"name": "order", "version": "1.0"},
            taskList={"name": "orders"},
            taskStartToCloseTimeout="20",
        )

    def add(self, second: float, kind: str, **attributes: Any) -> "History":
        number = len(self.events) + 1
        event = {"eventId": number, "eventType": kind, "eventTimestamp": at(second)}
        self.events.append(event | {attributes_key(kind, "Event"): attributes})
        return self

    def decided(self, second: float, kind: str, **attributes: Any) -> "History":
        """Add an event that a decision of that second made."""
        self.add(second, "DecisionTaskScheduled")
        self.add(second, "DecisionTaskStarted", scheduledEventId=len(self.events))
        self.add(second, "DecisionTaskCompleted", startedEventId=len(self.events))
        made = {"decisionTaskCompletedEventId": len(self.events)}
        return self.add(second, kind, **attributes | made)

    def pending(self) -> Pending:
        reader = Reader(Payloads())
        reader.read(self.events)
        [pending] = waits_of(reader)
        return pending


def scheduled() -> History:
    return History().decided(
        1,
        "ActivityTaskScheduled",
        activityId="a",
        activityType={"name": "charge", "version": "1.0"},
        taskList={"name": "money"},
        control=RETRY,
        scheduleToStartTimeout="60",
        startToCloseTimeout="NONE",
    )


def test_a_decision_waits_since_it_was_scheduled() -> None:
    pending = History().add(5, "DecisionTaskScheduled").pending()

    assert (pending.state, pending.category, pending.since) == ("scheduled", "orders", at(5))
    assert (
        reason(pending) == "a decision waits in category 'orders' since 12:00:05 UTC on 2026-01-01"
    )


def test_a_decision_is_made_by_somebody_until_its_timeout() -> None:
    history = History().add(5, "DecisionTaskScheduled")
    pending = history.add(6, "DecisionTaskStarted", scheduledEventId=2, identity="w").pending()

    assert (pending.state, pending.identity) == ("started", "w")
    assert (pending.since, pending.until) == (at(6), at(26))


def test_a_decider_that_failed_is_asked_again_when_its_timer_fires() -> None:
    control = '{"$pyworkflow":{"again":true},"value":null}'
    details = '{"$pyworkflow":{"reason":"broken"},"value":null}'
    history = History().decided(
        1, "MarkerRecorded", markerName="pyworkflow.failed", details=details
    )
    made = {"decisionTaskCompletedEventId": 4}
    history.add(1, "TimerStarted", timerId="t", startToFireTimeout="8", control=control, **made)

    pending = history.pending()

    assert (pending.state, pending.until, pending.attempt) == ("delayed", at(9), 2)


def test_an_activity_waits_until_its_scheduled_timeout() -> None:
    pending = scheduled().pending()

    assert (pending.state, pending.since, pending.until) == ("scheduled", at(1), at(61))
    assert reason(pending) == (
        "activity charge (a) waits in category 'money' since 12:00:01 UTC on 2026-01-01"
    )


def test_an_activity_without_a_timeout_runs_without_end() -> None:
    pending = scheduled().add(3, "ActivityTaskStarted", scheduledEventId=5, identity="w").pending()

    assert (pending.state, pending.since, pending.until) == ("started", at(3), None)
    assert pending.identity == "w"


def test_a_retry_waits_for_its_timer() -> None:
    history = scheduled().add(3, "ActivityTaskStarted", scheduledEventId=5)
    history.add(4, "ActivityTaskFailed", scheduledEventId=5, startedEventId=6, reason="no")
    control = '{"$pyworkflow":{"retry":"a"},"value":null}'
    history.decided(4, "TimerStarted", timerId="t", startToFireTimeout="30", control=control)

    pending = history.pending()

    assert (pending.state, pending.until, pending.attempt) == ("delayed", at(34), 2)


def test_a_timer_tells_when_it_fires() -> None:
    history = History().decided(1, "TimerStarted", timerId="t", startToFireTimeout="90")

    assert reason(history.pending()) == "timer t fires at 12:01:31 UTC on 2026-01-01"
