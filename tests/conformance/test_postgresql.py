"""The contract on the PostgreSQL backend, bare and wrapped in blinker."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.testing import conformance
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.conformance.threads import Hold
from tests.postgresql import Server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["bare", "blinker"])
def backend(
    request: pytest.FixtureRequest, clock: FakeClock, postgresql_server: Server, schema: str
) -> Iterator[Backend]:
    with PostgreSQLBackend(postgresql_server.url(), schema=schema, clock=clock) as postgresql:
        yield BlinkerBackend(postgresql) if request.param == "blinker" else postgresql


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
    def other(self, clock: FakeClock, postgresql_server: Server, schema: str) -> Iterator[Backend]:
        with PostgreSQLBackend(postgresql_server.url(), schema=schema, clock=clock) as other:
            yield other

    @pytest.fixture
    def hold(self, postgresql_server: Server, schema: str) -> Hold:
        @contextmanager
        def hold(process_id: str) -> Generator[None]:
            with psycopg.connect(postgresql_server.url()) as session:
                session.execute(
                    f"select from {schema}.process where id = %s for update", [process_id]
                )
                yield
                session.rollback()

        return hold


class TestTimeouts(conformance.Timeouts): ...
