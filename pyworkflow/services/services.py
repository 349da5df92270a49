"""`Services`: registering services and workflows, sending events, looking at them, and what workers need to run them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock

from msgspec import Struct

from pyworkflow.clock import Clock, SystemClock
from pyworkflow.codec import Json
from pyworkflow.errors import (
    InvalidRequestError,
    PayloadError,
    ProcessAlreadyExistsError,
    PyworkflowError,
    UnknownProcessError,
)
from pyworkflow.graph.keys import read_key
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.services.activity import CATEGORY, CallService
from pyworkflow.services.callback import Callbacks, key_of, new_key
from pyworkflow.services.calling import REFUSED
from pyworkflow.services.definition import SERVICE, WORKFLOW
from pyworkflow.services.errors import (
    CallbackError,
    DefinitionConflictError,
    MismatchError,
    UnknownDefinitionError,
)
from pyworkflow.services.flow import Flow
from pyworkflow.services.given import GivenService, GivenWorkflow, service_of, workflow_of
from pyworkflow.services.policy import AddressPolicy
from pyworkflow.services.registry import Registered, Registry
from pyworkflow.services.spec import picked
from pyworkflow.services.view import EventView, view
from pyworkflow.services.workflow import EVENT, EventWorkflow, event_input, flow_of

__all__ = ["CATEGORY", "Services", "Wanted"]

KEY = ("key", "callbacks")


class Wanted(Struct, frozen=True):
    """An event to be sent.

    Attributes:
        workflow: The workflow's name.
        data: What the event brings.
        id: The event's id, which makes a repeat known; a new one if left out.
        bare: Whether the data came without its envelope, as an earlier version had it. It is taken only if it is all that the workflow
            says it takes: else nothing tells it from a mistake.
    """

    workflow: str
    data: Mapping[str, Json]
    id: str | None = None
    bare: bool = False


class Services:
    """The services and workflows of a manager's backend, and their events. Safe to use from any thread.

    Args:
        manager: Starts and shows the events.
        policy: Where services may be; by default at public addresses only.
        callback_url: What the addresses begin with at which services that answer 202 call back: this server's, as they reach it. Without
            it they cannot.
        clock: Tells when a callback is too late.
    """

    def __init__(
        self,
        manager: Manager,
        policy: AddressPolicy | None = None,
        *,
        callback_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.manager = manager
        self.policy = policy or AddressPolicy()
        self._callback_url = callback_url
        self.registry = Registry(manager.backend)
        self._clock = clock or SystemClock()
        self._known = False
        self._knowing = Lock()

    # -- for workers ---------------------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Make the workflow of events and the calls of services known to the manager, for workers of the category ``services``.

        Raises:
            ImportError: The extra ``services`` is missing.
        """
        from pyworkflow.services.client import ServiceClient

        self.manager.register_activity(
            type(
                "CallService",
                (CallService,),
                {
                    "name": CallService.name,
                    "registry": self.registry,
                    "client": ServiceClient(self.policy),
                    "callbacks": self.callbacks,
                },
            )
        )
        event = {"name": EventWorkflow.name, "registry": self.registry}
        self.manager.register_workflow(type("EventWorkflow", (EventWorkflow,), event))

    @cached_property
    def callbacks(self) -> Callbacks:
        """Makes the tokens of callbacks, with a key that all have who work on one backend."""
        key = self.registry.first(*KEY, new_key())
        return Callbacks(key_of(key), self._clock, self._callback_url)

    # -- definitions ---------------------------------------------------------------------------------------------------------------

    def put_service(self, given: GivenService) -> Registered:
        """Register a service, in place of an earlier one of its name.

        Raises:
            DefinitionError: It is not as it must be; the field is named.
            ForbiddenAddressError: It is where no service may be.
        """
        definition = service_of(given)
        self.policy.check(definition.address)
        return self.registry.put(SERVICE, definition)

    def put_workflow(self, given: GivenWorkflow) -> Registered:
        """Register a workflow, in place of an earlier one of its name.

        Raises:
            DefinitionError: It is not as it must be; the field is named.
            DefinitionConflictError: It names a service that is not registered, or a call would lack an input.
        """
        definition = workflow_of(given)
        self.registry.refresh()
        self.registry.fitted(definition)
        return self.registry.put(WORKFLOW, definition)

    # -- events --------------------------------------------------------------------------------------------------------------------

    def send(self, wanted: Sequence[Wanted]) -> list[Process | PyworkflowError]:
        """Send events, together; return the process of each, or why it was refused.

        An event of an id that was sent before is the same event if workflow and data are the same.
        """
        self._register()
        self.registry.refresh()
        sent: list[Process | PyworkflowError] = []
        for each in wanted:
            try:
                sent.append(self._process(each))
            except PyworkflowError as error:
                sent.append(error)
        processes = [each for each in sent if isinstance(each, Process)]
        started = iter(self.manager.backend.start_processes(processes) if processes else [])
        return [
            self._known_before(each, next(started)) if isinstance(each, Process) else each
            for each in sent
        ]

    def _register(self) -> None:
        """Have the backend know the workflow of events, though no worker may have begun."""
        with self._knowing:
            if not self._known:
                Manager(self.manager.backend, [EventWorkflow], [CallService])
                self._known = True

    def _process(self, wanted: Wanted) -> Process:
        flow = self.registry.flow(wanted.workflow)
        given = {"workflow": wanted.workflow, "revision": flow.revision}
        data = {"data": _checked(flow, wanted)}
        return Process(EVENT, wanted.id, given | data, [wanted.workflow])

    def _known_before(
        self, wanted: Process, started: Process | PyworkflowError
    ) -> Process | PyworkflowError:
        if not isinstance(started, ProcessAlreadyExistsError):
            return started
        # The definitions may have changed since: the event is still the same.
        try:
            before = self.manager.process_by_id(str(wanted.id))
        except PyworkflowError as error:
            # The others are recorded, and are to be told so.
            return error
        same = before.workflow == EVENT and _told(before) == _told(wanted)
        return before if same else started

    def event(self, event_id: str) -> tuple[Process, Flow]:
        """Return the process of an event, and its workflow.

        Raises:
            UnknownProcessError: There is no such event.
        """
        process = self.manager.process_by_id(event_id)
        if process.workflow != EVENT:
            raise UnknownProcessError(event_id, "it is no event")
        try:
            return process, flow_of(self.registry, process)[1]
        except (PayloadError, UnknownDefinitionError, DefinitionConflictError) as error:
            # Not sent as one: its process has failed.
            raise UnknownProcessError(event_id, f"it is no event: {error}") from error

    def view(self, event_id: str) -> EventView:
        """Return an event as people see it.

        Raises:
            UnknownProcessError: There is no such event.
        """
        return view(*self.event(event_id))

    # -- callbacks -----------------------------------------------------------------------------------------------------------------

    def finish(self, token: str, data: Mapping[str, Json] | None, error: str | None) -> str:
        """End a call whose service had answered 202, and return the name of the service.

        Args:
            token: The end of the address that the service was told.
            data: What it gives; or
            error: Why it failed.

        Raises:
            CallbackError: The token is none of ours, or has ended.
            MismatchError: The data is not what the service's spec says; it may still be sent.
            StaleTaskError: The call has ended, or somebody else has taken it over.
        """
        self.registry.refresh()
        task = self.callbacks.task(token)
        key = read_key(task.activity_execution.id)
        try:
            _, flow = self.event(str(task.process_id))
            service = flow.service("" if key is None else key.step)
        except (UnknownProcessError, KeyError) as wrong:
            raise CallbackError("callback", "is of no event that is there") from wrong
        if (data is None) == (error is None):
            raise MismatchError("data", "is missing, or an error in its place")
        if data is not None:
            outputs = picked(data, service.spec.outputs, "data")
            self.manager.complete_task(task, ActivityCompleted(outputs))
        else:
            told = f"service {service.name!r} called back: {error}"
            self.manager.complete_task(task, ActivityFailed(told, None, REFUSED))
        return service.name


def _checked(flow: Flow, wanted: Wanted) -> dict[str, Json]:
    if not wanted.bare:
        return flow.checked(wanted.data)
    try:
        if flow.definition.spec.inputs:
            return flow.checked(wanted.data)
    except MismatchError:
        pass
    raise MismatchError("data", "is missing")


def _told(process: Process) -> tuple[str, Mapping[str, Json]] | None:
    try:
        event = event_input(process)
    except InvalidRequestError:
        return None
    return event.workflow, event.data
