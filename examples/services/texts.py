"""The three services, each an HTTP server of its own: ``python -m examples.services.texts upper 5001``."""

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "upper": lambda message: {"message": message.upper()},
    "reverse": lambda message: {"message": message[::-1]},
    "space-counter": lambda message: {"space_count": message.count(" ")},
}


class Handler(BaseHTTPRequestHandler):
    """Answers a POST with a ``message`` in it."""

    work: Callable[[str], dict[str, Any]]

    def do_POST(self) -> None:
        """Do the work."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            answer, status = type(self).work(json.loads(body)["message"]), 200
        except (ValueError, KeyError, TypeError, AttributeError):
            answer, status = {"error": "there is no message"}, 400
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def make_server(name: str, port: int = 0) -> ThreadingHTTPServer:
    """Return the server of a service; port 0 takes a free one."""
    handler = type("TextHandler", (Handler,), {"work": staticmethod(WORKS[name])})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    make_server(sys.argv[1], int(sys.argv[2])).serve_forever()
