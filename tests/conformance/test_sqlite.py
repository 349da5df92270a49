"""The contract on the SQLite backend: in memory, in a file, and each wrapped in blinker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.testing import conformance
from pyworkflow.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "file", "blinker+memory", "blinker+file"])
def backend(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Backend]:
    path = tmp_path / "test.db" if request.param.endswith("file") else ":memory:"
    with SQLiteBackend(path, clock=clock) as sqlite:
        yield BlinkerBackend(sqlite) if request.param.startswith("blinker") else sqlite


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


class TestThreads(conformance.Threads):
    @pytest.fixture
    def other(self, backend: Backend, clock: FakeClock, tmp_path: Path) -> Iterator[Backend]:
        if Capability.SHARED in backend.capabilities:
            with SQLiteBackend(tmp_path / "test.db", clock=clock) as other:
                yield other
        else:
            yield backend


class TestTimeouts(conformance.Timeouts): ...
