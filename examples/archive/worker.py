"""One worker OS process of the demo: ``python -m examples.archive.worker URL NAME``."""

import sys

from examples.archive.workflow import ArchiveWorkflow
from pyworkflow.manager import Manager
from pyworkflow.worker import Worker

LEASE = 2.0
"""Seconds until another worker takes over from one that was killed."""


def main() -> None:
    """Work until stopped."""
    url, name = sys.argv[1:3]
    Worker(
        Manager.connect(url, [ArchiveWorkflow]), concurrency=4, lease=LEASE, grace=5, identity=name
    ).run()


if __name__ == "__main__":
    main()
