"""Archive a folder with worker OS processes, and kill one: ``python -m examples.archive``.

``FOLDER=path`` names the folder, this repository otherwise. Interrupt it and run it again: it goes on where it was.
"""

import argparse
import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

from examples.archive.timeline import timeline
from examples.archive.verify import damaged, forgotten
from examples.archive.workflow import CONFIRMED, ArchiveWorkflow
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ProcessCompleted

ROOT = Path(__file__).parents[2]


def arguments() -> argparse.Namespace:
    """Return what the command line and the environment say."""
    parser = argparse.ArgumentParser(prog="examples.archive", description=__doc__)
    parser.add_argument("--folder", default=os.environ.get("FOLDER", str(ROOT)))
    parser.add_argument("--output", default=str(ROOT / ".pyworkflow" / "demo"))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--no-kill", action="store_true", help="kill no worker")
    return parser.parse_args()


def spawn(url: str, name: str) -> "subprocess.Popen[bytes]":
    """Start a worker OS process."""
    command = [sys.executable, "-m", "examples.archive.worker", url, name]
    return subprocess.Popen(command, cwd=ROOT)


def finished(manager: Manager) -> int:
    """Return how many activities have ended."""
    return sum(isinstance(e.event, ActivityEvent) for e in manager.backend.feed(limit=10**9))


def work(manager: Manager, url: str, process_id: str, workers: int, kill: bool) -> Process:
    """Run workers until the process has ended; kill one of them on the way."""
    running = [spawn(url, f"worker-{n}") for n in range(1, workers + 1)]
    cursor, done, told = manager.backend.feed_end(), 0, False
    try:
        while manager.process_by_id(process_id).is_open:
            # Sleeps until something happens, in whichever OS process.
            for entry in manager.backend.feed(cursor, wait=1):
                cursor = entry.cursor
                done += isinstance(entry.event, ActivityEvent)
            if kill and done > 20:
                kill = False
                print(f"kill -9 {running[0].pid}: worker-1 is gone in the middle of its work")
                running[0].kill()
                running[0].wait()
                running[0] = spawn(url, "worker-1-again")
            if not told and any(wait.id == "ask" for wait in manager.pending(process_id)):
                told = True
                print("everything is archived; confirming, by a signal")
                manager.signal_process(process_id, CONFIRMED, signal_id=CONFIRMED)
        return manager.process_by_id(process_id)
    finally:
        for child in running:
            child.terminate()
        for child in running:
            child.wait()


def main() -> int:
    """Archive, verify, and print what happened; return the exit code."""
    given = arguments()
    source, output = Path(given.folder).resolve(), Path(given.output).resolve()
    if not source.is_dir():
        print(f"error: {source} is no folder", file=sys.stderr)
        return 2
    output.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{output / 'archive.db'}"
    manager = Manager.connect(url, [ArchiveWorkflow])

    name = hashlib.sha256(str(source).encode()).hexdigest()[:8]
    open_ones = [p for p in manager.processes(ArchiveWorkflow, tag=name) if p.parent is None]
    if open_ones:
        process_id = str(open_ones[0].id)
        print(f"going on with {process_id}, {finished(manager)} activities are done")
    else:
        run = len(manager.processes(ArchiveWorkflow, tag=name, status=None)) + 1
        process_id = f"archive-{name}-{run}"
        target = output / process_id
        task = {"source": str(source), "target": str(target), "confirm": True}
        manager.start_process(Process(ArchiveWorkflow, process_id, task, [name]))
        print(f"archiving {source} to {target}")

    process = work(manager, url, process_id, given.workers, not given.no_kill)
    if not isinstance(process.result, ProcessCompleted):
        print(f"error: {process.result}", file=sys.stderr)
        return 1
    files = process.result.result
    own = [e for e in manager.backend.feed(limit=10**9) if e.process_id.startswith(process_id)]
    print(*timeline(own), sep="\n")
    wrong = damaged(files) + forgotten(source, files) + [str(v) for v in manager.backend.check()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    size = sum(file["size"] for file in files)
    print(f"{len(files)} files, {size:,} bytes: {len(wrong)} problems")
    serve = shlex.join([sys.executable, "-m", "pyworkflow", "--backend", url, "serve"])
    print(f"look at what happened: {serve}")
    print(f"and open http://127.0.0.1:8765/processes/{process_id}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
