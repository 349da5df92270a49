"""Whether the dependencies of a job can be met."""

from pyworkflow.graph import CycleError, Graph, Step
from pyworkflow.graph.model import NoWork
from pyworkflow.jobs.definition import JobDefinition
from pyworkflow.jobs.nodes import Problems, Table, place_of
from pyworkflow.jobs.shape import key_path
from pyworkflow.similar import similar

MAX_CYCLES = 10
"""Cycles that are told at once."""


def check_dependencies(job: JobDefinition, table: Table, problems: Problems) -> None:
    """See whether all dependencies are tasks of the job, and whether the tasks can be put in an order.

    Args:
        job: The definition.
        table: What it was made from, for the places.
        problems: Where to note what is wrong.
    """

    def note(message: str, name: str, index: int) -> None:
        path = key_path(table, ("tasks", name), "dependencies")
        problems.add(message, place_of(table, (*path, index)), (*path, index))

    edges: dict[str, dict[str, int]] = {name: {} for name in job.tasks}
    for name, task in job.tasks.items():
        for index, dependency in enumerate(task.dependencies):
            if dependency == name:
                note("the task depends on itself", name, index)
            elif dependency not in job.tasks:
                question = similar(dependency, job.tasks)
                told = f"there is no task {dependency!r}"
                note(f"{told}; {question}" if question else told, name, index)
            else:
                edges[name].setdefault(dependency, index)
    for _ in range(MAX_CYCLES):
        cycle = _cycle(edges)
        if not cycle:
            return
        first, second = cycle[0], cycle[1]
        way = " -> ".join(repr(name) for name in (*cycle, first))
        note(f"the tasks wait for each other: {way}", first, edges[first].pop(second))


def _cycle(edges: dict[str, dict[str, int]]) -> list[str]:
    """Return tasks of which each waits for the next, and the last for the first; none if there are none."""
    # By number, because names that a graph refuses are told already.
    numbers = {name: str(number) for number, name in enumerate(edges)}
    steps = [
        Step(name=numbers[name], work=NoWork(), depends_on=tuple(numbers[d] for d in dependencies))
        for name, dependencies in edges.items()
    ]
    try:
        Graph("job", steps)
    except CycleError as error:
        names = list(edges)
        return [names[int(number)] for number in error.cycle]
    return []
