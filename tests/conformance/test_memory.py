"""The contract on the memory backend, bare and wrapped in blinker."""

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.testing import conformance
from pyworkflow.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["bare", "blinker"])
def backend(request: pytest.FixtureRequest, clock: FakeClock) -> Backend:
    memory = MemoryBackend(clock)
    return BlinkerBackend(memory) if request.param == "blinker" else memory


class TestActivities(conformance.Activities): ...


class TestChildren(conformance.Children): ...


class TestClaims(conformance.Claims): ...


class TestDecisions(conformance.Decisions): ...


class TestDefinitions(conformance.Definitions): ...


class TestLeases(conformance.Leases): ...


class TestLimits(conformance.Limits): ...


class TestProcesses(conformance.Processes): ...


class TestQueries(conformance.Queries): ...


class TestSignals(conformance.Signals): ...


class TestSuspects(conformance.Suspects): ...


class TestThreads(conformance.Threads): ...


class TestTimeouts(conformance.Timeouts): ...
