"""What the tests of services share: real HTTP services on loopback that keep what they are sent, and definitions of them."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pyworkflow import Manager
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import convert
from pyworkflow.process import Process
from pyworkflow.services import AddressPolicy, Services, Wanted
from pyworkflow.services.given import GivenService, GivenWorkflow
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner

LOOPBACK = AddressPolicy(["127.0.0.0/8", "::1"])
STRING = {"type": "string"}
INTEGER = {"type": "integer"}
SUNRISE = "The Sun will rise in the morning !"


@dataclass
class Call:
    """What a service was sent."""

    path: str
    headers: dict[str, str]
    body: Any


Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
"""Status, JSON (or bytes as they are), further headers."""


@dataclass
class Listener:
    """A service.

    Attributes:
        answer: What it answers to a call.
        calls: What it was sent, in this order.
        connections: How many were made to it.
    """

    answer: Callable[[Call], Answer]
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    connections: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def bodies(self) -> list[Any]:
        return [call.body for call in self.calls]

    def header(self, name: str) -> list[str | None]:
        return [call.headers.get(name.lower()) for call in self.calls]


@contextmanager
def listening(answer: Callable[[Call], Answer] | Answer) -> Iterator[Listener]:
    """Run a service until the end of the block."""
    listener = Listener(answer if callable(answer) else lambda call: answer)

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            listener.connections += 1
            super().setup()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.path, headers, json.loads(data))
            listener.calls.append(call)
            status, body, *more = listener.answer(call)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients hang up: some tests are about that."""

    with Server(("127.0.0.1", 0), Handler) as server:
        listener.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def raw_service(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a service that is handed each connection as it is; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=handled, args=(connection,), daemon=True).start()

        def handled(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection)
                except OSError:
                    return  # hung up on

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


TEXTS: dict[str, Callable[[Call], Answer]] = {
    "upper": lambda call: (200, {"message": call.body["message"].upper()}),
    "reverse": lambda call: (200, {"message": call.body["message"][::-1]}),
    "space-counter": lambda call: (200, {"space_count": call.body["message"].count(" ")}),
}


def text_service(name: str, address: str, **more: Any) -> dict[str, Any]:
    """Return the definition of one of the seed's services."""
    outputs = {"space_count": INTEGER} if name == "space-counter" else {"message": STRING}
    spec = {"inputs": {"message": STRING}, "outputs": outputs}
    return {"name": name, "address": address, "spec": spec, **more}


TEXT_WORKFLOW: dict[str, Any] = {
    "name": "process-text",
    "spec": {
        "services": ["upper", "reverse", "space-counter"],
        "inputs": {"message": STRING},
        "outputs": {"message": STRING, "space_count": INTEGER},
        "operations": {},
    },
}


class World:
    """Services on the memory backend, worked on in the present thread with a clock that skips."""

    def __init__(self, policy: AddressPolicy = LOOPBACK, callback_url: str | None = None) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(self.clock)
        self.manager = Manager(self.backend)
        self.services = Services(self.manager, policy, callback_url=callback_url, clock=self.clock)
        self.services.install()
        self.runner = Runner(
            *self.manager.workflows,
            activities=self.manager.activities,
            backend=self.backend,
            clock=self.clock,
        )

    def service(self, name: str, address: str, **more: Any) -> None:
        given = {"name": name, "address": address, **more}
        self.services.put_service(convert(given, GivenService))

    def workflow(self, name: str, services: list[Any], **spec: Any) -> None:
        given = {"name": name, "spec": {"services": services, **spec}}
        self.services.put_workflow(convert(given, GivenWorkflow))

    def send(self, workflow: str, data: dict[str, Any], id: str | None = None) -> str:
        [sent] = self.services.send([Wanted(workflow, data, id)])
        if not isinstance(sent, Process):
            raise sent
        return str(sent.id)

    def finish(self, event_id: str) -> Any:
        """Work until an event has ended; return it as people see it."""
        self.runner.finish(event_id)
        return self.services.view(event_id)

    def event(self, workflow: str, data: dict[str, Any]) -> Any:
        return self.finish(self.send(workflow, data))

    def call(self, address: str, data: dict[str, Any] | None = None, **more: Any) -> Any:
        """Send an event to a workflow of one service; return what became of the call."""
        self.service("one", address, **more)
        self.workflow("single", ["one"])
        seen = self.event("single", data or {})
        return seen.services[0], seen
