"""Leases that ran out while the store was away are granted anew; those that ran out before are not."""

from collections.abc import Iterator

import pytest

from pyworkflow.activity import activity
from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.decision import ScheduleActivity
from pyworkflow.errors import BackendUnavailableError, StaleTaskError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.workflow import Workflow
from tests.local_backends import LOCAL, local_backend


@activity(heartbeat_timeout=20)
def work() -> None:
    """Do nothing."""


class Order(Workflow):
    activities = (work,)


@pytest.fixture(params=LOCAL)
def opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Backend, FakeClock]]:
    """A backend whose absences are measured by the clock that its leases go by."""
    clock = FakeClock()
    monkeypatch.setattr("pyworkflow.backend.absence.monotonic", lambda: clock.now() / 1_000_000)
    with local_backend(request.param, request, clock) as backend:
        yield backend, clock


def outage(backend: Backend, clock: FakeClock, seconds: float) -> None:
    """Have the store be away for some seconds, and a call fail in that time."""

    def fail(group: object) -> None:
        raise BackendUnavailableError("away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_commit", fail)
        with pytest.raises(BackendUnavailableError):
            backend.signal_process("p", "hello")
        clock.advance(seconds)


def poll(backend: Backend, kind: type[ActivityTask] | type[DecisionTask]) -> list[object]:
    return list(backend.turn((), [Poll(kind, lease=10)]).tasks)


@pytest.mark.parametrize("kind", [DecisionTask, ActivityTask])
def test_a_lease_that_ends_while_the_store_is_away_is_granted_anew(
    opened: tuple[Backend, FakeClock], kind: type[ActivityTask] | type[DecisionTask]
) -> None:
    backend, clock = opened
    manager = Manager(backend, [Order])
    manager.start_process(Process(Order, "p"))
    [task] = backend.turn((), [Poll(DecisionTask, lease=10)]).tasks
    if kind is ActivityTask:
        backend.turn([Completion(task, [ScheduleActivity(work)])])
        [task] = backend.turn((), [Poll(ActivityTask, lease=10)]).tasks

    outage(backend, clock, 40)

    assert poll(backend, kind) == []
    assert backend.extend_leases([task], 10) == [True]
    outcome = ActivityCompleted() if kind is ActivityTask else [ScheduleActivity(work)]
    assert backend.turn([Completion(task, outcome)]).errors == [None]
    assert backend.check() == []


def test_a_holder_that_does_not_return_after_the_outage_is_lost(
    opened: tuple[Backend, FakeClock],
) -> None:
    backend, clock = opened
    manager = Manager(backend, [Order])
    manager.start_process(Process(Order, "p"))
    [task] = backend.turn((), [Poll(DecisionTask, lease=10)]).tasks

    outage(backend, clock, 40)
    assert poll(backend, DecisionTask) == []
    clock.advance(6)

    assert len(poll(backend, DecisionTask)) == 1
    [error] = backend.turn([Completion(task, [])]).errors
    assert isinstance(error, StaleTaskError)


def test_a_lease_that_ended_before_the_outage_is_lost(opened: tuple[Backend, FakeClock]) -> None:
    backend, clock = opened
    manager = Manager(backend, [Order])
    manager.start_process(Process(Order, "p"))
    [task] = backend.turn((), [Poll(DecisionTask, lease=10)]).tasks
    clock.advance(11)
    # Others use the store meanwhile, and this call is over before the outage.
    backend.signal_process("p", "hello")

    outage(backend, clock, 1)

    assert backend.extend_leases([task], 10) == [False]
