"""The API about itself."""

from typing import Any

from starlette.responses import Response

from pyworkflow.web.endpoint import Call, Endpoint, json_response
from pyworkflow.web.openapi import document
from pyworkflow.web.tokens import Scope


async def openapi(call: Call) -> Response:
    """Describe the API."""
    return json_response(document(call.request.app.state.endpoints))


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/api/openapi.json",
        scope=Scope.READ,
        handler=openapi,
        summary="Describe this API, as OpenAPI 3.1.",
        returns=dict[str, Any],
    ),
]
