"""Services and workflows as they are kept."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from pyworkflow.codec import Json
from pyworkflow.retry import Retry
from pyworkflow.services.spec import Parameter

SERVICE = "service"
WORKFLOW = "workflow"

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
"""It stands in paths, in ids of what a process opens, and is the id of a definition."""

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ParameterName = Annotated[str, Meta(min_length=1, max_length=100)]
Fields = Annotated[dict[ParameterName, Parameter], Meta(max_length=100)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]

MOST_SERVICES = 100
"""Calls of one workflow."""

DEFAULT_TIMEOUT = 30.0
DEFAULT_CONNECT_TIMEOUT = 10.0
DAY = 86_400.0


class Spec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes into a service and what comes out, by name; null for what is not said, which is anything.

    Attributes:
        inputs: What it is sent.
        outputs: What it answers.
    """

    inputs: Fields | None = None
    outputs: Fields | None = None


class ServiceDefinition(Struct, frozen=True, omit_defaults=True):
    """A service.

    Attributes:
        name: What workflows call it.
        address: The URL that is called, exactly as it is given.
        spec: What goes in and out.
        timeout: Seconds from the call to the end of the answer.
        connect_timeout: Seconds in which it must take the connection.
        read_timeout: Seconds in which the next part of the answer must come.
        callback_timeout: Seconds in which one that answers 202 must call back.
        retry: When a call is tried again that failed or found nobody; never, if left out.
    """

    name: str
    address: str
    spec: Spec = Spec()
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    read_timeout: float = DEFAULT_TIMEOUT
    callback_timeout: float = DAY
    retry: Retry | None = None


class Entry(Struct, frozen=True):
    """One call of a workflow.

    Attributes:
        name: Unique in the workflow: the service's, or with a number when it is called again.
        service: The service.
        depends_on: The calls that it follows; none begins with the event.
    """

    name: str
    service: str
    depends_on: tuple[str, ...] = ()


class WorkflowSpec(Struct, frozen=True):
    """What a workflow does.

    Attributes:
        services: The calls.
        inputs: What an event must bring; None for anything.
        outputs: What comes out in the end; None for all that the services gave.
        operations: Kept as it was given; it means nothing.
    """

    services: tuple[Entry, ...]
    inputs: Mapping[str, Parameter] | None = None
    outputs: Mapping[str, Parameter] | None = None
    operations: Mapping[str, Json] = field(default_factory=dict[str, Json])


class WorkflowDefinition(Struct, frozen=True):
    """A workflow of services.

    Attributes:
        name: What events are sent to.
        spec: What it does.
    """

    name: str
    spec: WorkflowSpec
