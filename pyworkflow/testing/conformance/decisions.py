"""Decision tasks: one at a time, all or nothing, and nothing unseen."""

import threading
from datetime import timedelta

import pytest
from msgspec import structs

from pyworkflow.backend.base import Backend, Capability, Completion
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    Decision,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidDecisionError, StaleTaskError, UnseenEventsError
from pyworkflow.event import CancelRequestedEvent, DecisionRejectedEvent, SignalEvent
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types

BAD: list[Decision] = [
    ScheduleActivity("unknown"),
    ScheduleActivity("charge", id="a:b"),
    ScheduleActivity("charge", input=float("nan")),
    CancelActivity("unknown"),
    CancelTimer("unknown"),
    Timer(-1),
    Timer(float("inf")),
    StartChildProcess(Process("unknown")),
    StartChildProcess(Process("order"), child_policy="MAYBE"),
    RecordMarker(""),
    SignalProcess("other", Signal("x", "\0")),
    CompleteProcess("\ud800"),
]


class Decisions(Contract):
    """What happens between a poll for a decision and its completion."""

    @pytest.mark.parametrize("bad", BAD, ids=lambda d: d.type)
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_list_with_one_bad_decision_changes_nothing(
        self, backend: Backend, bad: Decision, place: int
    ) -> None:
        self.requires(backend, Capability.ATOMIC)
        process_id = self.start(backend)
        task = self.decision(backend)
        before = backend.process_by_id(process_id)
        decisions: list[Decision] = [ScheduleActivity("charge"), Timer(5)]
        decisions.insert(place, bad)

        with pytest.raises(InvalidDecisionError, match=f"decision {place + 1}"):
            backend.complete_decision_task(task, decisions)

        assert backend.process_by_id(process_id) == before
        assert backend.poll_activity_task() is None
        backend.complete_decision_task(task, CompleteProcess())

    def test_a_closing_decision_comes_last(self, backend: Backend) -> None:
        self.requires(backend, Capability.ATOMIC)
        self.start(backend)
        task = self.decision(backend)

        with pytest.raises(InvalidDecisionError, match="last"):
            backend.complete_decision_task(task, [CompleteProcess(), ScheduleActivity("charge")])

    def test_a_closing_decision_never_buries_an_unseen_signal(self, backend: Backend) -> None:
        process_id = self.start(backend)
        task = self.decision(backend)
        backend.signal_process(process_id, "wait", {"n": 1})

        with pytest.raises(UnseenEventsError):
            backend.complete_decision_task(task, CompleteProcess())

        again = self.decision(backend)
        unseen = again.process.unseen_events()
        assert SignalEvent(Signal("wait", {"n": 1})) in unseen
        assert unseen[0].type == "process_started"
        backend.complete_decision_task(again, CompleteProcess())

    def test_an_open_decision_is_the_only_one(self, backend: Backend) -> None:
        process_id = self.start(backend)
        task = self.decision(backend)

        backend.signal_process(process_id, "one")
        assert backend.poll_decision_task() is None
        backend.complete_decision_task(task, [])

        assert [e.type for e in self.decision(backend).process.unseen_events()] == ["signal"]

    def test_threads_never_hold_two_decisions_of_a_process(self, backend: Backend) -> None:
        for number in range(20):
            self.start(backend, id=f"p{number}")
        held: list[DecisionTask] = []
        barrier = threading.Barrier(4)

        def take() -> None:
            barrier.wait()
            while (task := backend.poll_decision_task()) is not None:
                held.append(task)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(str(task.process.id) for task in held) == sorted(f"p{n}" for n in range(20))

    def test_a_second_completion_changes_nothing(self, backend: Backend) -> None:
        process_id = self.start(backend)
        task = self.decide(backend, Timer(60))
        before = backend.process_by_id(process_id)

        with pytest.raises(StaleTaskError):
            backend.complete_decision_task(task, ScheduleActivity("charge"))

        assert backend.process_by_id(process_id) == before

    def test_a_failed_decision_leaves_its_events_unseen(self, backend: Backend) -> None:
        process_id = self.start(backend)
        backend.fail_decision_task(self.decision(backend), "broken", "traceback")

        assert types(backend, process_id) == [
            "process_started",
            "decision_started",
            "decision_failed",
        ]

    def test_a_signal_to_nobody_is_told_to_the_decider(self, backend: Backend) -> None:
        self.requires(backend, Capability.EXTERNAL)
        self.start(backend)
        asked: list[Decision] = [
            SignalProcess("nobody", Signal("x")),
            RequestCancelProcess("nobody"),
        ]
        self.decide(backend, *asked)

        unseen = self.decision(backend).process.unseen_events()

        rejected = [e for e in unseen if isinstance(e, DecisionRejectedEvent)]
        assert [e.decision for e in rejected] == asked
        assert {e.reason for e in rejected} == {"unknown process 'nobody'"}

    def test_a_request_to_cancel_another_process_carries_its_details(
        self, backend: Backend
    ) -> None:
        self.requires(backend, Capability.EXTERNAL)
        self.start(backend, "polite", id="a")
        self.decide(backend)
        self.start(backend, id="b")
        self.decide(backend, RequestCancelProcess("a", {"why": 0}))

        task = self.decision(backend)

        assert task.process.unseen_events() == [CancelRequestedEvent({"why": 0})]

    def test_one_process_signals_another(self, backend: Backend) -> None:
        self.requires(backend, Capability.EXTERNAL)
        self.start(backend, id="a")
        self.decide(backend)
        self.start(backend, id="b")
        self.decide(backend, SignalProcess("a", Signal("hello", 1)))

        task = self.decision(backend)

        assert task.process.id == "a"
        assert task.process.unseen_events() == [SignalEvent(Signal("hello", 1))]

    def foreseen(self, backend: Backend, activity: ActivityTask) -> DecisionTask:
        """Return the decision that the result of an activity will call for."""
        self.requires(backend, Capability.CLOCK)
        if type(backend).foresee is Backend.foresee:
            pytest.skip(f"{backend.name} foresees no decision")
        task = backend.foresee(activity, ActivityCompleted("paid"))
        assert task is not None, "nothing is foreseen"
        return task

    @pytest.mark.parametrize("seconds", [-20, 1], ids=["before its last event", "in the future"])
    def test_a_foreseen_decision_of_a_time_that_cannot_be_is_dropped(
        self, backend: Backend, clock: FakeClock, seconds: int
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        process_id = self.scheduled(backend)
        clock.advance(30)
        activity = self.activity(backend)
        clock.advance(10)
        foreseen = self.foreseen(backend, activity)
        *earlier, ended, started = foreseen.process.history
        shifted = [
            structs.replace(event, datetime=clock.datetime() + timedelta(seconds=seconds))
            for event in (ended, started)
        ]
        process = structs.replace(foreseen.process, history=History([*earlier, *shifted]))

        then = Completion(structs.replace(foreseen, process=process), [RecordMarker("foreseen")])
        turn = backend.turn([Completion(activity, ActivityCompleted("paid"), then)])

        assert turn.errors == [None]
        recorded = backend.history(process_id)
        assert [event.type for event in recorded][-2:] == ["activity_started", "activity"]
        assert recorded[-1].datetime == clock.datetime()
        unseen = self.decision(backend).process.unseen_events()
        assert [event.type for event in unseen][-1:] == ["activity"]

    def test_a_foreseen_decision_of_the_time_of_the_last_event_applies(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        process_id = self.scheduled(backend)
        activity = self.activity(backend)
        foreseen = self.foreseen(backend, activity)

        then = Completion(foreseen, [RecordMarker("foreseen")])
        turn = backend.turn([Completion(activity, ActivityCompleted("paid"), then)])

        assert turn.errors == [None]
        expected = ["activity_started", "activity", "decision_started", "decision"]
        assert types(backend, process_id)[-4:] == expected
