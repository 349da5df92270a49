"""Leases: how work goes on when a worker does not."""

import pytest

from pyworkflow.backend.base import Backend, Capability, Completion, FailedDecision, Poll
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.errors import StaleTaskError
from pyworkflow.event import ActivityEvent
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityTimedOut
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types


class Leases(Contract):
    """Leases that are shorter than the timeouts, parking, and batches."""

    @pytest.fixture(autouse=True)
    def _leases(self, backend: Backend) -> None:
        self.requires(backend, Capability.LEASES, Capability.CLOCK)

    def claim(self, backend: Backend, lease: float = 10) -> ActivityTask:
        """Return an activity that is held under a lease."""
        task = backend.turn(polls=[Poll(ActivityTask, lease=lease)]).tasks[0]
        assert isinstance(task, ActivityTask)
        return task

    def test_work_of_a_lost_worker_is_done_by_another(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.scheduled(backend)
        lost = self.claim(backend)
        clock.advance(10)

        again = self.claim(backend)

        assert again.attempt == 2
        with pytest.raises(StaleTaskError):
            backend.complete_activity_task(lost, ActivityCompleted(1))
        backend.complete_activity_task(again, ActivityCompleted(2))

    def test_an_extended_lease_is_kept(self, backend: Backend, clock: FakeClock) -> None:
        self.scheduled(backend)
        task = self.claim(backend)
        for _ in range(5):
            clock.advance(9)
            assert backend.extend_leases([task], 10) == [True]
        backend.complete_activity_task(task, ActivityCompleted())

        assert backend.extend_leases([task], 10) == [False]

    def test_an_activity_that_is_handed_off_outlives_its_worker(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.scheduled(backend)
        task = self.claim(backend)
        backend.extend_leases([task], None)
        clock.advance(100)

        backend.complete_activity_task(task, ActivityCompleted())

    def test_released_tasks_wait_again_at_once(self, backend: Backend) -> None:
        self.scheduled(backend)
        task = self.claim(backend)
        backend.release_tasks([task])

        assert self.claim(backend).attempt == 2
        self.start(backend, id="p")
        backend.release_tasks([self.decision(backend)])
        assert self.decision(backend).process.id == "p"

    def test_a_lost_or_released_attempt_uses_up_no_retry(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY)
        process_id = self.scheduled(backend, retry=Retry(2, initial=5, backoff=10))
        self.claim(backend)
        clock.advance(10)
        backend.release_tasks([self.claim(backend)])
        backend.complete_activity_task(self.claim(backend), ActivityFailed("once"))
        assert backend.poll_activity_task() is None
        clock.advance(5)
        last = self.claim(backend)
        assert last.attempt == 4
        backend.complete_activity_task(last, ActivityFailed("twice"))

        event = backend.history(process_id)[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityFailed("twice")

    def test_an_activity_that_must_not_run_twice_times_out(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        backend.register_activity("once", at_most_once=True)
        process_id = self.start(backend)
        self.decide(backend, ScheduleActivity("once"))
        self.claim(backend)
        clock.advance(10)

        event = backend.history(process_id)[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityTimedOut("lease")

    def test_a_failure_that_trying_again_cannot_help_parks_at_once(self, backend: Backend) -> None:
        self.requires(backend, Capability.PARKING)
        process_id = self.start(backend)
        task = self.decision(backend)

        backend.turn([Completion(task, FailedDecision("stalled", park=True))])

        assert backend.process_by_id(process_id).parked == "stalled"
        assert Capability.CHECK not in backend.capabilities or backend.check() == []
        assert backend.poll_decision_task() is None
        backend.retry_process(process_id)
        assert self.decision(backend).process.unseen_events()[0].type == "process_started"

    def test_a_decider_that_fails_leaves_its_reason(self, backend: Backend) -> None:
        self.requires(backend, Capability.PARKING)
        process_id = self.start(backend)

        backend.fail_decision_task(self.decision(backend), "broken")

        (pending,) = backend.pending(process_id)
        assert (pending.state, pending.details) == ("delayed", "broken")
        assert backend.process_by_id(process_id).parked is None

    def test_a_process_whose_decider_keeps_failing_is_parked_and_resumed(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.PARKING)
        process_id = self.start(backend)
        for _ in range(10):
            backend.fail_decision_task(self.decision(backend), "broken")
            clock.advance(60)

        assert backend.process_by_id(process_id).parked == "broken"
        assert [p.id for p in backend.processes(parked=True)] == [process_id]
        backend.signal_process(process_id, "x")
        assert backend.poll_decision_task() is None

        backend.retry_process(process_id)
        task = self.decision(backend)
        assert task.process.unseen_events()[0].type == "process_started"
        backend.complete_decision_task(task, CompleteProcess())

    def test_a_failed_decision_is_not_handed_out_hot(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.start(backend)
        backend.fail_decision_task(self.decision(backend), "broken")

        assert backend.poll_decision_task() is None
        clock.advance(1)
        assert self.decision(backend).attempt == 2

    def test_one_turn_completes_and_claims(self, backend: Backend) -> None:
        ids = [self.start(backend, id=f"p{n}") for n in range(5)]
        tasks = backend.turn(polls=[Poll(DecisionTask, limit=10)]).tasks
        schedule = [ScheduleActivity("charge", id="a")]
        done = [Completion(task, schedule) for task in tasks[:3]]
        bad = [Completion(tasks[3], [ScheduleActivity("unknown")])]
        failed = [Completion(tasks[4], FailedDecision("broken"))]

        turn = backend.turn(done + bad + failed, [Poll(ActivityTask, limit=10)])

        assert [error is None for error in turn.errors] == [True, True, True, False, True]
        assert len(turn.tasks) == 3
        assert types(backend, ids[4])[-1] == "decision_failed"
