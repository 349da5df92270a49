"""Looking on: lists, pages, queues, the feed, waiting, and keeping house."""

from datetime import timedelta
from itertools import product

import pytest

from pyworkflow.backend.base import (
    FEED_START,
    Backend,
    Capability,
    FeedEntry,
    Poller,
    RegisteredActivity,
    RegisteredWorkflow,
)
from pyworkflow.backend.cursors import place_of
from pyworkflow.clock import to_datetime
from pyworkflow.decision import CompleteProcess, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import (
    InvalidRequestError,
    StaleCursorError,
    TimedOutError,
    UnknownProcessError,
)
from pyworkflow.ledger.rows import MAX_FAILURES
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

    def test_the_newest_come_first_on_wish(self, backend: Backend) -> None:
        for number in range(5):
            self.start(backend, "polite" if number == 2 else "order", id=f"p{number}", tags=["t"])

        page = backend.processes(limit=2, newest=True)
        rest = backend.processes(after=page[-1], newest=True)

        assert [p.id for p in page + rest] == ["p4", "p3", "p2", "p1", "p0"]
        assert [p.id for p in backend.processes("order", newest=True)] == ["p4", "p3", "p1", "p0"]
        tagged = backend.processes("order", "t", after=page[-1], newest=True)
        assert [p.id for p in tagged] == ["p1", "p0"]

    def test_every_filter_goes_with_every_other(self, backend: Backend) -> None:
        self.requires(backend, Capability.CLOSED, Capability.PARKING)
        for number in range(12):
            name = "order" if number % 2 else "polite"
            self.start(backend, name, id=f"p{number}", tags=["t"] if number % 3 else [])
        for number in (1, 2, 6, 9):
            backend.terminate_process(f"p{number}")
        everything = backend.processes(status=None)

        for workflow, tag, status, parked, newest in product(
            (None, "order"),
            (None, "t"),
            (None, Status.OPEN, Status.TERMINATED),
            (None, True, False),
            (False, True),
        ):
            found = backend.processes(workflow, tag, status=status, parked=parked, newest=newest)
            wanted = [
                p.id
                for p in everything
                if (workflow is None or p.workflow == workflow)
                and (tag is None or tag in p.tags)
                and (status is None or p.status is status)
                and (parked is None or bool(p.parked) is parked)
            ]
            assert [p.id for p in found] == (wanted[::-1] if newest else wanted)

    def test_parked_processes_are_found(self, backend: Backend, clock: FakeClock) -> None:
        self.requires(backend, Capability.PARKING, Capability.CLOCK)
        for name in ("one", "two", "three"):
            self.start(backend, id=name, tags=["t"])
            if name != "two":
                self.park(backend, clock)
            backend.poll_decision_task()

        assert [p.id for p in backend.processes(parked=True)] == ["one", "three"]
        assert [p.id for p in backend.processes(parked=True, newest=True)] == ["three", "one"]
        assert [p.id for p in backend.processes("order", "t", parked=True, limit=1)] == ["one"]
        assert backend.processes("polite", parked=True) == []
        assert [p.id for p in backend.processes(parked=False)] == ["two"]

    def park(self, backend: Backend, clock: FakeClock) -> None:
        """Fail the next decision until its process is parked."""
        task = self.decision(backend)
        while True:
            backend.fail_decision_task(task, "broken")
            if backend.process_by_id(str(task.process.id)).parked:
                return
            clock.advance(60)
            task = self.decision(backend)

    def test_registered_types_are_listed(self, backend: Backend) -> None:
        self.requires(backend, Capability.TYPES)
        backend.register_activity("ship", "road", 1, 2, 3, retry=Retry(2), at_most_once=True)
        backend.register_workflow("polite", handles_cancel=True, graph={"steps": [{"name": "a"}]})

        assert backend.workflows() == [
            RegisteredWorkflow("order", "default", 86_400, 60, False),
            RegisteredWorkflow(
                "polite", "default", 365 * 86_400, 60, True, {"steps": [{"name": "a"}]}
            ),
        ]
        assert backend.activities() == [
            RegisteredActivity("charge", "default", 60, 600, 120, None, False),
            RegisteredActivity("ship", "road", 1, 2, 3, Retry(2), True),
        ]

    def test_pollers_are_told_with_their_last_contact(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.COUNTS, Capability.CLOCK)
        began = clock.datetime()
        backend.poll_decision_task(identity="you")
        backend.poll_activity_task("road", identity="me", names=("ship", "charge"))
        clock.advance(3600)

        assert backend.pollers() == [
            Poller("activity", "road", "me", began, ("charge", "ship")),
            Poller("decision", "default", "you", began),
        ]
        assert backend.pollers(within=3599) == []
        backend.poll_activity_task("road", identity="me", names=("charge",))
        assert backend.pollers(within=1) == [
            Poller("activity", "road", "me", clock.datetime(), ("charge",))
        ]

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
        while more := backend.feed(entries[-1].cursor if entries else FEED_START, limit=2):
            entries.extend(more)

        places = [place_of(entry.cursor) for entry in entries]
        assert places == sorted(places)
        assert entries[-1].cursor == backend.feed_end()
        for number in range(3):
            own = [e for e in entries if e.process_id == f"p{number}"]
            assert [e.seq for e in own] == [1, 2, 3]
            assert [e.event for e in own] == backend.history(f"p{number}")
        assert backend.feed(backend.feed_end()) == []

    def test_a_cursor_of_another_store_is_refused(self, backend: Backend) -> None:
        self.requires(backend, Capability.FEED)
        self.start(backend, id="p0")
        self.start(backend, id="p1")
        place, _, checksum = backend.feed_end().partition("-")
        other = f"{place}-{int(checksum, 16) ^ 1:08x}"

        for cursor in (other, f"{int(place) + 1}-{checksum}"):
            with pytest.raises(StaleCursorError, match=cursor):
                backend.feed(cursor)
        # A bare place is what older releases have kept.
        assert backend.feed(place) == []
        for cursor in ("", "-1", "x", f"{place}-", f"{place}-{checksum}0", "1" * 20):
            with pytest.raises(InvalidRequestError, match="cursor"):
                backend.feed(cursor)

    def test_a_cursor_holds_when_its_entry_is_purged(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.FEED, Capability.PURGE, Capability.CLOCK)
        self.start(backend, id="old")
        backend.terminate_process("old")
        cursor = backend.feed_end()
        clock.advance(1)
        self.start(backend, id="new")
        clock.advance(1)

        assert backend.purge(to_datetime(clock.now())) == 1

        assert [entry.process_id for entry in backend.feed(cursor)] == ["new"]
        assert [entry.process_id for entry in backend.feed()] == ["new"]

    def test_a_diagnosis_has_the_stores_time_and_what_is_parked(
        self, backend: Backend, clock: FakeClock
    ) -> None:
        self.requires(backend, Capability.CHECK, Capability.CLOCK)
        self.start(backend)
        for _ in range(MAX_FAILURES):
            backend.fail_decision_task(self.decision(backend), "broken")
            clock.advance(60)

        diagnosis = backend.diagnose()

        assert diagnosis.parked == 1
        assert diagnosis.time == to_datetime(clock.now())
        assert diagnosis.ahead < 0  # The clock of the tests is of the past.
        assert all(isinstance(fact, str) for fact in diagnosis.facts.values())

    def test_an_observer_hears_of_each_commit(self, backend: Backend) -> None:
        self.requires(backend, Capability.FEED)
        heard: list[FeedEntry] = []
        backend.observe(heard.extend)
        self.start(backend)
        self.decide(backend, CompleteProcess())

        assert heard == backend.feed()

    def test_an_observer_that_raises_disturbs_nobody(self, backend: Backend) -> None:
        self.requires(backend, Capability.FEED)
        heard: list[FeedEntry] = []

        def fail(entries: list[FeedEntry]) -> None:
            raise ZeroDivisionError

        backend.observe(fail)
        backend.observe(heard.extend)
        process_id = self.start(backend)

        assert [entry.process_id for entry in heard] == [process_id]

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

    def test_what_no_live_worker_has_is_said(self, backend: Backend) -> None:
        self.requires(backend, Capability.COUNTS, Capability.NAMES)
        backend.register_activity("ship")
        backend.poll_decision_task(identity="decider", names=("order",))
        process_id = self.start(backend, "polite")

        [decision] = backend.pending(process_id)

        assert (decision.name, decision.pollers) == ("polite", ())
        assert decision.unclaimed == "no live worker has workflow 'polite' in category 'default'"
        assert [queue.unclaimed for queue in backend.queues()] == [("polite",)]

        self.decide(backend, ScheduleActivity("charge"), ScheduleActivity("ship"))
        backend.poll_activity_task("other", names=("ship",))
        assert backend.poll_activity_task(identity="cashier", names=("charge", "box")) is not None
        waits = {pending.name: pending for pending in backend.pending(process_id)}
        queues = {(queue.kind, queue.category): queue for queue in backend.queues()}

        assert (waits["charge"].pollers, waits["charge"].unclaimed) == (("cashier",), None)
        assert waits["ship"].pollers == ()
        assert waits["ship"].unclaimed == "no live worker has activity 'ship' in category 'default'"
        assert queues["activity", "default"].unclaimed == ("ship",)
        assert queues["activity", "other"].unclaimed == ()

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
