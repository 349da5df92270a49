"""Activities: scheduling, executing, heartbeats, cancellation, retries."""

import pytest

from pyworkflow.backend.base import Backend, Capability, Reuse
from pyworkflow.decision import CancelActivity, CompleteProcess, ScheduleActivity, ScheduleLambda
from pyworkflow.errors import PayloadError, StaleTaskError, UnknownActivityError
from pyworkflow.event import ActivityAttemptEvent, ActivityEvent
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.retry import Retry
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types


class Activities(Contract):
    """From the decision to schedule an activity to the event that it ended."""

    def test_a_history_reads_as_it_always_has(self, backend: Backend) -> None:
        process_id = self.scheduled(backend, input=[3, 4])
        task = self.activity(backend)
        backend.complete_activity_task(task, ActivityCompleted(12))
        self.decide(backend, CompleteProcess(12))

        assert task.activity_execution.input == [3, 4]
        assert types(backend, process_id) == [
            "process_started",
            "decision_started",
            "decision",
            "activity_started",
            "activity",
            "decision_started",
            "decision",
        ]

    @pytest.mark.parametrize(
        "result",
        [
            ActivityCompleted(0),
            ActivityCompleted(None),
            ActivityCanceled("no"),
            ActivityFailed("bad", {"x": 1}),
            ActivityTimedOut("slow"),
        ],
    )
    def test_every_result_reaches_the_decider(
        self, backend: Backend, result: ActivityResult
    ) -> None:
        self.scheduled(backend)
        task = self.activity(backend)
        backend.complete_activity_task(task, result)

        unseen = self.decision(backend).process.unseen_events()

        assert unseen[-1] == ActivityEvent(task.activity_execution, result)

    def test_a_second_completion_changes_nothing(self, backend: Backend) -> None:
        process_id = self.scheduled(backend)
        task = self.activity(backend)
        backend.complete_activity_task(task, ActivityCompleted(1))
        before = backend.process_by_id(process_id)

        with pytest.raises(StaleTaskError):
            backend.complete_activity_task(task, ActivityCompleted(2))
        with pytest.raises(UnknownActivityError):
            backend.heartbeat_activity_task(task)

        assert backend.process_by_id(process_id) == before

    def test_a_bad_result_leaves_the_task_open(self, backend: Backend) -> None:
        self.scheduled(backend)
        task = self.activity(backend)

        with pytest.raises(PayloadError):
            backend.complete_activity_task(task, ActivityCompleted(float("inf")))

        backend.complete_activity_task(task, ActivityCompleted(1))

    def test_only_pollers_of_its_category_get_an_activity(self, backend: Backend) -> None:
        self.scheduled(backend, category="fast")

        assert backend.poll_activity_task() is None
        assert backend.poll_activity_task("fast") is not None

    def test_each_scheduling_has_an_idempotency_key_of_its_own(self, backend: Backend) -> None:
        self.scheduled(backend)
        first = self.activity(backend)
        backend.complete_activity_task(first, ActivityCompleted())
        self.decide(backend, ScheduleActivity("charge", id="b"))

        second = self.activity(backend)

        assert first.idempotency_key != second.idempotency_key
        assert len(first.idempotency_key) == 32
        assert first.idempotency_key.isalnum()

    def test_an_id_that_is_used_again_has_another_idempotency_key(self, backend: Backend) -> None:
        self.requires(backend, Capability.LEASES)
        self.scheduled(backend)
        first = self.activity(backend)
        backend.complete_activity_task(first, ActivityCompleted())
        self.decide(backend, ScheduleActivity("charge", id="a"))

        assert self.activity(backend).idempotency_key != first.idempotency_key

    def test_all_attempts_have_one_idempotency_key(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY, Capability.CLOCK)
        process_id = self.scheduled(backend, retry=Retry(max_attempts=3, initial=10))
        first = self.activity(backend)
        backend.complete_activity_task(first, ActivityFailed("once"))
        clock.advance(10)
        second = self.activity(backend)
        backend.release_tasks([second])
        third = self.activity(backend)

        assert first.idempotency_key == second.idempotency_key == third.idempotency_key
        backend.terminate_process(process_id)
        backend.start_process(Process("order", process_id), reuse=Reuse.ALLOW)
        self.decide(backend, ScheduleActivity("charge", id="a"))
        assert self.activity(backend).idempotency_key != first.idempotency_key

    def test_a_waiting_activity_is_canceled_at_once(self, backend: Backend) -> None:
        process_id = self.scheduled(backend)
        backend.signal_process(process_id, "stop")
        self.decide(backend, CancelActivity("a"))

        event = self.decision(backend).process.unseen_events()[-1]

        assert isinstance(event, ActivityEvent)
        assert event.result == ActivityCanceled()
        assert backend.poll_activity_task() is None

    def test_a_running_activity_is_asked_to_cancel_itself(self, backend: Backend) -> None:
        self.requires(backend, Capability.CANCEL_REQUEST)
        process_id = self.scheduled(backend)
        task = self.activity(backend)
        assert backend.heartbeat_activity_task(task) is False
        backend.signal_process(process_id, "stop")
        self.decide(backend, CancelActivity("a"))

        assert backend.heartbeat_activity_task(task) is True
        backend.complete_activity_task(task, ActivityCanceled("as asked"))

        event = self.decision(backend).process.unseen_events()[-1]
        assert event == ActivityEvent(task.activity_execution, ActivityCanceled("as asked"))

    def test_a_failed_attempt_is_tried_again_unseen_by_the_decider(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY, Capability.CLOCK)
        process_id = self.scheduled(backend, retry=Retry(max_attempts=2, initial=10))
        first = self.activity(backend)
        backend.heartbeat_activity_task(first, {"done": 3})
        backend.complete_activity_task(first, ActivityFailed("once"))

        assert backend.poll_activity_task() is None
        assert backend.poll_decision_task() is None
        clock.advance(10)
        second = self.activity(backend)

        assert (second.attempt, second.heartbeat_details) == (2, {"done": 3})
        backend.complete_activity_task(second, ActivityFailed("twice"))
        assert types(backend, process_id)[3:] == [
            "activity_started",
            "activity_attempt",
            "activity_started",
            "activity",
        ]

    def test_activities_that_fail_together_are_tried_again_one_by_one_with_jitter(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY, Capability.CLOCK)
        process_id = self.start(backend, id="p")
        retry = Retry(initial=10, jitter=0.5)
        self.decide(backend, *(ScheduleActivity("charge", id=f"a-{n}", retry=retry) for n in "123"))
        for task in [self.activity(backend) for _ in range(3)]:
            backend.complete_activity_task(task, ActivityFailed("down"))

        delays = [
            event.delay
            for event in backend.history(process_id)
            if isinstance(event, ActivityAttemptEvent)
        ]

        assert len(set(delays)) == 3
        assert all(5 <= delay <= 10 for delay in delays)
        clock.advance(min(delays) - 0.01)
        assert backend.poll_activity_task() is None
        clock.advance(max(delays) - min(delays) + 0.02)
        assert [self.activity(backend).attempt for _ in range(3)] == [2, 2, 2]

    def test_a_final_reason_is_not_tried_again(self, backend: Backend) -> None:
        self.requires(backend, Capability.RETRY)
        process_id = self.scheduled(backend, retry=Retry(non_retryable=("ValueError",)))
        failed = ActivityFailed("bad", None, "ValueError")
        backend.complete_activity_task(self.activity(backend), failed)

        assert types(backend, process_id)[-1] == "activity"

    def test_one_final_reason_in_a_group_is_not_tried_again(self, backend: Backend) -> None:
        self.requires(backend, Capability.RETRY)
        process_id = self.scheduled(backend, retry=Retry(non_retryable=("ValueError",)))
        failed = ActivityFailed("away; bad", None, "OSError, ValueError")
        backend.complete_activity_task(self.activity(backend), failed)

        assert types(backend, process_id)[-1] == "activity"

    def test_a_lambda_is_done_by_workers_of_its_category(self, backend: Backend) -> None:
        self.requires(backend, Capability.LAMBDA)
        self.start(backend)
        self.decide(backend, ScheduleLambda("resize", input=1))

        task = backend.poll_activity_task("lambda")

        assert task is not None
        assert (task.activity_execution.activity, task.activity_execution.input) == ("resize", 1)

    def test_an_open_activity_id_is_not_taken_twice(self, backend: Backend) -> None:
        self.scheduled(backend)
        backend.complete_activity_task(self.activity(backend), ActivityCompleted())
        self.decide(backend, ScheduleActivity("charge", id="a"))

        assert self.activity(backend).activity_execution.id == "a"

    def test_events_tell_which_worker(self, backend: Backend) -> None:
        process_id = self.start(backend)
        task = backend.poll_decision_task(identity="decider 1")
        assert task is not None
        backend.complete_decision_task(task, ScheduleActivity("charge"))
        assert backend.poll_activity_task(identity="worker 1") is not None

        events = backend.history(process_id)

        assert [getattr(event, "identity", None) for event in events] == [
            None,
            "decider 1",
            None,
            "worker 1",
        ]
