"""Amazon SWF and S3 by moto's server, with workers in OS processes of their own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from datetime import datetime as DateTime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError

from examples.archive.workflow import CONFIRMED, ArchiveWorkflow
from examples.multiply import FooWorkflow
from pyworkflow.activity import ActivityExecution, activity, current_activity
from pyworkflow.backend.amazonswf import AmazonSWFBackend
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.exchange import Poll
from pyworkflow.decision import CompleteProcess, Decision, RecordMarker, ScheduleActivity
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
)
from pyworkflow.manager import Manager
from pyworkflow.payloads import S3Store
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    ProcessCompleted,
)
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker import Worker
from pyworkflow.workflow import DefaultWorkflow
from tests.moto_server import KEYS, REGION, make_client, serving

pytestmark = [
    pytest.mark.service,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def domain(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[:100]


@pytest.fixture
def backend(endpoint: str, domain: str) -> Iterator[AmazonSWFBackend]:
    with AmazonSWFBackend(client=make_client(endpoint), domain=domain) as backend:
        backend.register_domain()
        backend.register_workflow("order")
        backend.register_activity("charge")
        yield backend


@contextmanager
def workers(command: list[str], endpoint: str, count: int = 2) -> Iterator[None]:
    """Run workers as OS processes that are told of the endpoint by the environment alone."""
    environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": endpoint}
    running = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for one in running:
            one.terminate()
        for one in running:
            assert one.wait(30) == 0


# -- programs ------------------------------------------------------------------------------------------------------------------------


def test_the_first_pyworkflows_program_runs_to_its_end(
    backend: AmazonSWFBackend, endpoint: str, domain: str
) -> None:
    manager = Manager(backend, [FooWorkflow])
    url = f"swf://{REGION}/{domain}"
    command = ["pyworkflow", "--backend", url, "worker", "-A", "examples.multiply:FooWorkflow"]
    with workers(command, endpoint):
        process_id = manager.start_process(Process(FooWorkflow, input=[3, 4]))
        process = manager.wait_for_process(process_id, 60)

    assert process.result == ProcessCompleted(12)
    assert [event.type for event in process.history] == [
        "process_started",
        "decision_started",
        "decision",
        "activity_started",
        "activity",
        "decision_started",
        "decision",
    ]


def test_a_folder_is_archived_by_workers_of_their_own(
    backend: AmazonSWFBackend, endpoint: str, domain: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for number in range(12):
        (source / f"file{number}.txt").write_text(f"{number}\n" * 1000)
    manager = Manager(backend, [ArchiveWorkflow])
    command = ["examples.archive.worker", f"swf://{REGION}/{domain}", "worker"]
    with workers(command, endpoint):
        task = {"source": str(source), "target": str(target), "confirm": True}
        process_id = manager.start_process(Process(ArchiveWorkflow, "archive", task))
        end = time.monotonic() + 90
        while not any(wait.id == "ask" for wait in manager.pending(process_id)):
            assert time.monotonic() < end, manager.history(process_id)
            time.sleep(0.2)
        manager.signal_process(process_id, CONFIRMED)
        process = manager.wait_for_process(process_id, 60)

    assert isinstance(process.result, ProcessCompleted)
    assert len(process.result.result) == 12
    # moto hands out more decisions than there are news; none of them made a decider decide twice.
    scheduled = [
        event.decision.id
        for event in process.history
        if isinstance(event, DecisionEvent) and isinstance(event.decision, ScheduleActivity)
    ]
    assert len(scheduled) == len(set(scheduled)) == 13


# -- what deciders do not see --------------------------------------------------------------------------------------------------------


def decision(backend: AmazonSWFBackend) -> DecisionTask:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if (task := backend.poll_decision_task()) is not None:
            return task
    raise AssertionError("no decision came")


def attempt(backend: AmazonSWFBackend) -> ActivityTask:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        # Attempts are scheduled by whoever polls for decisions.
        assert backend.poll_decision_task() is None
        if (task := backend.poll_activity_task()) is not None:
            return task
    raise AssertionError("no activity came")


def test_failed_attempts_are_tried_again_unseen_by_the_decider(backend: AmazonSWFBackend) -> None:
    process_id = backend.start_process(Process("order"))
    retry = Retry(max_attempts=3, initial=1, backoff=1)
    schedule = ScheduleActivity("charge", "a", input=[1], retry=retry)
    backend.complete_decision_task(decision(backend), schedule)
    for number in (1, 2, 3):
        task = attempt(backend)
        assert (task.attempt, task.activity_execution.id) == (number, "a")
        assert task.activity_execution.input == [1]
        assert task.heartbeat_details == (None if number == 1 else {"at": number - 1})
        backend.heartbeat_activity_task(task, {"at": number})
        result = ActivityFailed(f"no {number}") if number < 3 else ActivityCompleted("yes")
        backend.complete_activity_task(task, result)

    task_seen = decision(backend)

    history = task_seen.process.history
    assert len(history.find(DecisionStartedEvent)) == 2
    assert [event.type for event in history][3:] == [
        "activity_started",
        "activity_attempt",
        "activity_started",
        "activity_attempt",
        "activity_started",
        "activity",
        "decision_started",
    ]
    assert [e.attempt for e in history if isinstance(e, ActivityAttemptEvent)] == [1, 2]
    assert isinstance(history[-2], ActivityEvent)
    assert history[-2].result == ActivityCompleted("yes")
    backend.complete_decision_task(task_seen, CompleteProcess())
    assert backend.process_by_id(process_id).result == ProcessCompleted()


def test_a_list_longer_than_one_completion_is_applied_wholly(backend: AmazonSWFBackend) -> None:
    process_id = backend.start_process(Process("order"))
    wanted = [RecordMarker("m", number) for number in range(249)]
    backend.complete_decision_task(decision(backend), [*wanted, CompleteProcess("end")])
    end = time.monotonic() + 30
    while backend.process_by_id(process_id).is_open:
        assert time.monotonic() < end
        assert backend.poll_decision_task() is None

    process = backend.process_by_id(process_id)

    decided = [e.decision for e in process.history if isinstance(e, DecisionEvent)]
    assert decided == [*wanted, CompleteProcess("end")]
    assert process.result == ProcessCompleted("end")


def test_a_decider_that_failed_is_asked_again_and_told_how_often(
    backend: AmazonSWFBackend,
) -> None:
    backend.start_process(Process("order"))
    backend.fail_decision_task(decision(backend), "broken", "traceback")

    again = decision(backend)

    assert again.attempt == 2
    assert again.process.unseen_events()[0].type == "process_started"
    assert "decision_failed" in [event.type for event in again.process.history]


def test_a_process_whose_decider_keeps_failing_is_parked_and_resumed(
    backend: AmazonSWFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyworkflow.swf.chores.LONGEST_BACKOFF", 0.0)
    process_id = backend.start_process(Process("order"))
    for _ in range(10):
        backend.fail_decision_task(decision(backend), "broken")
    backend.signal_process(process_id, "x")

    assert backend.poll_decision_task() is None
    assert backend.process_by_id(process_id).parked == "broken"
    assert [p.id for p in backend.processes(parked=True)] == [process_id]
    assert [wait.state for wait in backend.pending(process_id)] == ["parked"]

    backend.retry_process(process_id)
    backend.complete_decision_task(decision(backend), CompleteProcess())


def test_released_tasks_are_done_by_another(backend: AmazonSWFBackend) -> None:
    process_id = backend.start_process(Process("order"))
    backend.release_tasks([decision(backend)])
    asked = decision(backend)
    assert asked.attempt == 2
    backend.complete_decision_task(asked, ScheduleActivity("charge", "a"))
    backend.release_tasks([attempt(backend)])
    again = attempt(backend)
    assert again.attempt == 2
    backend.complete_activity_task(again, ActivityCompleted())

    history = decision(backend).process.history

    assert DecisionFailedEvent("released") in list(history)
    [tried] = history.find(ActivityAttemptEvent)
    assert isinstance(tried, ActivityAttemptEvent)
    assert tried.result == ActivityTimedOut("released")
    assert backend.process_by_id(process_id).is_open


def test_tasks_that_nobody_has_begun_are_given_back_uncounted(backend: AmazonSWFBackend) -> None:
    backend.start_process(Process("order"))
    backend.release_tasks([decision(backend)], unseen=True)
    asked = decision(backend)
    assert asked.attempt == 1
    backend.complete_decision_task(asked, ScheduleActivity("charge", "a"))
    backend.release_tasks([attempt(backend)], unseen=True)

    again = attempt(backend)

    assert again.attempt == 1
    backend.complete_activity_task(again, ActivityCompleted())
    types = [event.type for event in decision(backend).process.history]
    assert "activity_attempt" not in types
    assert "decision_failed" not in types


def test_an_activity_that_must_not_run_twice_ends_when_it_is_released(
    backend: AmazonSWFBackend,
) -> None:
    backend.register_activity("once", at_most_once=True, retry=Retry(3))
    backend.start_process(Process("order"))
    backend.complete_decision_task(decision(backend), ScheduleActivity("once", "a"))
    backend.release_tasks([attempt(backend)])

    ended = decision(backend).process.history[-2]

    assert isinstance(ended, ActivityEvent)
    assert ended.result == ActivityTimedOut("released")


def test_what_a_worker_does_not_have_is_done_by_another(
    backend: AmazonSWFBackend, endpoint: str, domain: str
) -> None:
    backend.register_activity("ship")

    def polls(one: AmazonSWFBackend, workflow: str, activity: str) -> Any:
        # Each is asked for by itself, so that an old worker has had the task before a new one gets it.
        wanted = [Poll(DecisionTask, names=(workflow,)), Poll(ActivityTask, names=(activity,))]
        return [task for poll in wanted for task in one.turn(polls=[poll]).tasks]

    with AmazonSWFBackend(client=make_client(endpoint), domain=domain) as old:
        process_id = backend.start_process(Process("order"))
        steps = [ScheduleActivity("ship", "a", input=1), CompleteProcess("shipped")]
        attempts: list[int] = []
        end = time.monotonic() + 60
        while backend.process_by_id(process_id).is_open:
            assert time.monotonic() < end
            assert polls(old, "other", "charge") == []
            for task in polls(backend, "order", "ship"):
                if isinstance(task, DecisionTask):
                    backend.complete_decision_task(task, steps.pop(0))
                else:
                    attempts.append(task.attempt)
                    backend.complete_activity_task(task, ActivityCompleted())

    process = backend.process_by_id(process_id)

    assert old.calls.made["respond_decision_task_completed"] >= 1
    assert old.calls.made["respond_activity_task_failed"] == 1
    assert process.result == ProcessCompleted("shipped")
    assert attempts == [1]
    assert [event.type for event in process.history] == [
        "process_started",
        "decision_started",
        "decision",
        "activity_started",
        "activity_started",
        "activity",
        "decision_started",
        "decision",
    ]


@activity(name="charge")
def charge(amount: int) -> int:
    return amount


@activity(name="ship")
def ship(amount: int) -> int:
    return -amount


class Order(DefaultWorkflow):
    """The new release: it ships what it has charged."""

    activities: ClassVar[Any] = (charge, ship)

    def initiate(self, process: Process) -> Decision:
        return ScheduleActivity("charge", "c", input=process.input)

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: Any
    ) -> Decision:
        if execution.id == "s":
            return CompleteProcess(result)
        return ScheduleActivity("ship", "s", input=result)


@activity(name="ship")
def ship_with_heartbeats(amount: int) -> int:
    for _ in range(5):
        current_activity().heartbeat()
    return -amount


class BeatingOrder(Order):
    """Sends heartbeats."""

    name = "Order"
    activities = (charge, ship_with_heartbeats)


class OldOrder(Order):
    """The old release has the same decider, and not yet the activity."""

    name = "Order"
    activities = (charge,)


def test_no_order_fails_while_an_old_and_a_new_worker_run_side_by_side(
    endpoint: str, domain: str
) -> None:
    def manager(workflow: type[Order]) -> Manager:
        backend = AmazonSWFBackend(client=make_client(endpoint), domain=domain)
        backend.register_domain()
        return Manager(backend, [workflow])

    old, new = manager(OldOrder), manager(Order)
    orders = [new.start_process(Process(Order, f"order-{n}", n)) for n in range(5)]
    running = [Worker(old), Worker(new)]
    threads = [threading.Thread(target=worker.run) for worker in running]
    for thread in threads:
        thread.start()
    try:
        ended = [new.wait_for_process(order, 120) for order in orders]
    finally:
        for worker in running:
            worker.stop()
        for thread in threads:
            thread.join(30)
        for each in (old, new):
            each.backend.close()

    assert [process.result for process in ended] == [ProcessCompleted(-n) for n in range(5)]
    seen = {event.type for process in ended for event in process.history}
    assert not seen & {"decision_failed", "decision_timedout", "activity_attempt"}


THROTTLED = b'{"__type":"ThrottlingException","message":"Rate exceeded"}'


class _Refusal:
    """The body of an answer of SWF that refuses a call."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield THROTTLED


def test_throttling_is_the_outcome_of_no_activity_and_no_decision(
    endpoint: str, domain: str
) -> None:
    client = make_client(endpoint)
    chance = random.Random(1)
    refused: Counter[str] = Counter()

    def throttle(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        if not operation.startswith(("Poll", "Respond", "Record")):
            return None
        if refused[operation] and chance.random() < 0.7:
            return None
        refused[operation] += 1
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, 400, headers, _Refusal())

    client.meta.events.register("before-send.swf.*", throttle)
    with AmazonSWFBackend(client=client, domain=domain) as backend:
        backend.register_domain()
        manager = Manager(backend, [BeatingOrder])
        worker = Worker(manager)
        running = threading.Thread(target=worker.run)
        orders = [manager.start_process(Process(BeatingOrder, f"order-{n}", n)) for n in range(5)]
        running.start()
        try:
            ended = [manager.wait_for_process(order, 120) for order in orders]
        finally:
            worker.stop()
            running.join(60)

    assert [process.result for process in ended] == [ProcessCompleted(-n) for n in range(5)]
    seen = {event.type for process in ended for event in process.history}
    assert not seen & {"decision_failed", "decision_timedout", "activity_attempt"}
    assert {"RespondActivityTaskCompleted", "RespondDecisionTaskCompleted"} <= set(refused)


# -- how little it asks for ---------------------------------------------------------------------------------------------------------


def test_three_activities_take_as_few_calls_as_swf_allows(backend: AmazonSWFBackend) -> None:
    backend.calls.made.clear()
    backend.start_process(Process("order"))
    for number in range(3):
        backend.complete_decision_task(decision(backend), ScheduleActivity("charge", str(number)))
        task = backend.poll_activity_task()
        assert task is not None
        backend.complete_activity_task(task, ActivityCompleted(number))
    backend.complete_decision_task(decision(backend), CompleteProcess())

    # One start, and one completion for each of four decisions and three activities. As many polls found a task.
    assert backend.calls.made == {
        "start_workflow_execution": 1,
        "respond_decision_task_completed": 4,
        "respond_activity_task_completed": 3,
    }


def test_blinker_signals_are_made_from_calls_and_polls(backend: AmazonSWFBackend) -> None:
    told: list[str] = []
    wrapper = BlinkerBackend(backend)
    receivers = []
    for name in ("process_started", "complete_decision_task", "activity_scheduled"):
        signal = getattr(BlinkerBackend, f"on_{name}")

        def receive(sender: Any, name: str = name, **more: Any) -> None:
            told.append(name)

        signal.connect(receive, sender=wrapper)
        receivers.append(receive)
    wrapper.start_process(Process("order"))
    task = wrapper.poll_decision_task()
    assert task is not None
    wrapper.complete_decision_task(task, ScheduleActivity("charge"))

    assert told == ["process_started", "complete_decision_task", "activity_scheduled"]


# -- starts whose answer is lost -----------------------------------------------------------------------------------------------------


def test_a_start_whose_answer_is_lost_starts_once(endpoint: str, domain: str) -> None:
    client = make_client(endpoint, retries={"mode": "standard", "max_attempts": 3})
    lost: list[int] = []

    def lose(request: Any, **_: Any) -> None:
        if not lost:
            answer = client._endpoint.http_session.send(request)
            lost.append(answer.status_code)
            raise ConnectionClosedError(endpoint_url=request.url)

    with AmazonSWFBackend(client=client, domain=domain) as backend:
        backend.register_domain()
        backend.register_workflow("order")
        client.meta.events.register("before-send.swf.StartWorkflowExecution", lose)

        process_id = backend.start_process(Process("order", input=[1], tags=["t"]))

        assert lost == [200]
        assert [p.id for p in backend.processes()] == [process_id]


# -- payloads ------------------------------------------------------------------------------------------------------------------------


def test_a_megabyte_makes_the_trip_through_s3_and_is_removed(endpoint: str, domain: str) -> None:
    s3 = make_client(endpoint, "s3")
    s3.create_bucket(Bucket="payloads")
    store = S3Store("payloads", f"swf/{domain}", s3)
    # Random digits: nothing that compression could make short.
    large = os.urandom(500_000).hex()
    with AmazonSWFBackend(client=make_client(endpoint), domain=domain, blobs=store) as backend:
        backend.register_domain()
        backend.register_workflow("order")
        backend.register_activity("charge")
        process_id = backend.start_process(Process("order", "big", [large, "input"]))
        task = decision(backend)
        assert task.process.input == [large, "input"]
        backend.complete_decision_task(task, ScheduleActivity("charge", "a", input=large))
        work = attempt(backend)
        assert work.activity_execution.input == large
        backend.complete_activity_task(work, ActivityCompleted({"result": large}))
        backend.signal_process(process_id, "more", [large])
        task = decision(backend)
        told = [event.type for event in task.process.unseen_events()]
        assert {"activity", "signal"} <= set(told)
        backend.complete_decision_task(task, CompleteProcess(large))
        while backend.process_by_id(process_id).is_open:
            backend.complete_decision_task(decision(backend), CompleteProcess(large))
        process = backend.process_by_id(process_id)
        backend.start_process(Process("order", "open", [large]))
        later = DateTime.now(UTC) + timedelta(days=1)

        assert process.result == ProcessCompleted(large)
        assert len(list(store.keys())) >= 5
        assert backend.purge(later - timedelta(days=2)) == 0
        assert backend.purge(later) == 1
        assert backend.purge(later) == 0
        assert len(list(store.keys())) == 1
        assert decision(backend).process.input == [large]


# -- leaving -------------------------------------------------------------------------------------------------------------------------


class _Holding(BaseHTTPRequestHandler):
    """Answers registrations, and holds long polls for ever."""

    polled = threading.Semaphore(0)
    released = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers["X-Amz-Target"].rpartition(".")[2]
        body = b"{}"
        if target.startswith("Poll"):
            self.polled.release()
            self.released.wait()
        elif target.startswith("Describe"):
            body = b'{"typeInfo": {"status": "REGISTERED"}, "configuration": {}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_worker_in_a_long_poll_leaves_when_told_to() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Holding)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        **KEYS,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
    }
    app = "examples.multiply:FooWorkflow"
    command = ["pyworkflow", "--backend", f"swf://{REGION}/d", "worker", "-A", app]
    worker = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment)
    try:
        # Both polls are held by now: one for decisions, one for activities.
        for _ in range(2):
            assert _Holding.polled.acquire(timeout=60)
        worker.send_signal(signal.SIGTERM)
        # The server never answers those polls: the worker leaves without their answers, or not at all.
        assert worker.wait(30) == 0
        assert not _Holding.released.is_set()
    finally:
        worker.kill()
        _Holding.released.set()
        server.shutdown()
        server.server_close()
