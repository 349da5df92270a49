"""What all tests share."""

import signal
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.postgresql import Server, new_server

# The contract is shipped, so pytest does not take its modules for tests by itself.
pytest.register_assert_rewrite("pyworkflow.testing.conformance")

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
_numbers = count(1)

# Whoever is started in the background of a shell ignores Ctrl-C, and so does what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this session that do nothing to it."""
    server = new_server()
    yield server
    server.remove()


@pytest.fixture
def schema() -> str:
    """The name of a schema that no other test uses."""
    return f"test_{next(_numbers)}"
