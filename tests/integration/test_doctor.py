"""A machine was started with a wrong clock: a SQLite file is far ahead, which can be seen and repaired."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend, boot
from pyworkflow.cli import cli
from pyworkflow.clock import SECOND, to_instant
from pyworkflow.decision import ScheduleActivity, Timer
from pyworkflow.errors import UnsupportedByBackendError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker import Worker

HOUR, DAY = 3600, 86_400
YEAR = 365 * DAY
DECISIONS = [Poll(DecisionTask, limit=10)]


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._start = time.time_ns()
        self._boots = 0
        self._wrong = 0
        self._passed = 0
        monkeypatch.setattr(boot, "boot_id", lambda: f"boot {self._boots}")
        monkeypatch.setattr(boot, "since_boot", lambda: self._passed * SECOND)
        monkeypatch.setattr(time, "time_ns", self._wall)

    def _wall(self) -> int:
        return self._start + (self._passed + self._wrong) * 10**9

    def boot(self, *, wrong: int) -> None:
        """Start it with a clock that is wrong by so many seconds."""
        self._boots += 1
        self._wrong = wrong

    def correct(self) -> None:
        """Set the wall clock right, as NTP does some time after the start."""
        self._wrong = 0

    def pass_time(self, seconds: int) -> None:
        self._passed += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def backend(machine: Machine, path: Path) -> Iterator[SQLiteBackend]:
    """A store that is a year ahead, with a timer from before."""
    machine.boot(wrong=0)
    with SQLiteBackend(path) as before:
        before.register_workflow("w", timeout=10 * YEAR, decision_timeout=HOUR)
        before.register_activity("a", execution_timeout=2 * HOUR, heartbeat_timeout=HOUR)
        before.start_process(Process("w", id="old"))
        decide(before, Timer(YEAR + 30 * DAY, id="long"))
    machine.boot(wrong=YEAR)
    with SQLiteBackend(path) as backend:
        machine.correct()
        yield backend


def decide(backend: Backend, *decisions: Timer | ScheduleActivity) -> None:
    [task] = backend.turn(polls=DECISIONS).tasks
    assert backend.turn([Completion(task, list(decisions))]).errors == [None]


def fired(backend: Backend, name: str) -> bool:
    return "timer" in [event.type for event in backend.history(name)]


def in_order(backend: Backend, name: str) -> bool:
    times = [event.datetime for event in backend.history(name)]
    return times == sorted(times, key=lambda time: time or pytest.fail("no time"))


def test_what_is_open_keeps_the_time_that_is_left(
    machine: Machine, backend: SQLiteBackend, path: Path
) -> None:
    backend.start_process(Process("w", id="new"))
    decide(backend, Timer(HOUR, id="t"), ScheduleActivity("a", id="a"))
    [task] = backend.turn(polls=[Poll(ActivityTask, lease=60)]).tasks
    backend.start_process(Process("w", id="deciding"))
    [decision] = backend.turn(polls=[Poll(DecisionTask, lease=60)]).tasks
    backend.start_process(Process("w", id="waiting"))
    with SQLiteBackend(path) as other:
        assert other.diagnose().ahead == pytest.approx(YEAR, abs=1)

        assert backend.set_clock_back() == pytest.approx(YEAR, abs=1)

        for program in (other, backend):
            assert program.diagnose().ahead == pytest.approx(0, abs=1)
            assert program.check() == []
        machine.pass_time(30)
        assert other.extend_leases([task, decision], 60) == [True, True]
        assert isinstance(decision, DecisionTask)
        assert isinstance(task, ActivityTask)
        other.complete_decision_task(decision, [])
        other.complete_activity_task(task, ActivityCompleted("done"))
        assert len(other.turn(polls=DECISIONS).tasks) == 2
        machine.pass_time(HOUR - 60)
        assert not fired(other, "new")
        machine.pass_time(60)
        assert fired(other, "new")
        assert other.check() == []
        machine.pass_time(YEAR + 29 * DAY)
        assert not fired(other, "old")
        machine.pass_time(DAY)
        assert fired(other, "old")
        for name in ("new", "old", "deciding", "waiting"):
            assert in_order(other, name)
        assert other.check() == []


def test_what_is_lost_is_noticed_after_the_time_that_was_left(
    machine: Machine, backend: SQLiteBackend
) -> None:
    backend.start_process(Process("w", id="new"))
    decide(backend, ScheduleActivity("a", id="a"))
    assert backend.turn(polls=[Poll(ActivityTask, lease=60)]).tasks

    backend.set_clock_back()

    machine.pass_time(59)
    assert not backend.turn(polls=[Poll(ActivityTask)]).tasks
    machine.pass_time(2)
    assert backend.turn(polls=[Poll(ActivityTask)]).tasks


def test_a_clock_stays_right_after_the_next_start(
    machine: Machine, backend: SQLiteBackend, path: Path
) -> None:
    backend.set_clock_back()
    backend.close()
    machine.boot(wrong=0)

    with SQLiteBackend(path) as after:
        assert after.diagnose().ahead == pytest.approx(0, abs=1)
        after.start_process(Process("w", id="new"))
        started = after.process_by_id("new").started
        assert started is not None
        assert to_instant(started) == pytest.approx(time.time_ns() // 1000, abs=SECOND)


def test_a_clock_that_is_not_ahead_is_left_alone(machine: Machine, path: Path) -> None:
    machine.boot(wrong=-HOUR)
    with SQLiteBackend(path) as backend:
        machine.correct()

        assert backend.set_clock_back() == 0
        assert backend.diagnose().ahead == pytest.approx(-HOUR, abs=1)


def test_a_clock_of_its_own_cannot_be_set_back() -> None:
    with pytest.raises(UnsupportedByBackendError, match="set_clock_back"):
        BlinkerBackend(MemoryBackend()).set_clock_back()


def run(path: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        cli, ["--backend", f"sqlite:///{path}", "doctor", *words], standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return int(result.return_value or 0), result.output


def test_the_doctor_shows_and_repairs(backend: SQLiteBackend, path: Path) -> None:
    code, output = run(path)
    assert code == 1
    assert f"{YEAR}.0 s" in output
    assert "--repair-clock" in output
    assert str(path) in output
    assert "locked by" in output

    code, output = run(path, "--repair-clock")
    assert code == 0
    assert f"set back by {YEAR} s" in output

    code, output = run(path, "--json")
    assert code == 0
    assert '"set_back": 0.0' in output


def test_a_worker_logs_a_clock_that_is_far_off(
    backend: SQLiteBackend, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(Manager(backend))
    worker.stop()
    with caplog.at_level(logging.WARNING, "pyworkflow.worker"):
        worker.run()

        backend.set_clock_back()
        again = Worker(Manager(backend))
        again.stop()
        again.run()

    [record] = [r for r in caplog.records if "clock" in r.getMessage()]
    assert f"{YEAR} s ahead of this machine's" in record.getMessage()
