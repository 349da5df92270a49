"""The OpenAPI document, and the server against it: whatever is sent, no answer is a server error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.applications import Starlette
from starlette.routing import Mount

from pyworkflow import Manager
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.web.app import MODULES
from pyworkflow.web.openapi import document
from tests.web.conftest import close
from tests.web.world import URL, make_app, make_manager, populate


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    """An application whose clients never wait: a stream would have no end, a wait a long one."""
    path: Path = tmp_path_factory.mktemp("fuzzed") / "x.db"
    with SQLiteBackend(path) as backend:
        manager = make_manager(backend)
        populate(manager)
        app = make_app(manager, wait_seconds=0.0)
        # Within another, because the fuzzer would start and stop the application for each request.
        yield Starlette(routes=[Mount("/", app=app)])
        close(app)


NEGATIVE = GenerationMode.NEGATIVE
ENDPOINTS = [endpoint for module in MODULES for endpoint in module.ENDPOINTS]
TOLD = document(ENDPOINTS)
OPERATIONS = [
    (method, path)
    for path, methods in TOLD["paths"].items()
    for method in methods
    if path != "/api/events"
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_makes_a_server_error(fuzzed: Starlette, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(TOLD)
    schema.app = fuzzed
    operation = schema[path][method.upper()]
    seen: list[int] = []

    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=NEGATIVE))
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case: Any) -> None:
        answer = case.call(base_url=URL)
        seen.append(answer.status_code)
        checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
        case.validate_response(answer, checks=checks)

    fuzz()
    assert len(seen) >= 1
    assert set(seen) - {403}, "the fuzzer got no further than the guard"


def test_the_document_has_every_endpoint_of_the_api(manager: Manager, app: Starlette) -> None:
    told = document(app.state.endpoints)

    paths = {(m.upper(), path) for path, methods in told["paths"].items() for m in methods}
    assert paths == {(e.method, e.path) for e in app.state.endpoints if not e.page}
    ids = [o["operationId"] for methods in told["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))
    for methods in told["paths"].values():
        for operation in methods.values():
            assert operation["summary"].endswith(".")
            assert "422" in operation["responses"]
