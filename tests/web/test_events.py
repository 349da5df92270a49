"""The stream of events as its readers meet it: wrong parameters, readers that are slow or leave, and how many there may be."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

from pyworkflow import Manager
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.web import Scope, TokenFile, new_token
from pyworkflow.web.limits import Limits
from pyworkflow.web.sessions import COOKIE
from tests.web.conftest import close
from tests.web.served import Served, served
from tests.web.world import HOST, client, make_app, make_manager, populate

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
STREAMS = ("/api/events", "/live")


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=x", "since"),
        ("since=-1", "since"),
        ("since=1.5", "since"),
        (f"since={10**20}", "since"),
        ("since=1&since=2", "since"),
        ("process=", "process"),
        (f"process={'x' * 257}", "process"),
        ("brief=perhaps", "brief"),
        ("after=1", "after"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_stream_begins(
    run: Run, app: Starlette, path: str, query: str, field: str
) -> None:
    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.get(f"{path}?{query}")

    answer: httpx2.Response = run(call)

    assert answer.status_code == 422
    if path == "/live":
        assert f"{field}: " in answer.text
    else:
        assert answer.json()["field"] == field
    assert app.state.site.hub.listening == 0


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("how", ["leaves", "is cut off"])
def test_a_reader_that_is_gone_leaves_nothing_behind(
    run: Run, app: Starlette, manager: Manager, path: str, how: str
) -> None:
    hub = app.state.site.hub
    listening: list[int] = []

    async def call() -> None:
        # Servers tell a broken connection by an error when one sends, from this version of ASGI on; before, by a message.
        version = "2.4" if how == "is cut off" else "2.3"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": version},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"since=0",
            "root_path": "",
            "headers": [(b"host", HOST.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8765),
        }
        read = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await read.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if b"event: " in message.get("body", b""):
                listening.append(hub.listening)
                read.set()
                if how == "is cut off":
                    raise OSError("the connection is gone")

        # What a server does with the error of its own socket is its own affair.
        with suppress(OSError, ClientDisconnect):
            await app(scope, receive, send)
        # The generator behind the answer ends when the loop comes to it.
        while hub.listening:
            await asyncio.sleep(0)

    run(call)
    assert listening == [1]
    assert hub.listening == 0


class Reader:
    """One who reads a stream of an application that runs in this event loop.

    Attributes:
        status: Of the answer, once it has begun.
        names: The names of the signals that were told.
    """

    def __init__(
        self, app: Starlette, path: str, headers: dict[str, str], method: str = "GET"
    ) -> None:
        self.status = 0
        self.names: list[str] = []
        self.begun = asyncio.Event()
        self._gone = asyncio.Event()
        given = {"host": HOST, **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        for line in message.get("body", b"").splitlines():
            if line.startswith(b"data: ") and b'"signal"' in line:
                self.names.append(json.loads(line[6:])["event"]["signal"]["name"])
        if message["type"] == "http.response.body":
            self.begun.set()

    async def leave(self) -> None:
        self._gone.set()
        await self.task


@pytest.mark.parametrize("path", STREAMS)
def test_places_hold_for_streams_that_are_opened_at_once(
    run: Run, manager: Manager, path: str
) -> None:
    app = make_app(manager, streams=2)

    async def call() -> list[list[int]]:
        seen: list[list[int]] = []
        for _ in range(2):
            readers = [Reader(app, path, {}) for _ in range(6)]
            for reader in readers:
                await reader.begun.wait()
            seen.append(sorted(reader.status for reader in readers))
            for reader in readers:
                await reader.leave()
        return seen

    assert run(call) == [[200, 200, 503, 503, 503, 503]] * 2
    close(app)


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_tells_nothing_once_its_token_is_taken_away(
    run: Run, manager: Manager, tmp_path: Path, path: str
) -> None:
    secret, token = new_token("me", [Scope.READ])
    _, starter = new_token("me", [Scope.START])
    file = tmp_path / "tokens"
    file.write_text(token.line())
    app = make_app(manager, TokenFile(file))
    headers = {
        "authorization": f"Bearer {secret}",
        "cookie": f"{COOKIE}={app.state.site.sessions.open(token)}",
    }
    lines = ["", f"me start {token.digest}\n", f"{starter.line()}"]

    async def call() -> None:
        for line in lines:
            file.write_text(token.line())
            reader = Reader(app, path, headers)
            await reader.begun.wait()
            manager.signal_process("waiting", "before")
            while not reader.names:
                await asyncio.sleep(0)
            file.write_text(line)
            manager.signal_process("waiting", "after")
            await reader.task
            assert (reader.status, reader.names) == (200, ["before"])

    run(call)
    assert app.state.site.hub.listening == 0
    close(app)


@pytest.mark.parametrize("path", STREAMS)
def test_who_asks_for_the_head_of_a_stream_opens_none(run: Run, app: Starlette, path: str) -> None:
    async def call() -> int:
        reader = Reader(app, path, {}, "HEAD")
        await reader.task
        return reader.status

    assert run(call) == 200
    assert app.state.site.hub.listening == 0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def shared(database: Path) -> Iterator[Manager]:
    with SQLiteBackend(database) as backend:
        made = make_manager(backend)
        populate(made)
        yield made


@pytest.fixture
def server(shared: Manager, database: Path) -> Iterator[Served]:
    with served(database) as running:
        yield running


def opened(server: Served, query: str = "") -> tuple[socket.socket, bytes]:
    """Ask for the stream; return the connection, and the status with what came along."""
    connection = socket.create_connection(server.place, timeout=60)
    connection.sendall(f"GET /api/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection, connection.recv(4096)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def test_there_are_only_so_many_streams_and_each_that_ends_makes_room(server: Served) -> None:
    with ExitStack() as stack:
        for _ in range(Limits().streams):
            connection, answer = opened(server)
            stack.callback(connection.close)
            while b"retry:" not in answer:
                answer += connection.recv(4096)
            assert status(answer) == 200
        connection, answer = opened(server)
        connection.close()
        assert status(answer) == 503
        assert b"Retry-After" in answer or b"retry-after" in answer
        # Who only looks is served all the same.
        assert httpx2.get(f"{server.address}/api/processes").status_code == 200
    while status(answer) == 503:
        connection, answer = opened(server)
        connection.close()
    assert status(answer) == 200


def test_a_reader_that_does_not_read_holds_nobody_up_and_gets_everything_later(
    server: Served, shared: Manager
) -> None:
    count, filler = 2000, "x" * 3000
    numbers: list[int] = []
    with (
        httpx2.Client(base_url=server.address, timeout=60) as http,
        http.stream("GET", "/api/events?process=waiting") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        # More than the sockets on both sides hold.
        for number in range(count):
            shared.signal_process("waiting", "s", [number, filler])
        assert httpx2.get(f"{server.address}/health", timeout=60).status_code == 200
        while len(numbers) < count:
            line = next(lines)
            if line.startswith("data: ") and '"signal"' in line:
                numbers.append(json.loads(line[6:])["event"]["signal"]["data"][0])
    assert numbers == list(range(count))
