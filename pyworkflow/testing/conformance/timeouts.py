"""The five timeouts: they come with nobody polling the queue, and whatever the time zone does."""

import os
import time

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.decision import ScheduleActivity
from pyworkflow.errors import StaleTaskError
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Status
from pyworkflow.result import ActivityCompleted, ActivityTimedOut
from pyworkflow.retry import Retry
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types


class Timeouts(Contract):
    """What the passing of time does."""

    @pytest.fixture(autouse=True)
    def _clock(self, backend: Backend) -> None:
        self.requires(backend, Capability.CLOCK)

    def test_a_process_times_out(self, backend: Backend, clock: FakeClock) -> None:
        process_id = self.start(backend)
        clock.advance(86_399)
        assert backend.process_by_id(process_id).is_open
        clock.advance(1)

        assert backend.process_by_id(process_id).status is Status.TIMED_OUT
        assert types(backend, process_id)[-1] == "process_timed_out"

    def test_a_dead_decider_loses_its_decision_and_no_event(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.start(backend)
        dead = self.decision(backend)
        backend.signal_process(process_id, "meanwhile")
        clock.advance(60)

        task = self.decision(backend)

        seen = dead.process.unseen_events()
        unseen = task.process.unseen_events()
        assert unseen[: len(seen)] == seen
        assert {"signal", "decision_timed_out"} <= {e.type for e in unseen}
        before = backend.process_by_id(process_id)
        with pytest.raises(StaleTaskError):
            backend.complete_decision_task(dead, ScheduleActivity("charge"))
        assert backend.process_by_id(process_id) == before

    @pytest.mark.parametrize(
        ("started", "seconds", "kind"),
        [(False, 60, "schedule_to_start"), (True, 120, "heartbeat")],
    )
    def test_an_activity_times_out(
        self, backend: Backend, clock: FakeClock, started: bool, seconds: float, kind: str
    ) -> None:
        process_id = self.scheduled(backend, category="nobody")
        task = backend.poll_activity_task("nobody") if started else None
        clock.advance(seconds)

        event = backend.history(process_id)[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityTimedOut(kind)
        if task is not None:
            with pytest.raises(StaleTaskError):
                backend.complete_activity_task(task, ActivityCompleted())
            with pytest.raises(StaleTaskError):
                backend.heartbeat_activity_task(task)

    def test_heartbeats_extend_one_timeout_and_not_the_other(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.scheduled(backend)
        task = self.activity(backend)
        for _ in range(5):
            clock.advance(119)
            backend.heartbeat_activity_task(task)
        clock.advance(5)

        event = backend.history(process_id)[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityTimedOut("start_to_close")

    def test_timeouts_that_would_come_at_the_same_instant_come_once(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.scheduled(backend, execution_timeout=60, retry=Retry(2, 10))
        self.activity(backend)
        clock.advance(60)

        assert types(backend, process_id)[-1] == "activity_attempt"
        assert [p.state for p in backend.pending(process_id)] == ["delayed"]

    def test_an_activity_waits_for_a_worker_for_as_long_as_it_takes(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        backend.register_workflow("patient")
        backend.register_activity("wait")
        process_id = self.start(backend, "patient")
        self.decide(backend, ScheduleActivity("wait", id="a"))
        clock.advance(300 * 86_400)

        assert [(p.state, p.until) for p in backend.pending(process_id)] == [("scheduled", None)]
        backend.complete_activity_task(self.activity(backend), ActivityCompleted(1))
        assert types(backend, process_id)[-1] == "activity"

    def test_a_registration_takes_an_old_limit_away(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        assert [a.scheduled_timeout for a in backend.activities()] == [60]

        backend.register_activity("charge")

        assert [a.scheduled_timeout for a in backend.activities()] == [None]
        self.scheduled(backend)
        clock.advance(61)
        assert self.activity(backend).attempt == 1

    def test_a_retry_covers_the_wait_for_a_worker(self, backend: Backend, clock: FakeClock) -> None:
        process_id = self.scheduled(backend, retry=Retry(2, 10))
        clock.advance(60)
        assert backend.poll_activity_task() is None
        clock.advance(10)

        task = self.activity(backend)

        assert task.attempt == 2
        backend.complete_activity_task(task, ActivityCompleted(1))
        assert types(backend, process_id)[-3:] == [
            "activity_attempt",
            "activity_started",
            "activity",
        ]

    def test_a_retry_may_leave_the_wait_for_a_worker_out(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.scheduled(backend, retry=Retry(non_retryable=("schedule_to_start",)))
        clock.advance(60)

        event = backend.history(process_id)[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityTimedOut("schedule_to_start")

    def test_daylight_saving_changes_nothing(self, backend: Backend, clock: FakeClock) -> None:
        before = os.environ.get("TZ")
        process_id = self.start(backend)
        try:
            for zone in ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati"):
                os.environ["TZ"] = zone
                time.tzset()
                assert backend.process_by_id(process_id).is_open
        finally:
            os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
            time.tzset()
        clock.advance(86_400)

        assert backend.process_by_id(process_id).status is Status.TIMED_OUT

    def test_a_clock_set_back_makes_no_history_run_backwards(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.start(backend)
        clock.advance(-3600)
        backend.signal_process(process_id, "earlier")

        times = [event.datetime for event in backend.history(process_id)]

        assert times == sorted(times, key=str)
