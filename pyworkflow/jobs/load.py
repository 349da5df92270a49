"""The way from a job file to a checked definition: all that is wrong is told at once, before anything runs."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pyworkflow.jobs.definition import JobDefinition
from pyworkflow.jobs.files import INCLUDE, read
from pyworkflow.jobs.find import search
from pyworkflow.jobs.nodes import Problems, Table, place_of
from pyworkflow.jobs.order import check_dependencies
from pyworkflow.jobs.plugins import Classes, check_classes
from pyworkflow.jobs.shape import definition_of
from pyworkflow.jobs.substitute import Substitutions
from pyworkflow.jobs.yaml import parse

IN_FILES_ONLY = ("extension_directories", "extension_packages")
"""What a job that is no file of the operator's may not have: code is imported by it."""


def load(
    path: str | Path,
    *,
    root: str | Path | None = None,
    variables: Mapping[str, str] | None = None,
    environment: Collection[str] = (),
    classes: Classes | None = None,
) -> JobDefinition:
    """Return the job that a file and its includes define, after importing the modules with its classes.

    Args:
        path: The job file.
        root: The root of the project, where ``./tasks`` and included files are; the working directory if left out.
        variables: The values of ``$VAR{name}``.
        environment: The names of the environment variables that ``$ENV{NAME}`` may read.
        classes: The registries of the classes that it may name; those of the decorators if left out.

    Raises:
        JobDefinitionError: Something is wrong; each problem says where.
    """
    base = Path.cwd() if root is None else Path(root).resolve()
    problems = Problems()
    table = read(Path(path), base, Substitutions(base, variables, environment), problems)
    if table is None:
        raise problems.error()
    job = definition_of(table, base, problems)
    check_dependencies(job, table, problems)
    found = search(base, job.config.extension_directories, job.config.extension_packages)
    for key, problem in found:
        if key:
            problems.add(problem.message, place_of(table, key), key)
        else:
            problems.take(problem)
    # Without its modules, a job would seem to name unknown classes.
    if not found:
        check_classes(job, table, _known(classes), problems)
    if problems:
        raise problems.error()
    return job


def loads(
    text: str,
    *,
    root: str | Path | None = None,
    variables: Mapping[str, str] | None = None,
    classes: Classes | None = None,
) -> JobDefinition:
    """Return the job that a text defines, for callers such as an HTTP API that do not trust its author.

    It may neither include files, nor read the environment, nor have anything imported: it names classes that are registered.

    Args:
        text: YAML.
        root: The root of the project; the working directory if left out.
        variables: The values of ``$VAR{name}``.
        classes: The registries of the classes that it may name; those of the decorators if left out.

    Raises:
        JobDefinitionError: Something is wrong; each problem says where.
    """
    base = Path.cwd() if root is None else Path(root).resolve()
    problems = Problems()
    table = parse(text, "<text>", Substitutions(base, variables), problems)
    if table is None:
        raise problems.error()
    config = table.get("config")
    for path, node in (((INCLUDE,), table), *((("config", key), config) for key in IN_FILES_ONLY)):
        if isinstance(node, Table) and path[-1] in node.entries:
            problems.add("is for files only", node.entries[path[-1]].place, path)
    job = definition_of(table, base, problems)
    check_dependencies(job, table, problems)
    check_classes(job, table, _known(classes), problems)
    if problems:
        raise problems.error()
    return job


def _known(classes: Classes | None) -> Classes:
    if classes is None:
        # Its modules bring the classes that everybody has, and with them much that a check of given classes does not need.
        from pyworkflow.jobs.classes import CLASSES

        return CLASSES
    return classes
