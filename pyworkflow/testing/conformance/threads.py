"""Many threads on the backend objects of one store: each answer belongs to the call that asked for it."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Event as Flag

import pytest

from pyworkflow.backend.base import (
    FEED_START,
    Backend,
    Capability,
    Completion,
    Pending,
    Poll,
    Queue,
)
from pyworkflow.backend.cursors import place_of
from pyworkflow.decision import CompleteProcess, Decision, ScheduleActivity, Timer
from pyworkflow.errors import StaleTaskError, TimedOutError
from pyworkflow.event import ActivityEvent, Event, TimerEvent
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract

STARTS = 12
STEPS = 50
POLLS = (Poll(DecisionTask, limit=4), Poll(ActivityTask, limit=4))

Hold = Callable[[str], AbstractContextManager[object]]


class Threads(Contract):
    """Sixteen threads at once, while timers are due all the time and another session holds what is due."""

    @pytest.fixture
    def other(self, backend: Backend) -> Backend:
        """A second backend object of the same store, where a store can have two."""
        return backend

    @pytest.fixture
    def hold(self) -> Hold:
        """What holds the locks of a process in another session, where a store has such locks."""
        return nullcontext

    def test_every_answer_has_its_type_and_is_consistent(
        self, backend: Backend, other: Backend, clock: FakeClock, hold: Hold
    ) -> None:
        self.requires(backend, Capability.CLOCK)
        self.start(backend, id="steady")
        self.start(backend, id="held", timeout=5)
        finished = Flag()
        reads = (_read_process, _read_history, _read_lists, _read_pending, _wait, _follow)

        with hold("held"), ThreadPoolExecutor(16) as pool:
            clock.advance(10)
            writers = [
                pool.submit(write, store, clock, f"{name}{number}")
                for name, store in (("a", backend), ("b", other))
                for number, write in enumerate((_start, _work))
            ]
            readers = [
                pool.submit(read, store, finished) for read in reads for store in (backend, other)
            ]
            try:
                for writer in writers:
                    writer.result()
            finally:
                finished.set()
            for reader in readers:
                reader.result()

        assert backend.process_by_id("held").status is Status.TIMED_OUT
        assert len(backend.processes(status=None)) == 2 + 2 * STARTS


# -- writers -----------------------------------------------------------------------------------------------------------------------


def _start(backend: Backend, clock: FakeClock, name: str) -> None:
    for number in range(STARTS):
        backend.start_process(Process("order", id=f"{name}-{number}"))
        backend.signal_process("steady", "hello", number)


def _work(backend: Backend, clock: FakeClock, name: str) -> None:
    for _ in range(STEPS):
        tasks = backend.turn(polls=POLLS, wait=0.01).tasks
        clock.advance(1)
        completions = [
            Completion(task, _decided(task.process))
            if isinstance(task, DecisionTask)
            else Completion(task, ActivityCompleted(name))
            for task in tasks
        ]
        for error in backend.turn(completions).errors:
            # So much time passes that leases end.
            assert error is None or isinstance(error, StaleTaskError), error


def _decided(process: Process) -> list[Decision]:
    ended = {type(event) for event in process.history} & {ActivityEvent, TimerEvent}
    if process.id == "steady":
        return [] if process.history.open_timers() else [Timer(1)]
    if len(ended) == 2:
        return [CompleteProcess()]
    begun = process.history.open_activities() or process.history.open_timers() or ended
    return [] if begun else [ScheduleActivity("charge", id="a"), Timer(1, id="t")]


# -- readers -----------------------------------------------------------------------------------------------------------------------


def _read_process(backend: Backend, finished: Flag) -> None:
    length = 0
    while not finished.is_set():
        process = backend.process_by_id("steady")
        assert isinstance(process, Process)
        assert process.id == "steady"
        assert len(process.history) >= length
        length = len(process.history)


def _read_history(backend: Backend, finished: Flag) -> None:
    known: list[Event] = []
    while not finished.is_set():
        events = list(backend.history("steady"))
        assert events[: len(known)] == known
        assert next(iter(backend.history("steady", len(events) - 1))) == events[-1]
        known = events


def _read_lists(backend: Backend, finished: Flag) -> None:
    end = FEED_START
    while not finished.is_set():
        processes, queues, feed_end = backend.processes(), backend.queues(), backend.feed_end()
        assert {process.status for process in processes} == {Status.OPEN}
        assert "steady" in {process.id for process in processes}
        assert all(isinstance(queue, Queue) for queue in queues)
        assert place_of(feed_end) >= place_of(end)
        end = feed_end


def _read_pending(backend: Backend, finished: Flag) -> None:
    while not finished.is_set():
        pending = backend.pending("steady")
        assert pending
        assert all(isinstance(one, Pending) for one in pending)


def _wait(backend: Backend, finished: Flag) -> None:
    while not finished.is_set():
        with pytest.raises(TimedOutError):
            backend.wait_for_process("steady", 0.01)


def _follow(backend: Backend, finished: Flag) -> None:
    cursor = FEED_START
    seqs: dict[tuple[str, int], int] = defaultdict(int)
    while not finished.is_set():
        for entry in backend.feed(cursor, limit=20, wait=0.01):
            key = (entry.process_id, entry.run)
            assert place_of(entry.cursor) >= place_of(cursor)
            assert entry.seq == seqs[key] + 1
            cursor, seqs[key] = entry.cursor, entry.seq
