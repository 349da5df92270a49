"""The activity that calls a service."""

from hashlib import sha256
from typing import ClassVar
from urllib.parse import quote

from pyworkflow.activity import Activity, ActivityCompleted, ActivityFailed
from pyworkflow.graph.keys import read_key
from pyworkflow.services.callback import Callbacks
from pyworkflow.services.calling import REFUSED, WRONG_INPUT, WRONG_OUTPUT, Client
from pyworkflow.services.definition import SERVICE, ServiceDefinition
from pyworkflow.services.errors import MismatchError, UnknownDefinitionError
from pyworkflow.services.flow import CALL, Call
from pyworkflow.services.registry import Registry
from pyworkflow.services.spec import picked

CATEGORY = "services"
"""The queue of events and calls."""
CALLBACK = "Callback-URL"


class CallService(Activity):
    """Calls a service once. `Services` makes a subclass that knows how.

    Whatever is tried again, by a worker that takes over or as a further attempt, is sent with the same ``Idempotency-Key``.
    """

    name = CALL
    category = CATEGORY
    # For as long as it takes: whoever sent the event was told that it will be done.
    auto_complete = False

    registry: ClassVar[Registry]
    client: ClassVar[Client]
    callbacks: ClassVar[Callbacks]
    input: Call

    async def execute(self) -> ActivityCompleted | None:
        """Call it; None if it will call back."""
        call = self.input
        try:
            service: ServiceDefinition = self.registry.get(
                SERVICE, call.service, call.revision
            ).definition
            data = picked(call.data, service.spec.inputs, "data")
        except (UnknownDefinitionError, MismatchError) as error:
            told = f"service {call.service!r} is not called: {error}"
            raise ActivityFailed(told, None, WRONG_INPUT) from None
        headers = self._headers(service)
        answer = await self.client.call(service, data, headers)
        if not answer.later:
            try:
                return ActivityCompleted(picked(answer.outputs, service.spec.outputs, "outputs"))
            except MismatchError as error:
                told = f"service {service.name!r} answered wrongly: {error}"
                raise ActivityFailed(told, None, WRONG_OUTPUT) from None
        if CALLBACK not in headers:
            told = f"service {service.name!r} answered 202, and is told no address to call back"
            raise ActivityFailed(told, None, REFUSED)
        return None

    def _headers(self, service: ServiceDefinition) -> dict[str, str]:
        process_id = self.task.process_id or ""
        execution = self.task.activity_execution.id
        key = read_key(execution)
        # Neither an id nor the name of a step has a slash; an id may have what no header may.
        once = f"{quote(process_id)}/{execution if key is None else key.step}"
        span = f"{process_id}.{execution}.{self.task.attempt}"
        told = {
            "Idempotency-Key": once,
            "traceparent": _trace(process_id, span),
        }
        seconds = service.timeout + service.callback_timeout
        if (address := self.callbacks.address(self.task, seconds)) is not None:
            told[CALLBACK] = address
        return told


def _trace(trace: str, span: str) -> str:
    """Return a W3C trace context: an event is a trace, and each attempt of a call a span of it."""
    names = [sha256(text.encode()).hexdigest() for text in (trace, span)]
    return f"00-{names[0][:32]}-{names[1][:16]}-01"
