"""A value that the store refuses is the fault of one call: those that were to be committed together with it are committed."""

import string
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from pyworkflow.backend.base import FailedDecision, Poll
from pyworkflow.backend.transactions import Transactions
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.decision import CompleteProcess
from pyworkflow.errors import PayloadError
from pyworkflow.ledger.rows import NEVER, TimerRow
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.task import DecisionTask
from pyworkflow.worker.keeper import LeaseKeeper
from pyworkflow.worker.outbox import Outbox
from tests.local_backends import local_backend

NOISE = "".join(Random(1).choices(string.ascii_letters, k=10_000))

FIELDS: dict[str, dict[str, Any]] = {
    "a number out of range": {"deadline": 2**63},
    "a text for a number": {"deadline": "soon"},
    "a lone surrogate": {"id": "\ud800"},
    "nothing where something must be": {"id": None},
    "NUL in a text": {"id": "a\0b"},
    "a key that is too long": {"id": NOISE},
}
POSTGRESQL_ONLY = ("NUL in a text", "a key that is too long")
"""SQLite stores these."""

CASES = [
    (store, name)
    for store in ("sqlite", "postgresql")
    for name in FIELDS
    if store == "postgresql" or name not in POSTGRESQL_ONLY
]


def refused_work(name: str) -> Work:
    """Return a work that writes a value which no check has seen before the store does."""
    fields: dict[str, Any] = {
        "key": 1,
        "id": "t",
        "delay": 1.0,
        "data": b"1",
        "since": 1,
        "deadline": NEVER,
    }
    timer = TimerRow(**(fields | FIELDS[name]))
    return lambda unit: unit.add(timer)


@pytest.mark.parametrize(("store", "name"), CASES)
def test_a_refused_value_fails_the_call_that_brings_it_and_no_other(
    store: str, name: str, request: pytest.FixtureRequest
) -> None:
    with local_backend(store, request) as backend, ThreadPoolExecutor(5) as threads:
        assert isinstance(backend, Transactions)
        backend.register_workflow("order")
        entered, release = threading.Event(), threading.Event()

        def hold(unit: StoredUnit) -> None:
            entered.set()
            assert release.wait(60)

        # What comes during this commit is committed together after it.
        threads.submit(backend._write, [hold])
        assert entered.wait(60)
        refused = threads.submit(backend._write, [refused_work(name)])
        starts = [
            threads.submit(backend.start_process, Process("order", id=f"p{number}"))
            for number in range(3)
        ]
        while len(backend._group._queue) < 4:
            time.sleep(0.001)
        release.set()

        with pytest.raises(PayloadError, match=r"cannot store it|not allowed"):
            refused.result(60)
        assert [start.result(60) for start in starts] == ["p0", "p1", "p2"]
        assert len(backend.processes()) == 3
        assert backend.check() == []


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_refused_outcome_is_a_failure_of_its_task_and_of_no_other(
    store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_backend(store, request) as backend:
        assert isinstance(backend, Transactions)
        manager = Manager(backend)
        backend.register_workflow("order")
        for process_id in ("victim", "innocent"):
            backend.start_process(Process("order", id=process_id))
        keeper = LeaseKeeper(manager, 60)
        outbox = Outbox(manager, keeper, "me")
        tasks = backend.turn(polls=[Poll(DecisionTask, limit=2, lease=60)]).tasks
        turn, bad = backend.turn, refused_work("a number out of range")

        def refusing(completions: Any = (), *rest: Any, **more: Any) -> Any:
            """Write a refused value beside what completes the victim."""
            if any(
                c.task.process.id == "victim" and not isinstance(c.outcome, FailedDecision)
                for c in completions
            ):
                backend._write([bad])
            return turn(completions, *rest, **more)

        monkeypatch.setattr(backend, "turn", refusing)
        for task in tasks:
            assert isinstance(task, DecisionTask)
            outbox.add(task, [CompleteProcess()])
        while not outbox.is_empty:
            outbox.exchange([], 0, lambda: True)

        assert backend.process_by_id("innocent").status is Status.COMPLETED
        [failed] = [e for e in backend.history("victim") if e.type == "decision_failed"]
        assert "cannot store it" in str(failed)
