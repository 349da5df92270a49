"""What moves a process on from outside: signal, cancel, terminate, retry."""

from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from pyworkflow.codec import Json
from pyworkflow.values import check_name
from pyworkflow.web.api.processes import KEY, Name, check_field
from pyworkflow.web.bodies import check_json
from pyworkflow.web.endpoint import Call, Endpoint, json_response
from pyworkflow.web.problems import Problem
from pyworkflow.web.shapes import Done
from pyworkflow.web.tokens import Scope


class SignalBody(Struct, forbid_unknown_fields=True):
    """What to tell."""

    name: Name
    data: Json = None
    id: Name | None = None


class CancelBody(Struct, forbid_unknown_fields=True):
    """Why, any JSON."""

    details: Json = None


class TerminateBody(Struct, forbid_unknown_fields=True):
    """Why, in a line and in any JSON."""

    reason: Annotated[str, Meta(max_length=32_768)] | None = None
    details: Json = None


class RetryBody(Struct, forbid_unknown_fields=True):
    """Nothing more to say."""


async def signal(call: Call) -> Response:
    """Signal a process."""
    body: SignalBody = call.body
    check_field("name", check_name, body.name, "name")
    check_json(body.data, "data")
    signal_id = body.id
    if (key := call.request.headers.get(KEY)) is not None:
        if signal_id is not None:
            raise Problem(422, "an id is its own idempotency key: give one of both", KEY)
        check_field(KEY, check_name, key, KEY)
        signal_id = key
    elif signal_id is not None:
        check_field("id", check_name, signal_id, "id")
    data = {} if body.data is None else body.data
    await call.run(
        call.site.manager.signal_process, call.process_id, body.name, data, signal_id=signal_id
    )
    return json_response(Done("signal", call.process_id))


async def cancel(call: Call) -> Response:
    """Cancel a process."""
    body: CancelBody = call.body
    check_json(body.details, "details")
    await call.run(call.site.manager.cancel_process, call.process_id, body.details)
    return json_response(Done("cancel", call.process_id))


async def terminate(call: Call) -> Response:
    """Close a process by force."""
    body: TerminateBody = call.body
    check_json(body.reason, "reason")
    check_json(body.details, "details")
    await call.run(call.site.manager.terminate_process, call.process_id, body.reason, body.details)
    return json_response(Done("terminate", call.process_id))


async def retry(call: Call) -> Response:
    """Resume a parked process."""
    await call.run(call.site.manager.retry_process, call.process_id)
    return json_response(Done("retry", call.process_id))


ENDPOINTS = [
    Endpoint(
        method="POST",
        path="/api/processes/{id}/signal",
        scope=Scope.WORK,
        handler=signal,
        summary="Tell a process something; a repeat under the same id changes nothing.",
        body=SignalBody,
        returns=Done,
        headers={KEY: "Stands for the signal's id."},
    ),
    Endpoint(
        method="POST",
        path="/api/processes/{id}/cancel",
        scope=Scope.WORK,
        handler=cancel,
        summary="Cancel a process: ask it to, if its workflow handles that; else close it.",
        body=CancelBody,
        returns=Done,
    ),
    Endpoint(
        method="POST",
        path="/api/processes/{id}/terminate",
        scope=Scope.ADMIN,
        handler=terminate,
        summary="Close a process by force.",
        body=TerminateBody,
        returns=Done,
    ),
    Endpoint(
        method="POST",
        path="/api/processes/{id}/retry",
        scope=Scope.WORK,
        handler=retry,
        summary="Resume a parked process; nothing happens if it is not parked.",
        body=RetryBody,
        returns=Done,
    ),
]
