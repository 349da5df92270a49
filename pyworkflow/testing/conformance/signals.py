"""Signals and timers: what comes while nobody decides."""

from collections.abc import Iterable
from typing import TypeVar

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.decision import CancelTimer, ContinueProcess, Timer
from pyworkflow.event import CancelRequestedEvent, Event, SignalEvent, TimerEvent
from pyworkflow.result import ProcessCanceled
from pyworkflow.signal import Signal
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types

E = TypeVar("E", bound=Event)


def only(events: Iterable[Event], kind: type[E]) -> list[E]:
    """Return the events of a class."""
    return [event for event in events if isinstance(event, kind)]


class Signals(Contract):
    """Signals and timers reach exactly one decision, in order."""

    def test_several_signals_are_one_decision_that_sees_them_in_order(
        self, backend: Backend
    ) -> None:
        process_id = self.start(backend)
        for number in range(5):
            backend.signal_process(process_id, "n", number)

        task = self.decision(backend)

        told = only(task.process.unseen_events(), SignalEvent)
        assert told == [SignalEvent(Signal("n", number)) for number in range(5)]
        assert backend.poll_decision_task() is None

    @pytest.mark.parametrize("data", [0, "", [], False, None, {}])
    def test_falsy_data_survives(self, backend: Backend, data: object) -> None:
        process_id = self.start(backend)
        backend.signal_process(process_id, "n", data)

        assert backend.history(process_id)[-1] == SignalEvent(Signal("n", data))

    def test_a_repeated_signal_id_is_one_event(self, backend: Backend) -> None:
        self.requires(backend, Capability.SIGNAL_ID)
        process_id = self.start(backend)
        for _ in range(3):
            backend.signal_process(process_id, "pay", 1, signal_id="s1")
        backend.signal_process(process_id, "pay", 1, signal_id="s2")

        assert types(backend, process_id).count("signal") == 2

    def test_a_signal_repeated_in_a_later_run_is_one_signal(self, backend: Backend) -> None:
        self.requires(backend, Capability.SIGNAL_ID, Capability.CONTINUE)
        process_id = self.start(backend, id="p")
        backend.signal_process(process_id, "pay", 1, signal_id="s1")
        for _ in range(2):
            self.decide(backend, ContinueProcess())
        backend.signal_process(process_id, "pay", 1, signal_id="s1")
        backend.signal_process(process_id, "pay", 1, signal_id="s2")

        assert types(backend, process_id).count("signal") == 1

    def test_what_a_run_has_not_consumed_is_the_first_that_the_next_one_hears(
        self, backend: Backend
    ) -> None:
        self.requires(backend, Capability.CONTINUE)
        process_id = self.start(backend, "polite", id="p")
        signals = [Signal("pay", {"by": ["ann"]}, "s1"), Signal("pay", None), Signal("ship", 2)]
        for told in signals:
            backend.signal_process(process_id, told.name, told.data, signal_id=told.id)
        backend.cancel_process(process_id, ["why"])
        self.decide(backend, ContinueProcess(2, signals=signals, cancel_details=["why"]))

        process = self.decision(backend).process

        assert [event.type for event in process.unseen_events()] == [
            "process_started",
            *["signal"] * 3,
            "cancel_requested",
        ]
        assert [event.signal for event in only(process.history, SignalEvent)] == signals
        [asked] = only(process.history, CancelRequestedEvent)
        assert asked.details == ["why"]
        if Capability.SIGNAL_ID in backend.capabilities:
            backend.signal_process(process_id, "pay", {"by": ["ann"]}, signal_id="s1")
            assert types(backend, process_id).count("signal") == 3

    def test_a_request_to_cancel_ends_a_next_run_that_handles_none(self, backend: Backend) -> None:
        self.requires(backend, Capability.CONTINUE, Capability.CHECK)
        self.start(backend, "polite", id="p")
        self.decide(backend, ContinueProcess(workflow="order", cancel_details="why"))

        assert backend.process_by_id("p").result == ProcessCanceled("why")

    def test_a_timer_fires_when_it_is_due_and_not_before(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        self.start(backend)
        timer = Timer(30, {"why": 0})
        self.decide(backend, timer)

        clock.advance(29.999)
        assert backend.poll_decision_task() is None
        clock.advance(0.001)

        assert only(self.decision(backend).process.unseen_events(), TimerEvent) == [
            TimerEvent(timer)
        ]

    def test_equal_timers_are_two_timers(self, backend: Backend, clock: FakeClock) -> None:
        self.requires(backend, Capability.CLOCK)
        self.start(backend)
        self.decide(backend, Timer(5), Timer(5))
        clock.advance(5)

        assert len(only(self.decision(backend).process.unseen_events(), TimerEvent)) == 2

    def test_a_canceled_timer_does_not_fire(self, backend: Backend, clock: FakeClock) -> None:
        self.requires(backend, Capability.CLOCK)
        process_id = self.start(backend)
        timer = Timer(5)
        self.decide(backend, timer)
        backend.signal_process(process_id, "stop")
        self.decide(backend, CancelTimer(timer))
        clock.advance(10)

        assert backend.poll_decision_task() is None
        assert backend.process_by_id(process_id).untriggered_timers() == []

    def test_a_timer_that_fires_during_a_decision_is_decided_next(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        process_id = self.start(backend)
        self.decide(backend, Timer(5))
        backend.signal_process(process_id, "hello")
        task = self.decision(backend)
        clock.advance(5)
        assert backend.poll_decision_task() is None
        backend.complete_decision_task(task, [])

        assert [e.type for e in self.decision(backend).process.unseen_events()] == ["timer"]
