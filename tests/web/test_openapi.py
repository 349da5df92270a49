"""The OpenAPI document, and the server against it: whatever is sent, no answer is a server error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.applications import Starlette
from starlette.routing import Mount

from pyworkflow import Manager, Process
from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.services import Services, Wanted
from pyworkflow.services.flow import CALL
from pyworkflow.services.given import GivenService, GivenWorkflow
from pyworkflow.task import ActivityTask
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
        app.state.known = with_services(app.state.site.services)
        # Within another, because the fuzzer would start and stop the application for each request.
        outer = Starlette(routes=[Mount("/", app=app)])
        outer.state.known = app.state.known
        yield outer
        close(app)


def with_services(services: Services) -> dict[str, str]:
    """Register a service and a workflow, begin a call of it; return parameters of paths that are there."""
    services.put_service(GivenService("one", "http://example.org/"))
    services.put_workflow(GivenWorkflow("flow", services=["one"]))
    [event] = services.send([Wanted("flow", {})])
    assert isinstance(event, Process)
    task = ActivityTask(ActivityExecution(CALL, "one#1.1"), event.id, {"number": 1, "token": "x"})
    return {
        "/s/{name}": "one",
        "/w/{name}": "flow",
        "/w/{name}.svg": "flow",
        "/e/{id}": str(event.id),
        "POST /e/{id}": "flow",
        "/e/{id}.svg": str(event.id),
        "/callbacks/{token}": services.callbacks.token(task, 3600),
    }


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

    known: str | None = fuzzed.state.known.get(
        f"{method.upper()} {path}", fuzzed.state.known.get(path)
    )

    @given(
        case=operation.as_strategy() | operation.as_strategy(generation_mode=NEGATIVE),
        there=strategies.booleans(),
    )
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case: Any, there: bool) -> None:
        if known is not None and there:
            case.path_parameters = dict.fromkeys(case.path_parameters, known)
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
