"""Whether a store and the machine of a worker agree about the time."""

import logging

from pyworkflow.backend.base import Backend
from pyworkflow.clock import FAR_SECONDS
from pyworkflow.errors import PyworkflowError

log = logging.getLogger("pyworkflow.worker")


def report_clocks(backend: Backend) -> None:
    """Log a line if the store's clock is far from this machine's: one of them is wrong."""
    try:
        diagnosis = backend.diagnose()
    except PyworkflowError:
        # A service that has the clock tells nobody; an outage, or a row that cannot be read, the worker meets and reports by itself.
        return
    if abs(diagnosis.ahead) > FAR_SECONDS:
        log.warning(
            "the clock of the store is %.0f s %s this machine's: one of them is wrong; see 'pyworkflow doctor'",
            abs(diagnosis.ahead),
            "ahead of" if diagnosis.ahead > 0 else "behind",
        )
