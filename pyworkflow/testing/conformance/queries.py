"""Looking on: lists, pages, queues, the feed, waiting, and keeping house."""

from datetime import timedelta

import pytest

from pyworkflow.backend.base import Backend, Capability, FeedEntry
from pyworkflow.clock import to_datetime
from pyworkflow.decision import CompleteProcess, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import TimedOutError, UnknownProcessError
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.base import Contract


class Queries(Contract):
    """What people ask."""

    def test_lists_are_filtered_and_come_in_pages(self, backend: Backend) -> None:
        for number in range(7):
            tags = ["even"] if number % 2 == 0 else []
            self.start(backend, "order" if number < 6 else "polite", id=f"p{number}", tags=tags)

        assert [p.id for p in backend.processes("polite")] == ["p6"]
        assert [p.id for p in backend.processes("order", "even")] == ["p0", "p2", "p4"]
        page = backend.processes(limit=3)
        rest = backend.processes(after=page[-1])
        assert [p.id for p in page + rest] == [f"p{n}" for n in range(7)]

    def test_closed_processes_are_found(self, backend: Backend) -> None:
        self.requires(backend, Capability.CLOSED)
        self.start(backend, id="open")
        self.start(backend, id="shut")
        backend.terminate_process("shut")

        assert [p.id for p in backend.processes()] == ["open"]
        assert [p.id for p in backend.processes(status=Status.TERMINATED)] == ["shut"]
        assert [p.id for p in backend.processes(status=None)] == ["open", "shut"]

    def test_a_history_is_read_on_from_where_it_was_left(self, backend: Backend) -> None:
        process_id = self.start(backend)
        self.decide(backend, Timer(60), Timer(60))

        whole = backend.history(process_id)

        assert len(whole) == 4
        for since in range(6):
            assert backend.history(process_id, since) == whole[since:]

    def test_the_feed_has_every_event_once_in_order(self, backend: Backend) -> None:
        self.requires(backend, Capability.FEED)
        for number in range(3):
            self.start(backend, id=f"p{number}")
        for _ in range(3):
            self.decide(backend, Timer(60))

        entries: list[FeedEntry] = []
        while more := backend.feed(entries[-1].cursor if entries else 0, limit=2):
            entries.extend(more)

        assert [e.cursor for e in entries] == sorted(e.cursor for e in entries)
        assert entries[-1].cursor == backend.feed_end()
        for number in range(3):
            own = [e for e in entries if e.process_id == f"p{number}"]
            assert [e.seq for e in own] == [1, 2, 3]
            assert [e.event for e in own] == backend.history(f"p{number}")
        assert backend.feed(-1) == []

    def test_an_observer_hears_of_each_commit(self, backend: Backend) -> None:
        self.requires(backend, Capability.FEED)
        heard: list[FeedEntry] = []
        backend.observe(heard.extend)
        self.start(backend)
        self.decide(backend, CompleteProcess())

        assert heard == backend.feed()

    def test_what_a_process_waits_for_is_told(self, backend: Backend, clock: FakeClock) -> None:
        self.requires(backend, Capability.COUNTS, Capability.CLOCK, Capability.CHILDREN)
        process_id = self.start(backend)
        assert [(w.kind, w.state) for w in backend.pending(process_id)] == [
            ("decision", "scheduled")
        ]
        self.decide(
            backend,
            ScheduleActivity("charge", id="a", retry=Retry(initial=30)),
            Timer(60, id="t"),
            StartChildProcess(Process("polite", id="kid")),
        )
        backend.complete_activity_task(self.activity(backend), ActivityFailed("x"))

        waits = {w.kind: w for w in backend.pending(process_id)}

        assert waits["activity"].state == "delayed"
        assert waits["activity"].until == clock.datetime() + timedelta(seconds=30)
        assert waits["timer"].until == clock.datetime() + timedelta(seconds=60)
        assert waits["child_process"].id == "kid"

    def test_queues_tell_their_depth_and_pollers(self, backend: Backend) -> None:
        self.requires(backend, Capability.COUNTS)
        self.start(backend)
        self.start(backend)
        backend.poll_decision_task(identity="me")

        queue = next(q for q in backend.queues() if q.kind == "decision")

        assert (queue.waiting, queue.running) == (1, 1)
        assert "me" in queue.pollers

    def test_waiting_ends_with_the_process_or_with_the_time(self, backend: Backend) -> None:
        process_id = self.start(backend)

        with pytest.raises(TimedOutError, match=process_id):
            backend.wait_for_process(process_id, 0)
        self.decide(backend, CompleteProcess(1))

        assert backend.wait_for_process(process_id, 10).status is Status.COMPLETED

    def test_purged_processes_are_gone_and_others_are_not(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.PURGE, Capability.CLOCK)
        self.start(backend, id="old", tags=["t"])
        self.decide(backend, CompleteProcess())
        clock.advance(60)
        before = to_datetime(clock.now())
        self.start(backend, id="new")
        self.decide(backend, CompleteProcess())
        self.start(backend, id="open")

        assert backend.purge(before) == 1
        assert backend.purge(before) == 0

        with pytest.raises(UnknownProcessError):
            backend.process_by_id("old")
        assert [p.id for p in backend.processes(status=None)] == ["new", "open"]
        assert {e.process_id for e in backend.feed()} == {"new", "open"}
