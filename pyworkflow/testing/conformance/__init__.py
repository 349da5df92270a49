"""The backend contract, as tests: a class for each topic.

Whoever writes a backend subclasses every class of `ALL` in a test module and gives a fixture ``backend`` (and, if it has
`Capability.CLOCK`, a fixture ``clock`` with the `FakeClock` it was made with)::

    class TestSignals(conformance.Signals): ...

What the backend does not declare is skipped.
"""

from pyworkflow.testing.conformance.activities import Activities
from pyworkflow.testing.conformance.children import Children
from pyworkflow.testing.conformance.claims import Claims
from pyworkflow.testing.conformance.decisions import Decisions
from pyworkflow.testing.conformance.definitions import Definitions
from pyworkflow.testing.conformance.leases import Leases
from pyworkflow.testing.conformance.limits import Limits
from pyworkflow.testing.conformance.processes import Processes
from pyworkflow.testing.conformance.queries import Queries
from pyworkflow.testing.conformance.signals import Signals
from pyworkflow.testing.conformance.suspects import Suspects
from pyworkflow.testing.conformance.threads import Threads
from pyworkflow.testing.conformance.timeouts import Timeouts

ALL = (
    Activities,
    Children,
    Claims,
    Decisions,
    Definitions,
    Leases,
    Limits,
    Processes,
    Queries,
    Signals,
    Suspects,
    Threads,
    Timeouts,
)

__all__ = [
    "ALL",
    "Activities",
    "Children",
    "Claims",
    "Decisions",
    "Definitions",
    "Leases",
    "Limits",
    "Processes",
    "Queries",
    "Signals",
    "Suspects",
    "Threads",
    "Timeouts",
]
