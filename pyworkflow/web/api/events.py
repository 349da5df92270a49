"""Events of services' workflows: send, show, draw; and the callbacks of services that finish later."""

from datetime import datetime as DateTime
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from pyworkflow.codec import Json
from pyworkflow.errors import PayloadError, PyworkflowError
from pyworkflow.process import Status
from pyworkflow.services import Wanted
from pyworkflow.services.view import EventView
from pyworkflow.web.api.definitions import SVG
from pyworkflow.web.api.processes import KEY, id_of_key
from pyworkflow.web.bodies import converted
from pyworkflow.web.endpoint import Call, Endpoint, json_response
from pyworkflow.web.problems import Problem, problem_of
from pyworkflow.web.shapes import Done
from pyworkflow.web.tokens import Scope
from pyworkflow.web.waiting import last_look


class EventBody(Struct, forbid_unknown_fields=True):
    """What an event brings."""

    data: dict[str, Json]


class SendQuery(Struct, forbid_unknown_fields=True):
    """How many seconds to wait for the outputs."""

    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0


class EventAck(Struct, omit_defaults=True):
    """An event that was taken; with outputs or a reason once it has ended."""

    event_id: str
    ack_date: DateTime | None
    status: str
    outputs: Json = None
    reason: str | None = None


class CallbackBody(Struct, forbid_unknown_fields=True):
    """What a service gives that finishes later: data, or why it failed."""

    data: dict[str, Json] | None = None
    error: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None


async def send(call: Call) -> Response:
    """Send an event to a workflow."""
    body: dict[str, Json] = call.body
    query: SendQuery = call.query
    bare = "data" not in body
    data = body if bare else converted(body, EventBody).data
    wanted = Wanted(str(call.request.path_params["id"]), data, id_of_key(call), bare)
    try:
        process = await call.site.sender.send(wanted)
    except PayloadError as error:
        raise problem_of(error, "data") from error
    ack = EventAck(str(process.id), process.started, process.status.value)
    if query.wait <= 0 and process.status is Status.OPEN:
        return json_response(ack, 202)
    try:
        seen = await last_look(
            call,
            ack.event_id,
            query.wait,
            lambda: call.run(call.site.services.view, ack.event_id),
            lambda seen: seen.status != Status.OPEN,
        )
    except (Problem, PyworkflowError):
        # It is recorded, whatever is in the way of waiting for it: a refusal would have it sent again.
        return json_response(ack, 202)
    told = EventAck(seen.event_id, seen.ack_date, seen.status, seen.outputs, seen.reason)
    return json_response(told, 202 if seen.status == Status.OPEN else 200)


async def show(call: Call) -> Response:
    """Show an event."""
    return json_response(await call.run(call.site.services.view, call.process_id))


async def draw(call: Call) -> Response:
    """Draw an event."""

    def drawn() -> str:
        process, flow = call.site.services.event(call.process_id)
        return flow.picture.to_svg(process)

    return Response(await call.run(drawn), 200, media_type=SVG)


def _token(call: Call) -> str:
    return str(call.request.path_params["token"])


async def check_callback(call: Call) -> None:
    """Refuse a callback that is none of ours before anything of it is read."""
    services = call.site.services
    await call.run(lambda: services.callbacks.task(_token(call)))


async def call_back(call: Call) -> Response:
    """Finish a call that its service had answered with 202."""
    body: CallbackBody = call.body
    service = await call.run(call.site.services.finish, _token(call), body.data, body.error)
    return json_response(Done("callback", service))


ENDPOINTS = [
    Endpoint(
        method="POST",
        path="/e/{id}",
        scope=Scope.START,
        handler=send,
        summary="Send an event to a workflow of services, and wait for what comes out if asked to.",
        query=SendQuery,
        body=EventBody,
        taken=dict[str, Json],
        returns=EventAck,
        status=202,
        also=200,
        headers={KEY: "The same event under the same key is one event."},
    ),
    Endpoint(
        method="GET",
        path="/e/{id}.svg",
        scope=Scope.READ,
        handler=draw,
        summary="Draw an event: its workflow with the state of each call.",
        media_type=SVG,
    ),
    Endpoint(
        method="GET",
        path="/e/{id}",
        scope=Scope.READ,
        handler=show,
        summary="Show an event: the state of each call, and what came out.",
        returns=EventView,
    ),
    Endpoint(
        method="POST",
        path="/callbacks/{token}",
        scope=None,
        check=check_callback,
        handler=call_back,
        summary="Finish a call that its service had answered with 202, once.",
        body=CallbackBody,
        returns=Done,
    ),
]
