"""Claims: a poll carries the names of what its worker has, and gets tasks of these only."""

from datetime import timedelta

import pytest

from pyworkflow.backend.base import Backend, Capability, Completion, FailedDecision, Poll
from pyworkflow.decision import (
    CompleteProcess,
    ContinueProcess,
    Decision,
    ScheduleActivity,
    StartChildProcess,
)
from pyworkflow.errors import InvalidRequestError, UnregisteredNameError
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract, types


class Claims(Contract):
    """What a worker does not have is handed to others, or waits."""

    @pytest.fixture(autouse=True)
    def _names(self, backend: Backend) -> None:
        self.requires(backend, Capability.NAMES)
        for name in ("ship", "bill"):
            backend.register_activity(name)

    def activities(self, backend: Backend, *names: str, limit: int = 100) -> list[str]:
        """Claim activities; return their names."""
        turn = backend.turn(polls=[Poll(ActivityTask, limit=limit, names=names)])
        return [t.activity_execution.activity for t in turn.tasks if isinstance(t, ActivityTask)]

    def decisions(self, backend: Backend, *names: str, limit: int = 100) -> list[str | None]:
        """Claim decisions; return the ids of their processes."""
        turn = backend.turn(polls=[Poll(DecisionTask, limit=limit, names=names)])
        return [t.process.id for t in turn.tasks if isinstance(t, DecisionTask)]

    def schedule(self, backend: Backend, *names: str) -> str:
        """Start a process that schedules activities."""
        process_id = self.start(backend)
        self.decide(backend, *(ScheduleActivity(name) for name in names))
        return process_id

    def test_a_worker_gets_only_activities_that_it_has(self, backend: Backend) -> None:
        self.schedule(backend, "charge", "ship", "bill", "ship")

        assert self.activities(backend, "lack") == []
        assert sorted(self.activities(backend, "bill", "charge")) == ["bill", "charge"]
        assert self.activities(backend, "ship") == ["ship", "ship"]

    def test_a_worker_gets_only_decisions_of_workflows_that_it_has(self, backend: Backend) -> None:
        self.start(backend, id="one")
        self.start(backend, "polite", id="two")

        assert self.decisions(backend, "lack") == []
        assert self.decisions(backend, "polite") == ["two"]
        assert self.decisions(backend, "lack", "order") == ["one"]

    def test_what_nobody_has_waits_untouched(self, backend: Backend) -> None:
        self.requires(backend, Capability.PARKING)
        process_id = self.schedule(backend, "ship")
        waiting = self.start(backend, "polite")
        before = types(backend, process_id), types(backend, waiting)

        for _ in range(20):
            assert self.activities(backend, "charge") == []
            assert self.decisions(backend, "order") == []

        assert (types(backend, process_id), types(backend, waiting)) == before
        [task] = backend.turn(polls=[Poll(ActivityTask)]).tasks
        assert isinstance(task, ActivityTask)
        assert task.attempt == 1
        assert self.decision(backend).attempt == 1

    def test_a_poll_without_a_name_gets_nothing(self, backend: Backend) -> None:
        self.schedule(backend, "ship")
        self.start(backend)

        assert self.activities(backend) == []
        assert self.decisions(backend) == []

    def test_a_poll_for_all_names_gets_everything(self, backend: Backend) -> None:
        self.schedule(backend, "charge", "ship")

        tasks = backend.turn(polls=[Poll(ActivityTask, limit=9)]).tasks

        assert len(tasks) == 2

    def test_names_share_one_queue_in_the_order_of_waiting(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        for name in ("ship", "charge", "bill", "charge", "ship", "bill"):
            self.schedule(backend, name)
            clock.advance(1)

        first = self.activities(backend, "bill", "charge", "ship", limit=3)
        assert first == ["ship", "charge", "bill"]
        assert self.activities(backend, "bill", "ship", limit=1) == ["ship"]
        assert self.activities(backend, "bill", "charge", "ship") == ["charge", "bill"]

    def test_workflows_share_one_queue_in_the_order_of_waiting(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        for number in range(6):
            self.start(backend, ("polite", "order")[number % 2], id=str(number))
            clock.advance(1)

        assert self.decisions(backend, "order", "polite", limit=3) == ["0", "1", "2"]
        assert self.decisions(backend, "order", "polite") == ["3", "4", "5"]

    def test_what_a_turn_makes_ready_is_claimed_by_name_as_well(self, backend: Backend) -> None:
        self.start(backend)
        task = self.decision(backend)
        scheduled = [ScheduleActivity("ship"), ScheduleActivity("charge")]

        turn = backend.turn(
            [Completion(task, scheduled)], [Poll(ActivityTask, limit=9, names=("charge",))]
        )

        assert turn.errors == [None]
        [charge] = (
            turn.tasks or backend.turn(polls=[Poll(ActivityTask, limit=9, names=("charge",))]).tasks
        )
        assert isinstance(charge, ActivityTask)
        assert charge.activity_execution.activity == "charge"
        turn = backend.turn(
            [Completion(charge, ActivityCompleted(1))], [Poll(DecisionTask, names=("polite",))]
        )
        assert turn.tasks == []
        self.decide(backend, CompleteProcess())

    def test_two_polls_of_one_turn_have_names_of_their_own(self, backend: Backend) -> None:
        self.schedule(backend, "charge", "ship", "bill")

        polls = [
            Poll(ActivityTask, limit=9, names=("charge", "ship")),
            Poll(ActivityTask, limit=9, names=("ship", "bill")),
        ]
        tasks = backend.turn(polls=polls).tasks

        names = [t.activity_execution.activity for t in tasks if isinstance(t, ActivityTask)]
        assert sorted(names) == ["bill", "charge", "ship"]

    def test_a_name_is_claimed_as_soon_as_it_is_ready(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.LEASES, Capability.CLOCK)
        self.schedule(backend, "ship", "charge")
        poll = Poll(ActivityTask, lease=10, names=("ship",))
        assert len(backend.turn(polls=[poll]).tasks) == 1
        assert backend.turn(polls=[poll]).tasks == []
        clock.advance(10)

        [again] = backend.turn(polls=[poll]).tasks

        assert isinstance(again, ActivityTask)
        assert again.attempt == 2

    def test_a_wait_is_for_its_own_names(self, backend: Backend) -> None:
        self.schedule(backend, "ship")

        turn = backend.turn(polls=[Poll(ActivityTask, names=("charge",))], wait=0.01)

        assert turn.tasks == []

    def test_a_name_that_cannot_be_one_is_refused(self, backend: Backend) -> None:
        with pytest.raises(InvalidRequestError):
            backend.turn(polls=[Poll(ActivityTask, names=("",))])

    @pytest.mark.parametrize(
        "decision",
        [
            ScheduleActivity("later"),
            StartChildProcess(Process("later", id="kid")),
            ContinueProcess(workflow="later"),
        ],
        ids=lambda decision: decision.type,
    )
    def test_what_nobody_has_registered_yet_is_waited_for(
        self, backend: Backend, clock: FakeClock, decision: Decision
    ) -> None:
        self.requires(backend, Capability.CLOCK, Capability.PARKING, Capability.ATOMIC)
        process_id = self.start(backend)

        for number in range(30):
            clock.advance(60)
            task = self.decision(backend)
            assert task.attempt == number + 1
            with pytest.raises(UnregisteredNameError, match="'later': is not registered"):
                backend.complete_decision_task(task, decision)
            failed = FailedDecision("later is not registered", waits=True)
            assert backend.turn([Completion(task, failed)]).errors == [None]
            [waiting] = backend.pending(process_id)
            assert (waiting.state, waiting.details) == ("delayed", "later is not registered")
            assert waiting.until is not None
            assert waiting.until - clock.datetime() <= timedelta(seconds=60)

        assert backend.processes(parked=True) == []
        backend.register_activity("later")
        backend.register_workflow("later")
        clock.advance(60)
        self.decide(backend, decision)

    def test_a_deployment_that_rolls_is_looked_for_every_second(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CLOCK, Capability.PARKING, Capability.LEASES)
        self.start(backend)

        for _ in range(10):
            failed = Completion(self.decision(backend), FailedDecision("another", waits=True))
            backend.turn([failed])
            assert backend.poll_decision_task() is None
            clock.advance(1)

        failure = Completion(self.decision(backend), FailedDecision("broken"))
        backend.turn([failure])
        clock.advance(1)
        assert self.decision(backend).attempt == 12
