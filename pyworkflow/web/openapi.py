"""The OpenAPI 3.1 document, made from the endpoints."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pyworkflow import __version__
from pyworkflow.web.endpoint import Endpoint
from pyworkflow.web.problems import ProblemBody

REF = "#/components/schemas/{name}"
REFUSALS = {
    "400": "The request cannot be read.",
    "401": "A token is needed.",
    "403": "The token, the host or the origin is not allowed to do this.",
    "404": "There is no such thing.",
    "408": "The body did not arrive in time.",
    "409": "It exists, is closed, or was done before.",
    "413": "The body is too large.",
    "415": "The body is of another type.",
    "422": "A field, parameter or header is not acceptable; `field` names it.",
    "431": "Address and headers are too large.",
    "501": "The backend cannot do this.",
    "503": "The server or its backend cannot do this now; try again.",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document."""
    told = [endpoint for endpoint in endpoints if not endpoint.page]
    types = [kind for e in told for kind in (e.body, e.query, e.returns) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, ProblemBody], ref_template=REF)
    found = dict(zip(map(str, [*types, ProblemBody]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in told:
        operation = _operation(endpoint, found, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pyworkflow",
            "version": __version__,
            "description": "Start, look at and move processes.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    endpoint: Endpoint, schemas: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"schema": {"type": "string"}}
    if endpoint.returns is not None:
        answer = {"schema": schemas[str(endpoint.returns)]}
    problem = {"application/problem+json": {"schema": schemas[str(ProblemBody)]}}
    done = {"description": "Done.", "content": {endpoint.media_type: answer}}
    responses: dict[str, Any] = {
        str(status): done for status in (endpoint.status, endpoint.also) if status is not None
    }
    for status, description in REFUSALS.items():
        responses[status] = {"description": description, "content": problem}
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": [*_path(endpoint), *_query(endpoint, components), *_headers(endpoint)],
        "responses": responses,
        "security": [] if endpoint.scope is None else [{"token": []}],
    }
    if endpoint.scope is not None:
        operation["description"] = f"Needs a token with the scope `{endpoint.scope.value}`."
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[str(endpoint.body)]}},
        }
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = [word for word in re.split(r"\W+", endpoint.path) if word not in ("", "api")]
    return "_".join([endpoint.method.lower(), *words])


def _path(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]


def _query(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[endpoint.query.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": told}
        for name, told in schema["properties"].items()
    ]


def _headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": told, "schema": {"type": "string"}}
        for name, told in endpoint.headers.items()
    ]
