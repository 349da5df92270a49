"""Workers: pools, stopping in good order, and being killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyworkflow.backend.base import Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.errors import InvalidRequestError, StaleTaskError, TimedOutError
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ProcessCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker import DecisionWorker, Worker, WorkerThread
from pyworkflow.workflow import Workflow
from tests.integration.attempts import STALE, VARIABLE, Attempts, LateAnswers
from tests.integration.program import (
    HesitantWorkflow,
    OneWorkflow,
    SlowStepsWorkflow,
    StepsWorkflow,
    manager,
)

ROOT = Path(__file__).parents[2]


@contextmanager
def working(of: Manager, **settings: Any) -> Iterator[Worker]:
    worker = Worker(of, **settings)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def spawn(
    path: Path | str,
    lease: float = 1.0,
    kinds: str = "all",
    pool: str = "thread",
    attempts: Attempts | None = None,
) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "tests.integration.program"]
    command = [*program, str(path), str(lease), kinds, pool]
    named = {} if attempts is None else {VARIABLE: str(attempts.path)}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, env=os.environ | named)


def appear(path: Path) -> str:
    """Wait until a file has something in it."""
    for _ in range(2000):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.parametrize("pool", ["thread", "asyncio", "process"])
def test_every_pool_does_sync_and_async_work(pool: str) -> None:
    of = Manager(MemoryBackend(), [OneWorkflow, StepsWorkflow])
    with working(of, pool=pool, concurrency=2):
        ids = [of.start_process(Process(StepsWorkflow)) for _ in range(5)]
        ids.append(of.start_process(Process(OneWorkflow, input=["Double", 21])))
        results = [of.wait_for_process(i, 60).result for i in ids]

    assert results == [ProcessCompleted({"step": 3})] * 5 + [ProcessCompleted(42)]
    assert of.backend.check() == []


@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_an_activity_that_kills_its_process_is_a_failure(how: str) -> None:
    of = Manager(MemoryBackend(), [OneWorkflow])
    with working(of, pool="process", concurrency=1):
        crashed = of.start_process(Process(OneWorkflow, input=["crash", how]))
        after = of.start_process(Process(OneWorkflow, input=["crash", "no"]))

        assert of.wait_for_process(crashed, 60).status is Status.FAILED
        assert of.wait_for_process(after, 60).result == ProcessCompleted("survived")


def test_a_decider_that_raises_is_told_and_not_hot() -> None:
    class Broken(Workflow):
        def decide(self, process: Process) -> None:
            raise RuntimeError("no idea")

    of = Manager(MemoryBackend(), [Broken])
    process_id = of.start_process(Process(Broken))
    worker = DecisionWorker(of)

    assert worker.step() is True
    assert worker.step() is None
    failed = of.history(process_id)[-1]
    assert failed.type == "decision_failed"
    assert "no idea" in str(failed)


def test_a_handed_off_activity_is_completed_by_somebody_else(tmp_path: Path) -> None:
    from pyworkflow.activity import activity

    tasks: list[ActivityTask] = []

    @activity(auto_complete=False)
    def ask() -> None:
        from pyworkflow.activity import current_activity

        tasks.append(current_activity().task)

    class Ask(OneWorkflow):
        activities = (ask,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Ask])
    with working(of):
        process_id = of.start_process(Process(Ask, input=["ask", None]))
        while not tasks:
            time.sleep(0.01)
        of.complete_task(tasks[0], ActivityCompleted("yes"))

        assert of.wait_for_process(process_id, 30).result == ProcessCompleted("yes")


def test_a_worker_thread_works_until_it_is_joined() -> None:
    of = Manager(MemoryBackend(), [StepsWorkflow])
    thread = WorkerThread(DecisionWorker(of), delay_on_idle=0.01)
    thread.start()
    process_id = of.start_process(Process(StepsWorkflow))
    while len(of.history(process_id)) < 3:
        time.sleep(0.01)
    thread.join(10)

    assert not thread.is_alive()


def test_arguments_out_of_range_are_refused() -> None:
    of = Manager(MemoryBackend())

    with pytest.raises(InvalidRequestError, match="pool"):
        Worker(of, pool="carrier pigeon")
    with pytest.raises(InvalidRequestError, match="concurrency"):
        Worker(of, concurrency=0)


def test_an_idle_worker_hears_of_another_os_process_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    of = manager(str(path))
    child = spawn(path)
    try:
        process_id = of.start_process(Process(StepsWorkflow))
        assert of.wait_for_process(process_id, 60).result == ProcessCompleted({"step": 3})
    finally:
        child.terminate()
        assert child.wait(30) == 0


def test_sigterm_gives_the_work_to_another_worker(tmp_path: Path) -> None:
    path, began = tmp_path / "w.db", tmp_path / "began"
    of = manager(str(path))
    first = spawn(path, lease=60)
    process_id = of.start_process(Process(OneWorkflow, input=["slow", str(began)]))
    appear(began)
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGTERM)
    began.unlink()
    second = spawn(path, lease=60)
    try:
        first.send_signal(signal.SIGTERM)
        assert appear(began) == str(second.pid)
        began.with_name("began.end").touch()
        assert of.wait_for_process(process_id, 60).result == ProcessCompleted("done")
    finally:
        second.terminate()
        second.wait(30)
        first.wait(30)


def test_a_second_sigterm_does_not_wait_for_an_activity_that_hangs(tmp_path: Path) -> None:
    path, began = tmp_path / "w.db", tmp_path / "began"
    of = manager(str(path))
    child = spawn(path, lease=600)
    of.start_process(Process(OneWorkflow, input=["slow", str(began)]))
    appear(began)
    child.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)

    assert child.wait(30) == 0
    assert of.backend.poll_activity_task() is not None, "it was not given back"


def test_ctrl_c_leaves_the_activities_in_processes_to_finish(tmp_path: Path) -> None:
    path, began = tmp_path / "w.db", tmp_path / "began"
    of = manager(str(path))
    child = spawn(path, lease=600, pool="process")
    process_id = of.start_process(Process(OneWorkflow, input=["slow", str(began)]))
    appear(began)
    os.killpg(child.pid, signal.SIGINT)
    began.with_name("began.end").touch()

    assert child.wait(30) == 0
    events = [event.type for event in of.history(process_id)]
    assert events[-2:] == ["activity_started", "activity"]


def test_a_killed_workers_activity_is_done_again_and_counted_once(tmp_path: Path) -> None:
    path, began = tmp_path / "w.db", tmp_path / "began"
    of = manager(str(path))
    first = spawn(path)
    process_id = of.start_process(Process(OneWorkflow, input=["slow", str(began)]))
    appear(began)
    first.kill()
    first.wait()
    began.unlink()
    second = spawn(path)
    try:
        appear(began)
        began.with_name("began.end").touch()
        process = of.wait_for_process(process_id, 60)
    finally:
        second.terminate()
        second.wait(30)

    types = [event.type for event in process.history]
    assert process.result == ProcessCompleted("done")
    assert types.count("activity") == 1
    assert types.count("activity_started") == 2
    assert of.backend.check() == []


def test_what_a_killed_decider_saw_is_seen_again(tmp_path: Path) -> None:
    """Two backends on one file stand for two OS processes; the first is gone between poll and complete."""
    path = str(tmp_path / "w.db")
    of, dead = manager(path), manager(path)
    process_id = of.start_process(Process(StepsWorkflow))
    [held] = dead.backend.turn(polls=[Poll(DecisionTask, lease=0.2)]).tasks
    assert isinstance(held, DecisionTask)
    of.signal_process(process_id, "meanwhile")

    [task] = of.backend.turn(polls=[Poll(DecisionTask)], wait=30).tasks

    assert isinstance(task, DecisionTask)
    unseen = task.process.unseen_events()
    seen = held.process.unseen_events()
    assert unseen[: len(seen)] == seen
    assert "signal" in [event.type for event in unseen]
    before = of.process_by_id(process_id)
    with pytest.raises(StaleTaskError):
        dead.complete_task(held, ScheduleActivity("step"))
    assert of.process_by_id(process_id) == before


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_decider_saw_before_it_was_gone_is_seen_by_the_next(
    tmp_path: Path, fate: signal.Signals
) -> None:
    """It is killed between poll and complete; or stopped, and comes back too late."""
    path, shown = tmp_path / "w.db", tmp_path / "shown"
    of = manager(str(path))
    first = spawn(path)
    process_id = of.start_process(Process(HesitantWorkflow, input=str(shown)))
    assert appear(shown).split() == [str(first.pid), "process_started"]
    of.signal_process(process_id, "meanwhile")
    first.send_signal(fate)
    shown.unlink()
    second = spawn(path)
    try:
        assert appear(shown).split() == [str(second.pid), "process_started", "signal"]
        shown.with_name("shown.end").touch()
        done = of.wait_for_process(process_id, 60)
        if fate == signal.SIGSTOP:
            first.send_signal(signal.SIGCONT)
            first.terminate()
            assert first.wait(30) == 0
    finally:
        second.terminate()
        second.wait(30)
        first.kill()
        first.wait(30)

    assert done.result == ProcessCompleted(["process_started", "signal"])
    assert of.process_by_id(process_id) == done
    assert of.backend.check() == []


def test_a_second_sigterm_ends_a_worker_whose_decider_hangs(tmp_path: Path) -> None:
    path, shown = tmp_path / "w.db", tmp_path / "shown"
    of = manager(str(path))
    child = spawn(path, lease=600)
    process_id = of.start_process(Process(HesitantWorkflow, input=str(shown)))
    appear(shown)
    child.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)

    assert child.wait(30) == 0
    task = of.next_decision()
    assert task is not None
    assert task.process.id == process_id


def crash_loop(
    tmp_path: Path,
    workers: int,
    processes: int,
    seconds: float,
    kinds: str = "all",
    patience: float = 60,
    contested: int = 0,
) -> tuple[list[str], LateAnswers]:
    """Kill and stop random workers for a while; return what went wrong with the processes, and how many answers came late.

    It goes on until there are enough `contested` answers, so that no run ends before it could find anything.
    """
    path = tmp_path / "w.db"
    attempts = Attempts(tmp_path / "attempts")
    of = manager(str(path))
    chance = random.Random(1)
    running = [spawn(path, kinds=kinds, attempts=attempts) for _ in range(workers)]
    began = time.monotonic()
    ids: list[str] = []
    wrong: list[str] = []
    try:
        while (
            (passed := (time.monotonic() - began) / seconds) < 1
            or len(ids) < processes
            or attempts.late().contested < contested
        ):
            # Work comes all the time, so that whoever is gone holds some.
            due = int(processes * passed) + 20
            ids.extend(of.start_process(Process(SlowStepsWorkflow)) for _ in range(len(ids), due))
            time.sleep(chance.uniform(0.05, 0.5))
            victim = running.pop(chance.randrange(workers))
            if chance.random() < 0.3:
                attempts.stall(victim)
                running.append(victim)
            else:
                victim.kill()
                victim.wait()
                running.append(spawn(path, kinds=kinds, attempts=attempts))
        for process_id in ids:
            process = of.wait_for_process(process_id, patience)
            done = [e.type for e in process.history].count("activity")
            if process.result != ProcessCompleted({"step": 3}) or done != 3:
                wrong.append(f"{process_id}: {process.result}, {done} activities")
    except TimedOutError as error:
        wrong.append(str(error))
    finally:
        for child in running:
            child.kill()
            child.wait()
    wrong += attempts.wrong(map(of.process_by_id, ids))
    return wrong + [str(violation) for violation in of.backend.check()], attempts.late()


def test_killed_workers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    wrong, _ = crash_loop(tmp_path, workers=2, processes=100, seconds=5)

    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_six_workers_killed_for_a_minute_lose_nothing(tmp_path: Path) -> None:
    wrong, late = crash_loop(tmp_path, workers=6, processes=2000, seconds=60, contested=5)

    assert wrong == []
    # Nothing that came late counts, and some did come.
    assert late.contested >= 5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_crash_loop_finds_out_when_tokens_are_not_checked(tmp_path: Path) -> None:
    wrong, _ = crash_loop(
        tmp_path, workers=6, processes=500, seconds=20, kinds="reckless", patience=5, contested=3
    )

    assert [line for line in wrong if STALE in line]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_os_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    of = manager(str(path))
    running = [spawn(path, lease=30) for _ in range(8)]
    try:
        ids = [of.start_process(Process(StepsWorkflow)) for _ in range(2000)]
        for process_id in ids:
            assert of.wait_for_process(process_id, 300).status is Status.COMPLETED
    finally:
        for child in running:
            child.terminate()
        codes = [child.wait(60) for child in running]
    assert codes == [0] * 8
    assert of.backend.check() == []


def test_a_forked_child_has_connections_of_its_own(tmp_path: Path) -> None:
    of = manager(str(tmp_path / "w.db"))
    of.start_process(Process(StepsWorkflow, id="parent"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            of.start_process(Process(StepsWorkflow, id="child"))
            code = 0
        finally:
            os._exit(code)

    assert os.waitpid(child, 0)[1] == 0
    assert [p.id for p in of.processes()] == ["parent", "child"]
