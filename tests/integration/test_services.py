"""Events with real OS processes: a server that is killed, workers of their own, services that call back."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.postgresql import new_server
from tests.services_kit import (
    STRING,
    SUNRISE,
    TEXT_WORKFLOW,
    TEXTS,
    Call,
    Listener,
    listening,
    text_service,
)
from tests.web.served import Served, served

ALLOWED = ("--services", "--allow-service", "127.0.0.1")
OUTPUTS = {"message": "! GNINROM EHT NI ESIR LLIW NUS EHT", "space_count": 7}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def post(server: Served, path: str, body: Any) -> Any:
    answer = httpx2.post(server.address + path, json=body, timeout=90)
    assert answer.status_code < 300, answer.text
    return answer.json()


def ended(server: Served, event_id: str) -> Any:
    """Wait for the end of an event, and return it."""
    path = f"{server.address}/api/processes/{event_id}/wait"
    assert httpx2.get(path, params={"timeout": 60}, timeout=90).json()["status"] != "open"
    return httpx2.get(f"{server.address}/e/{event_id}").json()


def register(server: Served, listeners: dict[str, Listener]) -> None:
    for name, listener in listeners.items():
        post(server, "/s", text_service(name, listener.address))
    post(server, "/w", TEXT_WORKFLOW)


@pytest.fixture
def reached() -> threading.Event:
    return threading.Event()


@pytest.fixture
def over() -> threading.Event:
    return threading.Event()


@pytest.fixture
def listeners(reached: threading.Event, over: threading.Event) -> Iterator[dict[str, Listener]]:
    """The seed's services; the second answers its first call when the test says so, or is over."""
    first = iter([True])

    def slow(call: Call) -> Any:
        if next(first, False):
            reached.set()
            over.wait(60)
        return TEXTS["reverse"](call)

    answers = TEXTS | {"reverse": slow}
    with ExitStack() as stack:
        yield {name: stack.enter_context(listening(answer)) for name, answer in answers.items()}
        over.set()


def test_an_event_outlives_the_server_that_is_killed_in_its_middle(
    database: Path, listeners: dict[str, Listener], reached: threading.Event
) -> None:
    with served(database, *ALLOWED) as server:
        register(server, listeners)
        ack = post(server, "/e/process-text", {"data": {"message": SUNRISE}})
        assert reached.wait(60)
        server.process.kill()
        server.process.wait()

    with served(database, *ALLOWED) as again:
        seen = ended(again, ack["event_id"])

    assert seen["outputs"] == OUTPUTS
    calls = {name: listener.bodies for name, listener in listeners.items()}
    assert calls == {
        "upper": [{"message": SUNRISE}],
        "reverse": [{"message": SUNRISE.upper()}] * 2,
        "space-counter": [{"message": OUTPUTS["message"]}],
    }
    keys = {name: set(listener.header("Idempotency-Key")) for name, listener in listeners.items()}
    assert keys == {name: {f"{ack['event_id']}/{name}"} for name in listeners}


def test_an_event_rides_out_an_outage_of_the_store(
    listeners: dict[str, Listener], reached: threading.Event, over: threading.Event
) -> None:
    store = new_server()
    try:
        with served(store.url(), *ALLOWED) as server:
            register(server, listeners)
            ack = post(server, "/e/process-text", {"data": {"message": SUNRISE}})
            assert reached.wait(60)

            store.stop()
            over.set()
            time.sleep(3)
            store.start()

            assert ended(server, ack["event_id"])["outputs"] == OUTPUTS
    finally:
        store.remove()
    assert [len(listener.bodies) for listener in listeners.values()] == [1, 1, 1]


def test_a_worker_of_its_own_works_on_events(database: Path) -> None:
    command = [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{database}"]
    command += ["worker", *ALLOWED, "--pool", "asyncio", "--json"]
    with ExitStack() as stack:
        server = stack.enter_context(served(database))
        listeners = {name: stack.enter_context(listening(TEXTS[name])) for name in TEXTS}
        # The server itself allows nothing on this machine: neither to register nor to call.
        refused = httpx2.post(f"{server.address}/s", json=text_service("upper", listeners["upper"].address))  # fmt: skip
        assert refused.status_code == 422
        server = stack.enter_context(served(database, "--allow-service", "127.0.0.1"))
        register(server, listeners)
        event = post(server, "/e/process-text", {"data": {"message": SUNRISE}})["event_id"]
        worker = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(worker.kill)
        assert worker.stdout is not None
        told = json.loads(worker.stdout.readline())

        assert told["category"] == "services"
        assert told["workflows"] == ["services.event"]
        assert ended(server, event)["outputs"] == OUTPUTS
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0


@pytest.mark.parametrize("early", [False, True], ids=["after its 202", "before its 202"])
def test_a_service_finishes_later_at_the_address_it_is_told(database: Path, early: bool) -> None:
    answered, finished = threading.Event(), threading.Event()
    statuses: list[int] = []

    def later(call: Call) -> Any:
        def finish() -> None:
            assert early or answered.wait(60)
            for _ in range(2):
                body = {"data": {"message": call.body["message"] * 2}}
                answer = httpx2.post(call.headers["callback-url"], json=body, timeout=90)
                statuses.append(answer.status_code)
            finished.set()

        if early:
            finish()
        else:
            threading.Thread(target=finish).start()
        return 202, {}

    with listening(later) as slow, served(database, *ALLOWED) as server:
        spec = {"inputs": {"message": STRING}, "outputs": {"message": STRING}}
        post(server, "/s", {"name": "slow", "address": slow.address, "spec": spec})
        post(server, "/w", {"name": "flow", "services": ["slow"]})
        event = post(server, "/e/flow", {"data": {"message": "ab"}})["event_id"]
        answered.set()
        seen = ended(server, event)
        assert seen["outputs"] == {"message": "abab"}
        assert finished.wait(60)
        assert server.stop() == 0

    assert statuses == [200, 409]


def test_a_server_that_is_stopped_ends_while_a_service_is_being_called(
    database: Path, listeners: dict[str, Listener], reached: threading.Event
) -> None:
    with served(database, *ALLOWED) as server:
        register(server, listeners)
        post(server, "/e/process-text", {"data": {"message": "a"}})
        assert reached.wait(60)

        assert server.stop() == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--allow-service", "a b"), "allowed address 'a b'"),
        (("--service-port", "0"), "--service-port"),
        (("--callback-url", "flows.example.org"), "callback URL 'flows.example.org'"),
    ],
)
def test_options_that_cannot_be_are_refused(
    database: Path, words: tuple[str, ...], told: str
) -> None:
    command = [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{database}"]
    for name in ("serve", "worker"):
        done = subprocess.run(
            [*command, name, "--services", *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert told in done.stderr


def test_a_worker_needs_something_to_work_on(database: Path) -> None:
    command = [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{database}", "worker"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "missing option '-A' / '--app', or '--services'" in done.stderr
