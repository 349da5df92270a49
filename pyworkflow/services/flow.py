"""A workflow with its services as a graph: what each call is given, and what comes out in the end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pyworkflow.codec import Json, to_plain
from pyworkflow.graph.errors import GraphError
from pyworkflow.graph.model import START, ActivityWork, Graph, Step
from pyworkflow.retry import Retry
from pyworkflow.services.calling import FINAL
from pyworkflow.services.definition import Entry, ServiceDefinition, WorkflowDefinition
from pyworkflow.services.errors import DefinitionConflictError, DefinitionError
from pyworkflow.services.spec import picked

CALL = "services.call"
"""The activity that calls a service."""

SLACK = 60.0
"""Seconds that an attempt may take beyond what the client waits: for whoever hands it out and records it."""


class Call(Struct, frozen=True):
    """What the activity is given.

    Attributes:
        service: Which service.
        revision: As it was defined at this revision.
        data: What it is sent.
    """

    service: str
    revision: int
    data: dict[str, Json]


class EventInput(Struct, frozen=True):
    """What the process of an event is given.

    Attributes:
        workflow: Which workflow.
        revision: It, and its services, as they were defined at this revision.
        data: What the event brings.
    """

    workflow: str
    revision: int
    data: dict[str, Json]


class Flow:
    """A workflow as it was at one revision, ready to run.

    Args:
        definition: The workflow.
        services: Its services, by name.
        revision: When the last of these was defined.

    Attributes:
        graph: What decides.
        picture: The same steps with the dependencies as they were given, to be drawn.

    Raises:
        DefinitionConflictError: It names a service that is not there, or a call would lack something that it needs.
        DefinitionError: What depends on what cannot be.
    """

    def __init__(
        self,
        definition: WorkflowDefinition,
        services: Mapping[str, ServiceDefinition],
        revision: int,
    ) -> None:
        self.definition = definition
        self.services = services
        self.revision = revision
        entries = definition.spec.services
        for entry in entries:
            if entry.service not in services:
                told = f"service {entry.service!r} of workflow {definition.name!r} is not there"
                raise DefinitionConflictError(told)
        self._entries = {entry.name: entry for entry in entries}
        self.picture = self._graph([self._step(e, e.depends_on, e.service) for e in entries])
        # In the order in which they can run: what comes later goes over what came before.
        self._order = _sorted(self.picture)
        before = _ancestors(self._entries, self._order)
        for name in self._order:
            self._check_inputs(self._entries[name], before[name])
        # Each call follows all before it, since it is sent what all of them gave.
        self.graph = self._graph(
            [self._step(self._entries[n], (START, *before[n]), CALL) for n in self._order]
        )

    def _graph(self, steps: Sequence[Step]) -> Graph:
        try:
            return Graph(self.definition.name, steps, output=[step.name for step in steps])
        except GraphError as error:
            raise DefinitionError("spec.services", str(error)) from error

    def _step(self, entry: Entry, depends_on: tuple[str, ...], activity: str) -> Step:
        service = self.services[entry.service]

        def collect(outputs: Mapping[str, Json]) -> Json:
            return self._call(entry, outputs)

        # A worker that is lost is noticed by its lease; the rest of the time is for services that call back.
        longest = service.timeout + service.callback_timeout + SLACK
        return Step(
            name=entry.name,
            work=ActivityWork(activity=activity, timeout=longest),
            depends_on=depends_on,
            collect=collect,
            retry=_retry(service.retry),
        )

    def _call(self, entry: Entry, outputs: Mapping[str, Json]) -> Json:
        """Return what the activity of a call is given, from the outputs of all that it follows, the start first."""
        context = _merged(outputs)
        wanted = self.services[entry.service].spec.inputs
        # What is missing is told by the activity, as its failure: a decider that fails would be asked again and again.
        data = {n: v for n, v in context.items() if wanted is None or n in wanted}
        return to_plain(Call(entry.service, self.revision, data))

    def _check_inputs(self, entry: Entry, before: Iterable[str]) -> None:
        """See that a call will have all that it needs, as far as those before it say what they give."""
        given = [self.definition.spec.inputs]
        given += [self.services[self._entries[name].service].spec.outputs for name in before]
        known = {name for parameters in given for name in parameters or ()}
        wanted = self.services[entry.service].spec.inputs or {}
        missing = [name for name in wanted if name not in known]
        if missing and all(parameters is not None for parameters in given):
            raise DefinitionConflictError(
                f"service {entry.service!r} of workflow {self.definition.name!r} needs"
                f" {missing[0]!r}, which nothing before it gives"
            )

    def service(self, step: str) -> ServiceDefinition:
        """Return the service that a step calls."""
        return self.services[self._entries[step].service]

    @property
    def steps(self) -> list[str]:
        """The calls, in an order in which they can run."""
        return list(self._order)

    def checked(self, data: Mapping[str, Json]) -> dict[str, Json]:
        """Return what of an event's data the workflow takes.

        Raises:
            MismatchError: A value is missing, or is of another type.
        """
        return picked(data, self.definition.spec.inputs, "data")

    def outputs(self, event: EventInput, results: Mapping[str, Mapping[str, Json]]) -> Json:
        """Return what comes out in the end.

        Args:
            event: What the event brought.
            results: What each call gave, by its name.

        Raises:
            MismatchError: It is not what the workflow's spec says.
        """
        given = {name: value for step in self._order for name, value in results[step].items()}
        wanted = self.definition.spec.outputs
        return given if wanted is None else picked({**event.data, **given}, wanted, "outputs")


def _merged(outputs: Mapping[str, Any]) -> dict[str, Json]:
    """Return the event's data and what the calls gave; later ones go over earlier ones."""
    context: dict[str, Json] = {}
    for name, output in outputs.items():
        context.update(output["data"] if name == START else output)
    return context


def _retry(given: Retry | None) -> Retry | None:
    if given is None:
        return None
    return replace(given, non_retryable=(*given.non_retryable, *FINAL))


def _sorted(graph: Graph) -> list[str]:
    """Return the steps in an order in which they can run, as near to the given one as that allows."""
    done: dict[str, None] = {START: None}
    while len(done) < len(graph.steps):
        done |= dict.fromkeys(
            [next(n for n, step in graph.steps.items() if n not in done and _is_free(step, done))]
        )
    return [name for name in done if name != START]


def _is_free(step: Step, done: Mapping[str, None]) -> bool:
    return all(name in done for name in step.depends_on)


def _ancestors(entries: Mapping[str, Entry], order: list[str]) -> dict[str, list[str]]:
    """Return all that each call follows, near and far, in the order in which they run."""
    found: dict[str, set[str]] = {}
    for name in order:
        near = entries[name].depends_on
        found[name] = set(near).union(*(found[other] for other in near))
    return {name: [other for other in order if other in found[name]] for name in order}
