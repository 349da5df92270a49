"""A real server: sockets, slow and huge requests, streams, signals of the OS."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from pyworkflow import Manager, Process
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.web.server import bind
from tests.web.served import Served, serve_command, served
from tests.web.world import Order, histories, make_manager, populate


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def manager(database: Path) -> Iterator[Manager]:
    with SQLiteBackend(database) as backend:
        made = make_manager(backend)
        populate(made)
        yield made


@pytest.fixture
def server(manager: Manager, database: Path) -> Iterator[Served]:
    with served(database) as running:
        yield running


def sent(server: Served, *parts: bytes) -> socket.socket:
    """Open a connection, and send bytes on it."""
    connection = socket.create_connection(server.place, timeout=60)
    for part in parts:
        connection.sendall(part)
    return connection


def answer(connection: socket.socket) -> bytes:
    """Return all that is sent until the other side closes."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    connection.close()
    return found


def refusal(connection: socket.socket) -> bytes:
    """Return the status of an answer; ``reset`` if the connection was closed on what was still being sent."""
    with connection:
        try:
            return connection.recv(4096).split(b" ")[1]
        except ConnectionResetError:
            return b"reset"


def test_a_process_is_started_and_listed(server: Served, manager: Manager) -> None:
    with httpx2.Client(base_url=server.address) as http:
        assert http.get("/health").json()["status"] == "ok"
        started = http.post("/api/processes", json={"workflow": "order", "id": "new"})
        assert started.status_code == 201
        assert http.get("/api/processes?limit=1").json()["processes"][0]["id"] == "new"
        assert "server" not in started.headers

    assert manager.process_by_id("new").is_open


def test_the_stream_tells_what_other_programs_do_and_resumes(
    server: Served, manager: Manager
) -> None:
    def read(headers: dict[str, str], wanted: int, act: Any = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        with (
            httpx2.Client(base_url=server.address, timeout=60) as http,
            http.stream("GET", "/api/events?process=waiting", headers=headers) as stream,
        ):
            assert stream.headers["content-type"].startswith("text/event-stream")
            current: dict[str, Any] = {}
            for line in stream.iter_lines():
                if act is not None and line.startswith("retry:"):
                    act()
                    act = None
                if line.startswith("id: "):
                    current["id"] = line[4:]
                elif line.startswith("data: "):
                    found.append(current | json.loads(line[6:]))
                    current = {}
                    if len(found) == wanted:
                        return found
        raise AssertionError("the stream ended")

    [first] = read({}, 1, lambda: manager.signal_process("waiting", "one"))
    manager.signal_process("waiting", "two")
    [second, third] = read(
        {"Last-Event-ID": first["id"]}, 2, lambda: manager.signal_process("waiting", "three")
    )

    names = [entry["event"]["signal"]["name"] for entry in (first, second, third)]
    assert names == ["one", "two", "three"]


def test_a_stop_ends_streams_and_the_server(server: Served) -> None:
    connection = sent(server, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in connection.recv(4096)

    assert server.stop(signal.SIGTERM) == 0

    answer(connection)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.place, timeout=10)


def test_a_head_that_does_not_come_is_not_waited_for(server: Served) -> None:
    with ExitStack() as stack:
        slow = [sent(server, b"GET / HTTP/1.1\r\nHost: lo") for _ in range(200)]
        for connection in slow:
            stack.callback(connection.close)
        # The server serves others meanwhile,
        assert httpx2.get(f"{server.address}/api/processes/done", timeout=30).status_code == 200

        # and hangs up on each of the slow in the end.
        for connection in slow:
            assert answer(connection) == b""


def test_a_body_that_does_not_come_is_not_waited_for(server: Served, manager: Manager) -> None:
    before = histories(manager)
    head = b"POST /api/processes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    told = answer(sent(server, head + b'Content-Length: 30\r\n\r\n{"workflow"'))

    assert told.startswith(b"HTTP/1.1 408")
    assert histories(manager) == before


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", b"403"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"400"),
    ],
    ids=["long line", "long header", "many headers", "no host", "two hosts", "foreign", "tls"],
)
def test_a_head_that_is_no_head_is_refused(
    server: Served, request_bytes: bytes, status: bytes
) -> None:
    # A large head that comes in pieces is refused before it is whole, with 400.
    wanted = {status, b"reset"} | ({b"400"} if len(request_bytes) > 16_384 else set())
    assert refusal(sent(server, request_bytes)) in wanted
    assert httpx2.get(f"{server.address}/health").status_code == 200


def test_a_huge_body_is_refused_before_it_is_read(server: Served, manager: Manager) -> None:
    before = histories(manager)
    head = b"POST /api/processes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    memory = psutil.Process(server.process.pid).memory_info().rss

    assert refusal(sent(server, head + b"Content-Length: 99999999999\r\n\r\n")) == b"413"
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(20):
        chunked = sent(server, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk * 17)
        assert refusal(chunked) in (b"413", b"reset")
    assert psutil.Process(server.process.pid).memory_info().rss - memory < 100e6
    assert histories(manager) == before


def test_below_a_path_of_a_proxy_all_links_are(manager: Manager, database: Path) -> None:
    with served(database, "--root-path", "/flows") as server:
        page = httpx2.get(f"{server.address}/processes/done")
        assert page.status_code == 200
        # A proxy may as well take the path off.
        bare = server.address.removesuffix("/flows")
        assert httpx2.get(f"{bare}/processes/done").text == page.text
        links = {
            part.split('"')[0] for part in page.text.replace('src="', 'href="').split('href="')[1:]
        }
        assert links
        assert all(link.startswith(("/flows/", "#")) for link in links), links
        assert httpx2.get(f"{server.address}/static/style.css").status_code == 200
        assert httpx2.get(f"{server.address}/api/processes/done").status_code == 200


def test_other_machines_are_not_served_without_tokens(database: Path) -> None:
    command = serve_command(database, "--host", "0.0.0.0")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "--token-file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_tokens_are_made_and_asked_for(manager: Manager, database: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    command = serve_command(database)[:-3]
    words = ["token", "ci", "--scope", "read", "--scope", "start", "--file", str(path)]
    made = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)
    secret = made.stdout.strip()
    assert made.returncode == 0, made.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in path.read_text()

    with served(
        database, "--token-file", str(path), PYWORKFLOW_TOKENS=f"work:{'w' * 32}"
    ) as server:
        with httpx2.Client(base_url=server.address) as http:
            assert http.get("/api/processes").status_code == 401
            http.headers["Authorization"] = f"Bearer {secret}"
            assert http.get("/api/processes").status_code == 200
            assert http.post("/api/processes/waiting/signal", json={"name": "s"}).status_code == 403
            http.headers["Authorization"] = f"Bearer {'w' * 32}"
            assert http.get("/api/processes").status_code == 403
            told = http.post("/api/processes/waiting/signal", json={"name": "s"})
            assert told.status_code == 200
        assert server.stop(signal.SIGINT) == 0


def test_no_part_of_an_answer_waits_for_the_acknowledgement_of_another() -> None:
    with bind("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname()) as client:
        connection, _ = bound.accept()
        with connection:
            # What asyncio goes by when it turns Nagle's algorithm off.
            assert connection.proto == socket.IPPROTO_TCP
        assert client.getpeername() == bound.getsockname()


def test_a_port_that_is_taken_is_an_error(server: Served, database: Path) -> None:
    command = [*serve_command(database), "--port", str(server.place[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 3
    assert "cannot be listened at" in done.stderr


def test_the_server_that_is_killed_loses_nothing_it_confirmed(
    server: Served, manager: Manager, database: Path
) -> None:
    key = {"Idempotency-Key": "one"}
    body = {"workflow": "order"}
    first = httpx2.post(f"{server.address}/api/processes", json=body, headers=key).json()["id"]
    server.process.kill()
    server.process.wait()

    with served(database) as again:
        found = httpx2.post(f"{again.address}/api/processes", json=body, headers=key).json()["id"]

    assert found == first
    assert manager.process_by_id(first).is_open
    assert [p.id for p in manager.processes(Order)].count(first) == 1
    assert isinstance(manager.process_by_id(first), Process)
