"""``python -m benchmarks.events``: how many ``POST /e`` a second the server takes on SQLite, beside the framework's own ceiling.

The ceiling is an endpoint of the same framework, on the same server, that parses the same JSON and answers 202 with a small object. The
load generator is a process beside the server on the same machine. What is measured is the acknowledgement: the event is on the disk. The
server's own time of the processor says what it would bear if nothing else were in the way.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil

from benchmarks.load import Load, load, request

BODY = json.dumps({"data": {"message": "The Sun will rise in the morning !"}}).encode()
TEXT = {"message": {"type": "string", "description": "The text"}}
COUNT = {"space_count": {"type": "integer", "description": "How many spaces it has"}}

RAW = """
import socket, sys, uvicorn, json
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def event(request):
    data = json.loads(await request.body())["data"]
    return JSONResponse({"event_id": "0" * 32, "ack_date": "", "status": "open"}, 202)

bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
bound.bind(("127.0.0.1", 0))
bound.listen(128)
print(json.dumps({"address": f"http://127.0.0.1:{bound.getsockname()[1]}/"}), flush=True)
app = Starlette(routes=[Route("/e/{id}", event, methods=["POST"])])
config = uvicorn.Config(app, http="h11", loop="asyncio", access_log=False, log_level="warning")
uvicorn.Server(config).run(sockets=[bound])
"""


@contextmanager
def running(command: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """Run a server that tells its address in its first line; yield the address and its process."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = json.loads(next(iter(server.stdout or ())))["address"].rstrip("/")
        yield address, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def post(url: str, body: object) -> None:
    """Post JSON."""
    headers = {"Content-Type": "application/json"}
    sent = Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - the server's own address
    with urlopen(sent, timeout=60):  # noqa: S310
        return


def register(url: str) -> None:
    """Register the services of the guide, which nobody calls here, and their workflow."""
    for name in ("upper", "reverse", "space-counter"):
        outputs = COUNT if name == "space-counter" else TEXT
        spec = {"inputs": TEXT, "outputs": outputs}
        post(f"{url}/s", {"name": name, "address": "http://example.org/", "spec": spec})
    services = ["upper", "reverse", "space-counter"]
    flow = {"services": services, "inputs": TEXT, "outputs": TEXT | COUNT}
    post(f"{url}/w", {"name": "process-text", "spec": flow})


def measured(url: str, connections: int, seconds: float) -> Load:
    """Return what a server bears."""
    place = urlsplit(url)
    sent = request(place.netloc, "/e/process-text", BODY)
    done = load(str(place.hostname), place.port or 80, sent, connections, seconds)
    if set(done.statuses) != {"202"}:
        sys.exit(f"not all were acknowledged: {done.statuses}")
    return done


def busy(server: psutil.Process) -> float:
    """Return the seconds for which a server has had a processor."""
    times = server.cpu_times()
    return float(times.user + times.system)


def middle(url: str, connections: int, seconds: float, rounds: int) -> Load:
    """Return the round in the middle, after one to get warm."""
    measured(url, connections, seconds / 4)
    loads = [measured(url, connections, seconds) for _ in range(rounds)]
    found = statistics.median_low(each.per_second for each in loads)
    return next(each for each in loads if each.per_second == found)


def main() -> int:
    """Measure, print a table, and return 1 if the goal is not reached."""
    parser = argparse.ArgumentParser(prog="benchmarks.events", description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--goal", type=float, default=1000.0, help="POST /e a second, at the best")
    parser.add_argument("--folder", help="where the database is; the system's temporary folder")
    given = parser.parse_args()
    reached = 0.0
    print("| server | connections | per second | p50 ms | p99 ms | processor µs each |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        url = f"sqlite:///{Path(folder) / 'events.db'}"
        ours = [sys.executable, "-m", "pyworkflow", "--backend", url]
        ours += ["serve", "--port", "0", "--json"]
        for name, command in (("ceiling", [sys.executable, "-c", RAW]), ("pyworkflow", ours)):
            with running(command) as (address, server):
                if name == "pyworkflow":
                    register(address)
                for connections in given.connections:
                    done = middle(address, connections, given.seconds, given.rounds)
                    before = busy(server)
                    last = measured(address, connections, given.seconds)
                    each = (busy(server) - before) / sum(last.statuses.values()) * 1e6
                    row = f"{done.per_second:,.0f} | {done.p50:.1f} | {done.p99:.1f} | {each:.0f}"
                    print(f"| {name} | {connections} | {row} |", flush=True)
                    if name == "pyworkflow":
                        reached = max(reached, done.per_second)
    return 0 if reached >= given.goal else 1


if __name__ == "__main__":
    sys.exit(main())
