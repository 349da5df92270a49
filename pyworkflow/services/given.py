"""Definitions as they are given: with a ``spec``, or flat. One form is kept."""

from typing import Annotated

from msgspec import Meta, Struct

from pyworkflow.codec import Json
from pyworkflow.retry import Retry
from pyworkflow.services.definition import (
    DAY,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    MOST_SERVICES,
    Entry,
    Fields,
    Name,
    ParameterName,
    Seconds,
    ServiceDefinition,
    Spec,
    WorkflowDefinition,
    WorkflowSpec,
)
from pyworkflow.services.errors import DefinitionError
from pyworkflow.services.spec import Kind, Parameter


class NamedParameter(Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a flat list."""

    name: ParameterName
    type: Kind
    description: str = ""


Listed = Annotated[list[NamedParameter], Meta(max_length=100)]


class GivenService(Struct, frozen=True, forbid_unknown_fields=True):
    """A service to register: with a `spec`, or with flat lists of inputs and outputs."""

    name: Name
    address: Annotated[str, Meta(min_length=1, max_length=2000)]
    spec: Spec | None = None
    inputs: Listed | None = None
    outputs: Listed | None = None
    timeout: Seconds = DEFAULT_TIMEOUT
    connect_timeout: Seconds = DEFAULT_CONNECT_TIMEOUT
    read_timeout: Seconds = DEFAULT_TIMEOUT
    callback_timeout: Annotated[float, Meta(gt=0, le=30 * DAY)] = DAY
    retry: Retry | None = None


class GivenEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A call with more than its service's name; without `depends_on` it follows the one before."""

    service: Name
    name: Name | None = None
    depends_on: Annotated[list[Name], Meta(max_length=MOST_SERVICES)] | None = None


Calls = Annotated[list[Name | GivenEntry], Meta(min_length=1, max_length=MOST_SERVICES)]


class GivenSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What a workflow does."""

    services: Calls
    inputs: Fields | None = None
    outputs: Fields | None = None
    operations: dict[str, Json] = {}


class GivenWorkflow(Struct, frozen=True, forbid_unknown_fields=True):
    """A workflow to register: with a `spec`, or flat."""

    name: Name
    spec: GivenSpec | None = None
    services: Calls | None = None
    inputs: Listed | None = None
    outputs: Listed | None = None
    operations: dict[str, Json] | None = None


def service_of(given: GivenService) -> ServiceDefinition:
    """Return a service as it is kept.

    Raises:
        DefinitionError: It is given in both forms, or names something twice.
    """
    _check_name(given.name)
    spec = given.spec
    if spec is None:
        spec = Spec(_named(given.inputs, "inputs"), _named(given.outputs, "outputs"))
    else:
        _check_one_form(inputs=given.inputs, outputs=given.outputs)
    return ServiceDefinition(
        given.name,
        given.address,
        spec,
        given.timeout,
        given.connect_timeout,
        given.read_timeout,
        given.callback_timeout,
        given.retry,
    )


def workflow_of(given: GivenWorkflow) -> WorkflowDefinition:
    """Return a workflow as it is kept.

    Raises:
        DefinitionError: It is given in both forms or in none, or names something twice.
    """
    _check_name(given.name)
    spec = given.spec
    if spec is not None:
        flat = {"services": given.services, "operations": given.operations}
        _check_one_form(inputs=given.inputs, outputs=given.outputs, **flat)
        entries = _entries(spec.services, "spec.services")
        kept = WorkflowSpec(entries, spec.inputs, spec.outputs, spec.operations)
        return WorkflowDefinition(given.name, kept)
    if given.services is None:
        raise DefinitionError("services", "is missing")
    kept = WorkflowSpec(
        _entries(given.services, "services"),
        _named(given.inputs, "inputs"),
        _named(given.outputs, "outputs"),
        given.operations or {},
    )
    return WorkflowDefinition(given.name, kept)


def _check_name(name: str) -> None:
    if name.endswith(".svg"):
        raise DefinitionError("name", "must not end in .svg, which asks for its picture")


def _check_one_form(**flat: object) -> None:
    for name, value in flat.items():
        if value is not None:
            raise DefinitionError(name, "belongs into spec, which is there, too")


def _named(listed: list[NamedParameter] | None, field: str) -> dict[str, Parameter] | None:
    if listed is None:
        return None
    found: dict[str, Parameter] = {}
    for place, each in enumerate(listed):
        if each.name in found:
            raise DefinitionError(f"{field}[{place}].name", f"{each.name!r} is there twice")
        found[each.name] = Parameter(each.type, each.description)
    return found


def _entries(calls: list[str | GivenEntry], field: str) -> tuple[Entry, ...]:
    """Return the calls with their names; one that does not say what it follows follows the one before."""
    taken = {call.name for call in calls if isinstance(call, GivenEntry) and call.name}
    entries: list[Entry] = []
    for place, call in enumerate(calls):
        told = GivenEntry(call) if isinstance(call, str) else call
        name = told.name or _free(told.service, taken)
        if any(entry.name == name for entry in entries):
            raise DefinitionError(f"{field}[{place}].name", f"{name!r} is there twice")
        taken.add(name)
        before = (entries[-1].name,) if entries else ()
        depends_on = before if told.depends_on is None else tuple(dict.fromkeys(told.depends_on))
        entries.append(Entry(name, told.service, depends_on))
    return tuple(entries)


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
