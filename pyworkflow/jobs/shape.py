"""From the table of a job file to its definition: keys, types and ranges. Classes are not looked at here."""

from collections.abc import Callable, Collection, Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph.model import START
from pyworkflow.graph.validate import MAX_STEP_NAME
from pyworkflow.jobs.definition import (
    JobConfig,
    JobDefinition,
    PluginDefinition,
    TaskDefinition,
)
from pyworkflow.jobs.nodes import Items, Node, Problems, Table, place_of, plain, scalars
from pyworkflow.jobs.nodes import Path as KeyPath
from pyworkflow.similar import similar
from pyworkflow.values import check_name, check_seconds

S = TypeVar("S", bound=Struct)

VERSION = 0.1
"""The version of the form of job files."""

SECTIONS = (
    "version",
    "include",
    "config",
    "tasks",
    "loggers",
    "extensions",
    "checkpointer",
    "aliases",
)
"""The keys of a job file. What is in `aliases` is for YAML's anchors alone."""

TASK_KEYS = {
    "task": "task",
    "variant": "task",
    "dependencies": "dependencies",
    "depends_on": "dependencies",
    "max_attempts": "max_attempts",
    "backoff": "backoff",
    "parameters": "parameters",
}
"""The fields of a task by the keys of the file."""

CONFIG_KEYS = {name: name for name in JobConfig.__struct_fields__}
"""The fields of the configuration by the keys of the file."""

_WANTED = {
    "str": "text: quote it",
    "int": "a whole number",
    "float": "a number",
    "bool": "a boolean",
    "array": "a list",
    "object": "a table of keys and values",
}


def plugin_keys(kind: str) -> dict[str, str]:
    """Return the fields of a logger, extension or checkpointer by the keys of the file."""
    return {kind: "name", "variant": "name", "parameters": "parameters"}


def keys_of(section: str) -> dict[str, str]:
    """Return the fields of the tables of a section by the keys of the file."""
    return TASK_KEYS if section == "tasks" else plugin_keys(section.removesuffix("s"))


def key_path(table: Table, path: tuple[str, ...], field: str) -> tuple[str, ...]:
    """Return the path of a field of a task or plugin, by the key that the file has for it, or else by the usual one."""
    keys = [key for key, name in keys_of(path[0]).items() if name == field]
    node: Node = table
    for step in path:
        if isinstance(node, Table):
            node = node.entries[step].node
    found = (key for key in keys if isinstance(node, Table) and key in node.entries)
    return (*path, next(found, keys[0]))


def definition_of(table: Table, root: Path, problems: Problems) -> JobDefinition:
    """Return the definition that a table makes. What is wrong is noted, and left out or replaced by its default.

    Args:
        table: Of a whole job, includes merged.
        root: The root of the project.
        problems: Where to note what is wrong.
    """
    shape = _Shape(table, problems)
    shape.unknown_keys(table, SECTIONS, ())
    shape.version()
    return JobDefinition(
        root=root,
        tasks=shape.tasks(),
        config=shape.config(),
        loggers=shape.plugins("loggers"),
        extensions=shape.plugins("extensions"),
        checkpointer=shape.checkpointer(),
    )


class _Shape:
    def __init__(self, table: Table, problems: Problems) -> None:
        self._table = table
        self._problems = problems

    def unknown_keys(self, table: Table, known: Collection[str], path: KeyPath) -> None:
        for key, entry in table.entries.items():
            if key not in known:
                hint = similar(key, known) or f"there are {', '.join(known)}"
                self._problems.add(f"unknown key; {hint}", entry.place, (*path, key))

    def version(self) -> None:
        node = self._table.get("version")
        if node is not None and plain(node) not in (VERSION, str(VERSION)):
            self._problems.add(f"must be {VERSION}", node.place, ("version",))

    # -- sections -------------------------------------------------------------------------------------------------------------------

    def config(self) -> JobConfig:
        node = self._table.get("config")
        if node is None:
            return JobConfig()
        fields = self._fields(JobConfig, node, CONFIG_KEYS, ("config",))
        for name in [name for name in fields if name.endswith("_seconds")]:
            self._check(fields, name, check_seconds, ("config", name))
        self._check(fields, "name", _check_job_name, ("config", "name"))
        for index, package in enumerate(fields.get("extension_packages", ())):
            if not all(part.isidentifier() and not iskeyword(part) for part in package.split(".")):
                self._note(
                    f"{package!r} is no name of a package", ("config", "extension_packages", index)
                )
        return JobConfig(**fields)

    def tasks(self) -> dict[str, TaskDefinition]:
        tasks: dict[str, TaskDefinition] = {}
        for name, node in self._section("tasks").items():
            path = ("tasks", name)
            fields = self._fields(TaskDefinition, node, TASK_KEYS, path)
            fields.setdefault("task", "")
            self._check(fields, "backoff", check_seconds, (*path, "backoff"))
            if fields.get("max_attempts", 1) < 1:
                told = f"must be 1 or more, not {fields.pop('max_attempts')}"
                self._note(told, (*path, "max_attempts"))
            tasks[name] = TaskDefinition(**fields)
        if not tasks:
            self._note("a job needs tasks", ("tasks",))
        return tasks

    def plugins(self, section: str) -> dict[str, PluginDefinition] | None:
        if self._table.get(section) is None:
            return None
        return {
            name: self._plugin(node, keys_of(section), (section, name))
            for name, node in self._section(section).items()
        }

    def checkpointer(self) -> PluginDefinition | None:
        node = self._table.get("checkpointer")
        if node is None:
            return None
        return self._plugin(node, keys_of("checkpointer"), ("checkpointer",))

    def _plugin(self, node: Node, keys: Mapping[str, str], path: KeyPath) -> PluginDefinition:
        fields = self._fields(PluginDefinition, node, keys, path)
        fields.setdefault("name", "")
        return PluginDefinition(**fields)

    def _section(self, section: str) -> dict[str, Node]:
        """Return the values of a section by their names, which are checked."""
        node = self._table.get(section)
        if node is None:
            return {}
        if not isinstance(node, Table):
            self._note("must be a table of keys and values", (section,))
            return {}
        for name in node.entries:
            try:
                check_name(name, "the name")
                if name == START:
                    raise InvalidRequestError("the name", "is reserved")
                if len(name) > MAX_STEP_NAME:
                    raise InvalidRequestError(
                        "the name", f"has more than {MAX_STEP_NAME} characters"
                    )
            except InvalidRequestError as error:
                self._note(str(error), (section, name), key=True)
        return {name: entry.node for name, entry in node.entries.items()}

    # -- fields ---------------------------------------------------------------------------------------------------------------------

    def _fields(
        self, kind: type[S], node: Node, keys: Mapping[str, str], path: KeyPath
    ) -> dict[str, Any]:
        """Return the values of a table that are what the fields of a struct want; the others are noted."""
        if not isinstance(node, Table):
            self._note("must be a table of keys and values", path)
            return {}
        self.unknown_keys(node, keys, path)
        fields: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            names = [key for key, name in keys.items() if name == field.name]
            given = [name for name in names if node.get(name) is not None]
            if len(given) > 1:
                self._note(
                    f"is the same as {given[0]}: only one may be there", (*path, given[1]), key=True
                )
            value = node.get(given[0]) if given else None
            if value is not None and field.required and plain(value) == "":
                self._note("must be the name of a class", (*path, given[0]))
            elif value is not None:
                self._convert(fields, field, value, (*path, given[0]))
            elif field.required:
                self._note(f"needs the key {names[0]!r}", path, key=True)
        return fields

    def _convert(
        self, fields: dict[str, Any], field: msgspec.structs.FieldInfo, node: Node, path: KeyPath
    ) -> None:
        # A variable is text, whatever it holds: where a number is wanted, it is read as one.
        strict = not any(scalar.substituted for scalar in scalars(node))
        try:
            fields[field.name] = msgspec.convert(plain(node), field.type, strict=strict)
        except msgspec.ValidationError as error:
            self._mistyped(str(error), node, path)

    def _mistyped(self, message: str, node: Node, path: KeyPath) -> None:
        told, _, where = message.partition(" - at `$")
        if isinstance(node, Items) and (index := where.strip("[]`")).isdecimal():
            path = (*path, int(index))
        _, _, wanted = told.partition("`")
        wanted, _, _ = wanted.partition("`")
        # An empty item of a list is null.
        self._note(f"must be {_WANTED[wanted]}" if wanted in _WANTED else told.lower(), path)

    def _check(
        self, fields: dict[str, Any], name: str, check: Callable[[Any, str], object], path: KeyPath
    ) -> None:
        """Leave out and note a value that is out of its range."""
        if name not in fields:
            return
        try:
            check(fields[name], name)
        except InvalidRequestError as error:
            del fields[name]
            self._note(error.reason, path)

    def _note(self, message: str, path: KeyPath, *, key: bool = False) -> None:
        self._problems.add(message, place_of(self._table, path, key=key), path)


def _check_job_name(name: str, what: str) -> None:
    """See whether a job can have a name. It may be any text on one line: what is made of it knows its own limits."""
    if not name.strip() or len(name) > MAX_STEP_NAME or not name.isprintable():
        raise InvalidRequestError(what, f"must be a line of 1 to {MAX_STEP_NAME} characters")
