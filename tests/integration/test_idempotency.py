"""The table in ``docs/architecture/idempotency.md``: each repeat, by what has become of the process meanwhile."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pyworkflow.backend.base import Backend, FailedDecision, Reuse
from pyworkflow.backend.base import Completion as Done
from pyworkflow.decision import CompleteProcess, ContinueProcess, Decision
from pyworkflow.errors import UnknownProcessError
from pyworkflow.process import Process
from pyworkflow.testing.clock import FakeClock
from tests.local_backends import LOCAL, local_backend


def _decide(backend: Backend, *decisions: Decision) -> None:
    task = backend.poll_decision_task()
    assert task is not None
    backend.complete_decision_task(task, decisions)


def _start(backend: Backend, reuse: Reuse = Reuse.REJECT) -> str:
    return backend.start_process(Process("order", "p", {"n": 1}), reuse=reuse)


def _signal(backend: Backend) -> None:
    backend.signal_process("p", "pay", 10, signal_id="payment-1")


def _is_open(backend: Backend, clock: FakeClock) -> None:
    pass


def _goes_on(backend: Backend, clock: FakeClock) -> None:
    for _ in range(2):
        _decide(backend, ContinueProcess({"n": 2}))


def _parks(backend: Backend, clock: FakeClock) -> None:
    task = backend.poll_decision_task()
    assert task is not None
    backend.turn([Done(task, FailedDecision("no", park=True))])
    assert backend.process_by_id("p").parked is not None


def _is_resumed(backend: Backend, clock: FakeClock) -> None:
    _parks(backend, clock)
    backend.retry_process("p")


def _closes(backend: Backend, clock: FakeClock) -> None:
    _decide(backend, CompleteProcess())


def _is_started_again(backend: Backend, clock: FakeClock) -> None:
    _closes(backend, clock)
    _start(backend, Reuse.ALLOW)


def _is_purged(backend: Backend, clock: FakeClock) -> None:
    _closes(backend, clock)
    clock.advance(1000)
    backend.purge(closed_before=clock.datetime() - timedelta(seconds=10), limit=10)


Way = Callable[[Backend, FakeClock], None]

WAYS: dict[Way, tuple[int, int, int | None]] = {
    _is_open: (1, 1, 1),
    _goes_on: (3, 3, 1),
    _parks: (1, 1, 1),
    _is_resumed: (1, 1, 1),
    _closes: (1, 2, 1),
    _is_started_again: (2, 2, 2),
    _is_purged: (1, 1, None),
}
"""The run that a repeated start means, with both ways of reuse; and how many signals there are in all runs, None if nobody is there to hear one."""


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_a_repeat_comes_to_what_the_table_says(
    way: Way, kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    rejecting, allowing, signals = WAYS[way]
    with local_backend(kind, request, clock) as backend:
        backend.register_workflow("order")
        _start(backend)
        _signal(backend)
        _signal(backend)
        way(backend, clock)

        if signals is None:
            with pytest.raises(UnknownProcessError):
                _signal(backend)
        else:
            _signal(backend)
            runs = range(1, backend.process_by_id("p").run + 1)
            heard = [e.type for run in runs for e in backend.process_by_id(f"p:{run}").history]
            assert heard.count("signal") == signals

        assert _start(backend) == "p"
        assert backend.process_by_id("p").run == rejecting
        assert _start(backend, Reuse.ALLOW) == "p"
        assert backend.process_by_id("p").run == allowing
        assert backend.check() == []


@pytest.mark.parametrize("kind", LOCAL)
def test_a_receipt_leaves_with_the_run_that_heard_the_signal(
    kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        backend.register_workflow("order")
        _start(backend)
        _signal(backend)
        _decide(backend, ContinueProcess())
        clock.advance(1000)
        backend.signal_process("p", "pay", 10, signal_id="payment-2")
        assert backend.purge(closed_before=clock.datetime(), limit=10) == 1

        _signal(backend)
        backend.signal_process("p", "pay", 10, signal_id="payment-2")

        assert [e.type for e in backend.history("p")].count("signal") == 2
        assert backend.check() == []
