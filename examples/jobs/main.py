"""Count words, and report: ``python examples/jobs/main.py``, then with ``-r``."""

import sys

from pyworkflow.jobs import Flowmancer

if __name__ == "__main__":
    sys.exit(Flowmancer().start("job.yaml"))
