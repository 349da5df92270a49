"""Suspects: tasks whose last holder was lost are handed out alone, and only their own losses count."""

from collections.abc import Mapping
from typing import Any

import pytest

from pyworkflow.backend.base import Backend, Capability, Completion, Poll, Turn
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.event import ActivityEvent
from pyworkflow.result import ActivityFailed, ActivityTimedOut
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types

LEASE = 10.0
LONGEST_BACKOFF = 60.0


class Suspects(Contract):
    """One task that ends its workers costs no other task anything."""

    @pytest.fixture(autouse=True)
    def _suspects(self, backend: Backend) -> None:
        self.requires(backend, Capability.LEASES, Capability.PARKING, Capability.CLOCK)
        backend.register_activity("patient", scheduled_timeout=86_400)

    def poll(self, backend: Backend, *, idle: bool = True, limit: int = 10) -> Turn:
        """Ask for decisions and activities in one exchange."""
        kinds = (DecisionTask, ActivityTask)
        return backend.turn(
            polls=[Poll(kind, limit=limit, lease=LEASE, idle=idle) for kind in kinds]
        )

    def activities(self, backend: Backend, *ids: str, **more: object) -> str:
        """Start a process and schedule activities."""
        process_id = self.start(backend)
        schedules = [ScheduleActivity("patient", id=name, **more) for name in ids]  # type: ignore[arg-type]
        self.decide(backend, *schedules)
        return process_id

    def lose(self, backend: Backend, clock: FakeClock) -> Turn:
        """Take what there is, as an idle worker that is lost."""
        turn = self.poll(backend)
        clock.advance(LEASE)
        backend.queues()
        clock.advance(LONGEST_BACKOFF)
        return turn

    def result(self, backend: Backend, process_id: str) -> object:
        """Return how the last activity of a process ended."""
        ended = [e for e in backend.history(process_id) if isinstance(e, ActivityEvent)]
        return ended[-1].result if ended else None

    def test_tasks_that_lost_their_holder_together_are_handed_out_one_by_one(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.activities(backend, "a")
        ids = {self.start(backend, id=f"p{n}") for n in range(3)}
        assert len(self.lose(backend, clock).tasks) == 4
        self.start(backend, id="new")

        alone = [self.poll(backend).tasks for _ in range(4)]

        assert [len(tasks) for tasks in alone] == [1, 1, 1, 1]
        assert all(task.context["alone"] for (task,) in alone)
        decided = {t.process.id for (t,) in alone if isinstance(t, DecisionTask)}
        assert decided == ids
        (last,) = self.poll(backend).tasks
        assert isinstance(last, DecisionTask)
        assert (last.process.id, last.context.get("alone")) == ("new", None)

    def test_a_poller_that_is_busy_is_told_of_suspects_and_handed_none(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.start(backend, id="p")
        self.lose(backend, clock)
        self.start(backend, id="new")

        busy = self.poll(backend, idle=False)

        assert busy.suspects
        assert [t.process.id for t in busy.tasks if isinstance(t, DecisionTask)] == ["new"]
        assert self.poll(backend, idle=False) == Turn([], [], suspects=True)
        idle = self.poll(backend)
        assert len(idle.tasks) == 1
        assert not idle.suspects
        assert not self.poll(backend, idle=False).suspects

    def test_losses_in_company_are_never_counted(self, backend: Backend, clock: FakeClock) -> None:
        innocent = self.activities(backend, "a")
        for n in range(20):
            self.start(backend, id=f"p{n}")
        self.lose(backend, clock)
        for _ in range(21):
            turn = self.poll(backend)
            for task in turn.tasks:
                if isinstance(task, ActivityTask):
                    backend.complete_activity_task(task, ActivityFailed("later"))
                else:
                    backend.complete_decision_task(task, CompleteProcess())

        assert backend.processes(parked=True) == []
        assert self.result(backend, innocent) == ActivityFailed("later")

    def test_an_activity_that_survives_alone_for_a_while_is_a_suspect_no_more(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        slow = self.activities(backend, "a", execution_timeout=86_400)
        first, *others = [self.survive(backend, clock) for _ in range(9)]
        # From here on it has to run alone to its end.
        last = [self.survive(backend, clock) for _ in range(3)]

        assert first.get("alone") is None
        assert all(context["alone"] for context in (*others, *last))
        assert self.result(backend, slow) == ActivityTimedOut("lease")

    def survive(self, backend: Backend, clock: FakeClock) -> Mapping[str, Any]:
        """Take the one activity, keep it for longer than it must be alone, and be lost then; return its context."""
        (task,) = self.poll(backend).tasks
        clock.advance(LEASE - 1)
        assert backend.extend_leases([task], LEASE) == [True]
        clock.advance(LEASE)
        backend.queues()
        clock.advance(LONGEST_BACKOFF)
        return task.context

    def test_a_decision_that_loses_lone_workers_parks_its_process(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        poison = self.start(backend)
        attempts: list[int] = []
        while len(attempts) < 10 and (tasks := self.lose(backend, clock).tasks):
            attempts.append(tasks[0].attempt)

        assert attempts == [1, 2, 3, 4]
        parked = backend.process_by_id(poison).parked
        assert parked is not None
        assert "lost" in parked
        assert "3 times" in parked

        backend.retry_process(poison)
        (again,) = self.poll(backend).tasks
        assert again.context["alone"]
        backend.complete_decision_task(again, CompleteProcess())  # type: ignore[arg-type]

    def test_a_lost_decision_is_not_handed_out_hot(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.start(backend)
        self.poll(backend)
        clock.advance(LEASE)
        assert len(self.poll(backend).tasks) == 1
        clock.advance(LEASE)

        assert self.poll(backend).tasks == []
        clock.advance(1)
        assert len(self.poll(backend).tasks) == 1

    def test_an_activity_that_loses_lone_workers_times_out(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        poison = self.activities(backend, "a")
        attempts: list[int] = []
        while len(attempts) < 10 and isinstance(
            task := self.lose(backend, clock).tasks[0], ActivityTask
        ):
            attempts.append(task.attempt)

        assert attempts == [1, 2, 3, 4]
        assert self.result(backend, poison) == ActivityTimedOut("lease")

    def test_a_suspect_that_gives_an_answer_is_none_any_more(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY)
        self.activities(backend, "a", retry=Retry(5, initial=1))
        process_id = self.start(backend)
        self.lose(backend, clock)
        for _ in range(2):
            (task,) = self.poll(backend).tasks
            if isinstance(task, ActivityTask):
                backend.complete_activity_task(task, ActivityFailed("broken"))
            else:
                backend.fail_decision_task(task, "broken")
        clock.advance(1)

        turn = self.poll(backend)

        assert len(turn.tasks) == 2
        assert not any(task.context.get("alone") for task in turn.tasks)
        assert types(backend, process_id).count("decision_failed") == 1

    def test_the_next_decision_of_a_suspect_is_as_any_other(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        process_id = self.start(backend)
        self.lose(backend, clock)
        (task,) = self.poll(backend).tasks
        backend.signal_process(process_id, "more")
        backend.complete_decision_task(task, [])  # type: ignore[arg-type]

        (following,) = self.poll(backend).tasks

        assert following.attempt == 1
        assert "alone" not in following.context

    def test_a_decision_given_back_again_and_again_is_handed_out_alone_and_parked(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        poison = self.start(backend)
        rounds = 0
        while rounds < 50 and (tasks := self.poll(backend).tasks):
            backend.release_tasks(tasks)
            clock.advance(LONGEST_BACKOFF)
            rounds += 1

        assert rounds == 4
        assert "gave it back" in (backend.process_by_id(poison).parked or "")

    def test_an_activity_given_back_again_and_again_ends(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        poison = self.activities(backend, "a")
        alone = []
        for _ in range(30):
            (task,) = self.poll(backend).tasks
            if isinstance(task, DecisionTask):
                break
            alone.append(bool(task.context.get("alone")))
            backend.release_tasks([task])

        assert alone == [False] * 10 + [True] * 3
        assert self.result(backend, poison) == ActivityTimedOut("released")

    def test_an_activity_whose_heartbeats_stop_is_tried_again_alone(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.RETRY)
        backend.register_activity("pulse", heartbeat_timeout=5, retry=Retry(3, initial=1))
        self.start(backend)
        self.decide(backend, ScheduleActivity("pulse", id="a"))
        self.poll(backend)
        clock.advance(5)
        backend.queues()
        clock.advance(1)

        (task,) = self.poll(backend).tasks

        assert task.context["alone"]

    def test_a_completion_and_a_suspect_go_in_one_exchange(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.start(backend, id="p")
        self.lose(backend, clock)
        self.start(backend, id="new")
        (new,) = self.poll(backend, idle=False).tasks

        turn = backend.turn(
            [Completion(new, [CompleteProcess()])],
            [Poll(DecisionTask, limit=10, lease=LEASE), Poll(ActivityTask, lease=LEASE)],
        )

        assert turn.errors == [None]
        assert [task.context.get("alone") for task in turn.tasks] == [True]
