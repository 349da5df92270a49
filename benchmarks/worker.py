"""``python -m benchmarks.worker URL``: a worker OS process; it begins at a line on its standard input."""

import sys

from benchmarks.work import BenchWorkflow
from pyworkflow.backend import connect
from pyworkflow.manager import Manager
from pyworkflow.worker import Worker


def main() -> None:
    """Get ready, wait for the word, and work until SIGTERM."""
    with connect(sys.argv[1]) as backend:
        worker = Worker(Manager(backend, [BenchWorkflow]), concurrency=100)
        print("ready", flush=True)
        sys.stdin.readline()
        worker.run()


if __name__ == "__main__":
    main()
