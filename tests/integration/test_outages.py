"""A real outage of the store under load: no outcome differs from that of a run without it."""

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest

from pyworkflow.activity import activity, current_activity
from pyworkflow.backend import connect
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.engine import Engine
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.event import ActivityEvent, ActivityStartedEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.result import ActivityFailed, ProcessResult
from pyworkflow.retry import Retry
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from pyworkflow.workflow import Decidable, Workflow
from tests import engine_kit
from tests.integration.jobs import kit as jobs_kit
from tests.postgresql import new_server

pytestmark = pytest.mark.xdist_group("postgresql-faults")

LEASE = 3.0


class Stage:
    """When the activities of the load end: `began` has one entry for each that runs; `release` lets them go on."""

    def __init__(self) -> None:
        self.began: Counter[str] = Counter()
        self.release = threading.Event()

    def wait(self, name: str) -> None:
        self.began[name] += 1
        assert self.release.wait(300)

    def wait_with_signs(self, name: str) -> None:
        self.began[name] += 1
        while not self.release.wait(0.1):
            current_activity().heartbeat(name)


stage = Stage()


@activity(heartbeat_timeout=4)
def beats() -> str:
    stage.wait_with_signs("beats")
    return "beats"


@activity(heartbeat_timeout=2, auto_heartbeat=True)
def beats_by_itself() -> str:
    stage.wait("beats_by_itself")
    return "beats_by_itself"


@activity(at_most_once=True)
def once() -> str:
    stage.wait("once")
    return "once"


@activity(at_most_once=True, heartbeat_timeout=4)
def once_beats() -> str:
    stage.wait_with_signs("once_beats")
    return "once_beats"


@activity(retry=Retry(max_attempts=3, initial=0.1))
def fails_once() -> str:
    if current_activity().task.attempt == 1:
        stage.wait("fails_once")
        raise ValueError("the first time")
    return "fails_once"


@activity
def fails() -> None:
    stage.wait("fails")
    raise ValueError("for good")


ACTIVITIES = (beats, beats_by_itself, once, once_beats, fails_once, fails)


class Decides(Workflow):
    activities = ACTIVITIES

    def decide(self, process: Process) -> Decidable:
        for event in process.unseen_events():
            if isinstance(event, ActivityEvent):
                return CompleteProcess(event.result.to_json().get("result", "failed"))
        return ScheduleActivity(process.input)


class Replays(ReplayWorkflow):
    activities = ACTIVITIES

    async def run(self, name: str) -> Any:
        try:
            return await self.activity(name)
        except ActivityFailed:
            return "failed"


class Postgres:
    """A server that is stopped and started again."""

    def __init__(self, _: Path) -> None:
        self.server = new_server()
        self.url = self.server.url()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.server.stop()
        yield
        self.server.start()

    def remove(self) -> None:
        self.server.remove()


class Hung(Postgres):
    """A server that does not answer: its processes are stopped by the kernel and go on later."""

    @contextmanager
    def away(self) -> Iterator[None]:
        process = self.server._process
        assert process is not None
        whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in whole:
            each.send_signal(signal.SIGSTOP)
        yield
        for each in whole:
            each.send_signal(signal.SIGCONT)


class Locked:
    """A SQLite file that another program has locked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.url = f"sqlite:///{self.path}"

    @contextmanager
    def away(self) -> Iterator[None]:
        other = apsw.Connection(str(self.path))
        other.set_busy_timeout(10_000)
        other.execute("begin immediate")
        yield
        other.execute("rollback")
        other.close()

    def remove(self) -> None:
        pass


Store = Postgres | Locked


@contextmanager
def working(of: Manager) -> Iterator[None]:
    """Run each kind of worker: they share the load."""
    workers: list[Worker | DecisionWorker | ActivityWorker] = [
        Worker(of, concurrency=20, lease=LEASE),
        Worker(of, concurrency=20, lease=LEASE, pool="asyncio"),
        DecisionWorker(of, lease=LEASE),
        ActivityWorker(of, lease=LEASE),
    ]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        stage.release.set()
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(60)


def patiently(act: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except BackendUnavailableError:
            assert time.monotonic() < end
            time.sleep(0.05)


def outcomes(store: Store, seconds: float | None) -> dict[str, tuple[ProcessResult, int]]:
    """Run the load, with an outage of some seconds while all of it runs; return each process's result and attempts."""
    global stage
    stage = Stage()
    of = Manager(connect(store.url), [Decides, Replays])
    with of.backend, working(of):
        ids = [
            of.start_process(
                Process(flow, f"{flow.name} {each.name} {number} {seconds}", each.name)
            )
            for flow in (Decides, Replays)
            for each in ACTIVITIES
            for number in range(2)
        ]
        while stage.began.total() < len(ids):
            time.sleep(0.01)
        if seconds is None:
            stage.release.set()
        else:
            with store.away():
                time.sleep(seconds / 2)
                # Half of the outage is still to come for what is finished now.
                stage.release.set()
                time.sleep(seconds / 2)
        ended = {i: patiently(lambda i=i: of.wait_for_process(i, 60)) for i in ids}  # type: ignore[misc]
        violations = patiently(of.backend.check)
    assert violations == []
    return {
        process.id.rpartition(" ")[0]: (
            process.result,
            sum(isinstance(event, ActivityStartedEvent) for event in process.history),
        )
        for process in ended.values()
    }


@pytest.mark.parametrize("store", [Postgres, Hung, Locked])
@pytest.mark.parametrize("seconds", [4.0, pytest.param(40.0, marks=pytest.mark.slow)])
def test_no_outcome_differs_from_a_run_without_the_outage(
    store: type[Store], seconds: float, tmp_path: Path
) -> None:
    opened = store(tmp_path)
    try:
        usual = outcomes(opened, None)
        through = outcomes(opened, seconds)
    finally:
        opened.remove()

    assert through == usual


# -- front ends ----------------------------------------------------------------------------------------------------------------------


def during(store: Store, act: Callable[[], object]) -> None:
    """Have something done in the middle of an outage that is longer than a lease."""
    with store.away():
        time.sleep(2)
        act()
        time.sleep(2)


@pytest.fixture(params=[Postgres, Locked])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = request.param(tmp_path)
    yield store
    store.remove()


def test_an_engine_rides_an_outage_out(opened: Store) -> None:
    async def main() -> None:
        with connect(opened.url) as backend:
            engine = Engine(backend=backend, lease=LEASE)
            gated = {"a": "kit-append", "b": "kit-gate", "c": "kit-append"}
            workflow = await engine.run_once(engine_kit.template(gated), {})
            assert workflow is not None
            await engine_kit.stage.begun["b"].wait()
            loop = asyncio.get_running_loop()

            def open_gate() -> None:
                loop.call_soon_threadsafe(engine_kit.stage.gates["b"].set)

            await asyncio.to_thread(during, opened, open_gate)
            await workflow

            assert engine_kit.stage.names == ["a", "b", "c"]
            assert patiently(backend.check) == []
            await engine.stop()

    engine_kit.run(main())


def test_a_job_rides_an_outage_out(opened: Store, tmp_path: Path) -> None:
    trace, gate = tmp_path / "trace", tmp_path / "gate"
    definition = jobs_kit.job(
        tmp_path,
        {
            "gate": jobs_kit.do("Gate", trace=str(trace), opened_by=str(gate)),
            "after": jobs_kit.do("Tell", "gate"),
        },
    )

    def outage() -> None:
        jobs_kit.until(lambda: len(jobs_kit.pids(trace)) == 2, "the task")
        during(opened, gate.touch)

    with connect(opened.url) as backend, ThreadPoolExecutor(1) as other:
        ending = other.submit(outage)
        report = jobs_kit.run(definition, backend=backend)
        ending.result()
        assert backend.check() == []

    assert jobs_kit.letters(report) == {"gate": "C", "after": "C"}
    assert [line for line in jobs_kit.traced(trace) if "pid" not in line].count(
        "gate on_create"
    ) == 1
