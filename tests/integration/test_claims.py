"""Workers claim what their programs have, and nothing else: two programs on one store, and programs that learn something later."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import pytest

from pyworkflow.activity import AnyActivity, activity
from pyworkflow.backend.base import Backend, Completion, Pending, Poll, Turn
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ProcessCompleted
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from pyworkflow.workflow import Decidable, DefaultWorkflow
from tests.integration.deployment_program import STEPS, replay
from tests.local_backends import LOCAL, local_backend


@activity
def charge(order: int) -> int:
    return order


@activity
def write(letter: int) -> int:
    return letter


class OrderWorkflow(DefaultWorkflow):
    activities: ClassVar[Sequence[AnyActivity]] = (charge,)

    def initiate(self, process: Process) -> Decidable:
        return charge

    def respond_to_completed_activity(self, process: Process, execution: Any, result: Any) -> Any:
        return CompleteProcess(result)


class LetterWorkflow(OrderWorkflow):
    activities = (write,)

    def initiate(self, process: Process) -> Decidable:
        return write


@activity
def double(number: int) -> int:
    return 2 * number


class NamedWorkflow(OrderWorkflow):
    """Does the activity that its input names, which its program need not have."""

    activities = ()

    def initiate(self, process: Process) -> Decidable:
        name, given = process.input
        return ScheduleActivity(name, input=given)


def scheduled(backend: Backend) -> Pending:
    """Return the activity of the process ``p`` as soon as it is scheduled."""
    while True:
        for pending in backend.pending("p"):
            if pending.kind == "activity":
                return pending
        time.sleep(0.001)


@pytest.fixture(params=LOCAL)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with local_backend(request.param, request) as backend:
        yield backend
        assert backend.check() == []


@contextmanager
def working(*managers: Manager, **settings: Any) -> Iterator[None]:
    workers = [Worker(manager, **settings) for manager in managers]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


def test_two_programs_share_a_store_and_the_default_category(backend: Backend) -> None:
    shop, post = Manager(backend, [OrderWorkflow]), Manager(backend, [LetterWorkflow])

    with working(shop, post, concurrency=2):
        backend.start_processes([Process(OrderWorkflow, f"o{n}", n) for n in range(400)])
        backend.start_processes([Process(LetterWorkflow, f"l{n}", n) for n in range(400)])
        results = [
            backend.wait_for_process(f"{kind}{n}", 120).result for kind in "ol" for n in range(400)
        ]

    assert results == [ProcessCompleted(n) for _ in "ol" for n in range(400)]
    failed = Counter(entry.event.type for entry in backend.feed(limit=100_000))
    assert failed["decision_failed"] == failed["activity_attempt"] == 0


def test_a_worker_polls_for_what_its_program_registers_later(backend: Backend) -> None:
    starter, late = Manager(backend, [OrderWorkflow]), Manager(backend)
    starter.start_process(Process(OrderWorkflow, "o", 7))

    with working(late):
        late.register_workflow(OrderWorkflow)
        assert backend.wait_for_process("o", 60).result == ProcessCompleted(7)


@pytest.mark.parametrize("simple", [False, True])
def test_a_poll_that_waits_is_made_anew_when_something_is_registered(simple: bool) -> None:
    backend = MemoryBackend()
    backend.register_activity("double")
    late = Manager(backend, [NamedWorkflow], [write])
    late.start_process(Process(NamedWorkflow, "p", ["double", 4]))
    with ExitStack() as stack:
        if simple:
            for worker in (DecisionWorker(late), ActivityWorker(late)):
                thread = threading.Thread(target=worker.run)
                thread.start()
                stack.callback(thread.join)
                stack.callback(worker.stop)
        else:
            stack.enter_context(working(late))
        scheduled(backend)
        late.register_activity(double)
        assert backend.wait_for_process("p", 60).result == ProcessCompleted(8)


def test_a_pool_of_processes_does_what_is_registered_later() -> None:
    backend = MemoryBackend()
    late = Manager(backend, [NamedWorkflow], [write])
    with working(late, pool="process", concurrency=1):
        for each in (write, double):
            late.register_activity(each)
            late.start_process(Process(NamedWorkflow, each.name, [each.name, 1]))
            assert backend.wait_for_process(each.name, 60).status is Status.COMPLETED


class Unfiltered(Wrapper):
    """A store that hands out anything, whatever names a poll carries."""

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        anything = [Poll(poll.kind, poll.category, lease=poll.lease) for poll in polls]
        return self.backend.turn(completions, anything, wait, stop)


def test_a_task_that_is_not_ours_is_given_back_unharmed() -> None:
    clock = FakeClock()
    backend = MemoryBackend(clock)
    shop, post = Manager(backend, [OrderWorkflow]), Manager(Unfiltered(backend), [LetterWorkflow])
    shop.start_process(Process(OrderWorkflow, "o", 1))

    for _ in range(20):
        assert DecisionWorker(post).step() is None
    assert DecisionWorker(shop).step()
    for _ in range(20):
        assert ActivityWorker(post).step() is None
    assert ActivityWorker(shop).step()
    assert DecisionWorker(shop).step()

    assert shop.process_by_id("o").result == ProcessCompleted(1)


def test_a_decision_is_not_foreseen_by_a_program_that_lacks_the_workflow(backend: Backend) -> None:
    """One backend object knows the history; the worker that has the activity does not have the workflow."""
    decider, doer = Manager(backend, [OrderWorkflow]), Manager(backend, [LetterWorkflow], [charge])
    decider.start_process(Process(OrderWorkflow, "o", 3))
    assert DecisionWorker(decider).step()

    with working(doer):
        while backend.pending("o")[0].kind != "decision":
            time.sleep(0.001)
    assert DecisionWorker(decider).step()

    assert backend.process_by_id("o").result == ProcessCompleted(3)
    assert "decision_failed" not in [event.type for event in backend.history("o")]


def test_what_nobody_has_waits_and_is_done_by_its_deployment(backend: Backend) -> None:
    backend.register_activity("double")
    old = Manager(backend, [NamedWorkflow], [write])
    old.start_process(Process(NamedWorkflow, "p", ["double", 4]))
    with working(old):
        waiting = scheduled(backend)
        assert (waiting.state, waiting.attempt) == ("scheduled", 1)
        with working(Manager(backend, activities=[double])):
            assert backend.wait_for_process("p", 60).result == ProcessCompleted(8)


def test_what_is_deployed_later_is_waited_for_without_a_failure(backend: Backend) -> None:
    early = Manager(backend, [NamedWorkflow], [write])
    early.start_process(Process(NamedWorkflow, "p", ["double", 4]))
    with working(early):
        while not (waiting := backend.pending("p"))[0].details:
            time.sleep(0.001)
        assert "activity 'double': is not registered" in str(waiting[0].details)
        with working(Manager(backend, activities=[double])):
            assert backend.wait_for_process("p", 60).result == ProcessCompleted(8)


def test_replayed_code_leaves_to_another_release_what_that_has_decided() -> None:
    clock = FakeClock()
    backend = MemoryBackend(clock)
    old, new = (Manager(backend, [replay("R", of, STEPS[of])]) for of in ("old", "new"))
    backend.start_process(Process("R", "p", 7))
    assert DecisionWorker(new).step()
    assert ActivityWorker(new).step()
    assert DecisionWorker(new).step()
    assert ActivityWorker(new).step()

    for _ in range(30):
        assert DecisionWorker(old).step()
        [waiting] = backend.pending("p")
        assert "changes that this code lacks: ship" in str(waiting.details)
        clock.advance(60)

    assert DecisionWorker(new).step()
    assert backend.process_by_id("p").result == ProcessCompleted([7, "new"])
