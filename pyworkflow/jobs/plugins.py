"""Whether the classes that a job names are there, and take the parameters that it gives them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pyworkflow.codec import Json
from pyworkflow.failure import describe
from pyworkflow.jobs.definition import JobDefinition, PluginDefinition
from pyworkflow.jobs.errors import UnknownPluginError
from pyworkflow.jobs.nodes import Path, Problems, Table, place_of
from pyworkflow.jobs.registry import Registry
from pyworkflow.jobs.shape import key_path
from pyworkflow.similar import similar

Classes = Mapping[str, Registry[Any]]
"""The registries by what they are of: ``task``, ``logger``, ``extension``, ``checkpointer``."""


def check_classes(job: JobDefinition, table: Table, classes: Classes, problems: Problems) -> None:
    """See whether all classes are registered, and what their parameters are worth.

    Args:
        job: The definition.
        table: What it was made from, for the places.
        classes: The registries.
        problems: Where to note what is wrong.
    """
    checks = _Classes(table, classes, problems)
    for name, task in job.tasks.items():
        checks.check(("tasks", name), task.task, task.parameters)
    for section in ("loggers", "extensions"):
        plugins: Mapping[str, PluginDefinition] = getattr(job, section) or {}
        for name, plugin in plugins.items():
            checks.check((section, name), plugin.name, plugin.parameters)
    if job.checkpointer is not None:
        checks.check(("checkpointer",), job.checkpointer.name, job.checkpointer.parameters)


class _Classes:
    def __init__(self, table: Table, classes: Classes, problems: Problems) -> None:
        self._table = table
        self._classes = classes
        self._problems = problems

    def check(self, path: tuple[str, ...], name: str, parameters: Mapping[str, Json]) -> None:
        if not name:
            return  # that it has none is told already
        registry = self._classes[path[0].removesuffix("s")]
        try:
            found = registry.get(name)
        except UnknownPluginError as error:
            question = similar(name, registry)
            told = f"unknown {registry.kind} {name!r}; {question}" if question else str(error)
            self._note(told, key_path(self._table, path, "task" if path[0] == "tasks" else "name"))
            return
        self._parameters(found, parameters, (*path, "parameters"))

    def _parameters(
        self, found: type[BaseModel], parameters: Mapping[str, Json], path: tuple[str, ...]
    ) -> None:
        try:
            found.model_validate(dict(parameters))
        except ValidationError as error:
            for detail in error.errors(
                include_url=False, include_context=False, include_input=False
            ):
                self._invalid(found, detail["type"], detail["msg"], path, detail["loc"])
        except Exception as error:  # validators are the user's code, and may raise anything
            self._note(f"{found.__name__} raised {describe(error).line}", path)

    def _invalid(
        self, found: type[BaseModel], kind: str, message: str, path: Path, where: Path
    ) -> None:
        message = message.removeprefix("Value error, ")
        if kind == "extra_forbidden":
            # Of what a model inside another takes, its class says nothing here.
            known = list(found.model_fields) if len(where) == 1 else []
            hint = similar(str(where[-1]), known)
            there = f"{found.__name__} takes {', '.join(known)}" if known else ""
            message = "; ".join(filter(None, ("unknown parameter", hint or there)))
        elif kind == "missing":
            message = f"the parameter is missing: {found.__name__} needs it"
        told = message[:1].lower() + message[1:]
        self._note(told, (*path, *where), key=kind == "extra_forbidden")

    def _note(self, message: str, path: Path, *, key: bool = False) -> None:
        self._problems.add(message, place_of(self._table, path, key=key), path)
