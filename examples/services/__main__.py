"""Run the three services and a server, register, send an event and print what comes out: ``python -m examples.services``."""

import argparse
import json
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from examples.services.texts import WORKS, make_server

DEFINITIONS = Path(__file__).parent / "definitions"


def read(name: str) -> Any:
    """Return a definition."""
    return json.loads((DEFINITIONS / f"{name}.json").read_text("utf-8"))


def post(url: str, body: Any) -> Any:
    """Post JSON, and return what is answered."""
    headers = {"Content-Type": "application/json"}
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - the server's own address
    with urlopen(request, timeout=90) as response:  # noqa: S310
        return json.load(response)


def serving(database: Path) -> subprocess.Popen[str]:
    """Start a server that also works on events, and may call services on this machine."""
    backend = f"sqlite:///{database}"
    words = ["serve", "--port", "0", "--json", "--services", "--allow-service", "127.0.0.1"]
    command = [sys.executable, "-m", "pyworkflow", "--backend", backend, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main() -> int:
    """Show a workflow of services at work."""
    parser = argparse.ArgumentParser(prog="examples.services", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="serve until interrupted")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(serving(folder / "services.db"))
        stack.callback(server.terminate)
        url = json.loads(next(iter(server.stdout or ())))["address"].rstrip("/")
        for name in WORKS:
            service = stack.enter_context(make_server(name))
            stack.callback(service.shutdown)
            threading.Thread(target=service.serve_forever).start()
            address = f"http://127.0.0.1:{service.server_port}/"
            post(f"{url}/s", read(f"service-{name}") | {"address": address})
        post(f"{url}/w", read("workflow-process-text"))
        event = post(f"{url}/e/process-text?wait=60", read("event-text"))
        print(json.dumps(event["outputs"]))
        if given.stay:
            print(f"See {url}/services/process-text", file=sys.stderr)
            try:
                server.wait()
            except KeyboardInterrupt:
                return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
