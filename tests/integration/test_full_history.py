"""A history that is full: the process goes no further, and can be canceled and undo what it did."""

from collections import Counter
from typing import Any

import pytest

from pyworkflow.activity import activity
from pyworkflow.backend.base import Backend
from pyworkflow.decision import ContinueProcess, ScheduleActivity
from pyworkflow.errors import InvalidDecisionError, InvalidRequestError
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process, Status
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.task import DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from tests.local_backends import LOCAL, local_backend

LIKE_A_REQUEST = {"text": '{"type":"cancel_requested"'}


@activity
def charge(number: int) -> int:
    return number


@activity
def refund(number: int) -> int:
    return number


class Charges(ReplayWorkflow):
    activities = (charge, refund)

    async def run(self) -> None:
        async with self.saga() as saga:
            for number in range(1000):
                await self.activity(charge, number)
                saga.compensate(self.activity, refund, number)


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("decision_checks", "lifecycle"):
        monkeypatch.setattr(f"pyworkflow.ledger.{module}.MAX_EVENTS", 40)
    monkeypatch.setattr("pyworkflow.ledger.decision_checks.RESERVED_EVENTS", 60)


def _completed(backend: Backend, process_id: str) -> Counter[str]:
    events = backend.history(process_id)
    return Counter(e.activity_execution.activity for e in events if isinstance(e, ActivityEvent))


@pytest.mark.parametrize("kind", LOCAL)
def test_a_saga_whose_history_is_full_is_canceled_and_undone(
    kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        runner = Runner(Charges, backend=backend, clock=clock)
        process_id = runner.start(Charges)
        for _ in range(10):
            runner.work()
            clock.advance(60)
        parked = backend.process_by_id(process_id).parked
        assert parked is not None
        assert "or cancel the process" in parked
        charged = _completed(backend, process_id)["charge"]
        assert charged > 5

        runner.manager.cancel_process(process_id)
        runner.manager.retry_process(process_id)
        process = runner.finish(process_id)

        assert process.status is Status.CANCELED
        assert _completed(backend, process_id) == {"charge": charged, "refund": charged}


def _decision(backend: Backend) -> DecisionTask:
    task = backend.poll_decision_task()
    assert task is not None
    return task


def _schedule(count: int) -> list[ScheduleActivity]:
    return [ScheduleActivity("charge", id=str(number)) for number in range(count)]


def _full(backend: Backend) -> str:
    backend.register_workflow("order", handles_cancel=True)
    backend.register_activity("charge")
    process_id = backend.start_process(Process("order"))
    for _ in range(39):
        backend.signal_process(process_id, "n", LIKE_A_REQUEST)
    return process_id


@pytest.mark.parametrize("kind", LOCAL)
def test_the_reserve_is_for_who_was_asked_to_cancel_and_has_an_end(
    kind: str, request: pytest.FixtureRequest
) -> None:
    with local_backend(kind, request) as backend:
        process_id = _full(backend)
        task = _decision(backend)
        with pytest.raises(InvalidDecisionError, match="40 at most: continue as new, or cancel"):
            backend.complete_decision_task(task, _schedule(1))

        backend.cancel_process(process_id)
        with pytest.raises(InvalidDecisionError, match="100 at most: close the process"):
            backend.complete_decision_task(task, _schedule(59))
        backend.complete_decision_task(task, _schedule(58))

        assert len(backend.history(process_id)) == 100
        with pytest.raises(InvalidRequestError, match="takes no more signals"):
            backend.signal_process(process_id, "n")
        assert backend.check() == []


@pytest.mark.parametrize("kind", LOCAL)
def test_the_reserve_of_a_run_does_not_go_on_into_the_next(
    kind: str, request: pytest.FixtureRequest
) -> None:
    with local_backend(kind, request) as backend:
        process_id = _full(backend)
        backend.cancel_process(process_id)
        backend.complete_decision_task(_decision(backend), ContinueProcess())
        for _ in range(39):
            backend.signal_process(process_id, "n")

        more: Any = _schedule(1)
        with pytest.raises(InvalidDecisionError, match="40 at most"):
            backend.complete_decision_task(_decision(backend), more)
