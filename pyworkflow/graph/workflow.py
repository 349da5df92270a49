"""Building a graph: the first pyflow's ``Workflow``, and the same with decorated functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Unpack, cast, overload

from pyworkflow.activity import AnyActivity
from pyworkflow.graph.compiled import GraphWorkflow
from pyworkflow.graph.drawing import Drawn
from pyworkflow.graph.errors import DuplicateStepError, UnknownStepError
from pyworkflow.graph.functions import FunctionTask
from pyworkflow.graph.model import START, Graph, OnFailure
from pyworkflow.graph.tasks import (
    ActivityOptions,
    StartTask,
    Task,
    registered_name,
    task_name,
    versions_of,
)
from pyworkflow.values import check_name
from pyworkflow.workflow import Workflow as AnyWorkflow

T = TypeVar("T", bound=Task)
F = TypeVar("F", bound=Callable[..., Any])


class Workflow(Drawn):
    """A workflow that is a graph of tasks.

    Args:
        name: Its name.
        version: Its version, any text. Versions are types of their own, registered as ``name-version``; one without, as ``name``. On
            Amazon SWF they are a name and a version.
        output: The task (or its name) whose output is the result of a process; a list of tasks for an object of their outputs. If left
            out, it is the output of the only task that nothing depends on, or null if there are several. ``result_task_name`` is the
            same for one task.
        on_failure: What a failed task means: ``fail`` ends the process at once, ``continue`` lets what does not depend on the task go
            on first, ``ignore`` has the process complete all the same.
        concurrency: Activities, Lambda functions and children at a time, at most.
        category: The queue of its decision tasks.
        timeout: Seconds a process may be open.
        decision_timeout: Seconds a decider may take.

    Attributes:
        start_task: The start; its output is the input of the process.
    """

    def __init__(
        self,
        name: str,
        version: str | None = None,
        *,
        output: Task | str | Sequence[Task | str] | None = None,
        result_task_name: str | None = None,
        on_failure: str = OnFailure.FAIL,
        concurrency: int | None = None,
        category: str = AnyWorkflow.category,
        timeout: float = AnyWorkflow.timeout,
        decision_timeout: float = AnyWorkflow.decision_timeout,
    ) -> None:
        self.name = name
        self.version = version
        self.registered_name = check_name(registered_name(name, version), "workflow")
        self.output: Task | str | Sequence[Task | str] | None = output or result_task_name
        self.on_failure = OnFailure(on_failure)
        self.concurrency = concurrency
        self.category = category
        self.timeout = timeout
        self.decision_timeout = decision_timeout
        self.start_task = StartTask()
        self._tasks: dict[str, Task] = {START: self.start_task}
        self._class: type[GraphWorkflow] | None = None

    def __repr__(self) -> str:
        return f"<graph.Workflow {self.registered_name!r}: {len(self._tasks) - 1} tasks>"

    # -- building -------------------------------------------------------------------------------------------------------------------

    def add(self, task: T) -> T:
        """Add a task and return it.

        Raises:
            DuplicateStepError: There is one of this name.
            UnknownStepError: It depends on a task of another workflow.
        """
        if task.name in self._tasks:
            raise DuplicateStepError(task.name, "the workflow has a task of this name")
        for other in task.depends_on:
            if isinstance(other, Task) and self._tasks.get(other.name) is not other:
                raise UnknownStepError(
                    task.name, f"depends on {other.name!r}, which was not added to this workflow"
                )
        self._tasks[task.name] = task
        self._class = None
        return task

    @overload
    def step(self, function: F, /) -> FunctionTask[F]: ...

    @overload
    def step(
        self, *, name: str | None = None, **options: Unpack[ActivityOptions]
    ) -> Callable[[F], FunctionTask[F]]: ...

    def step(self, *function: Any, **options: Any) -> Any:
        """Add a function as a task, bare or with options: its parameters name the tasks whose outputs it is given.

        A parameter ``input`` is the input of the process. One that has a default and is no task's name is left alone. An activity
        function, decorated with `pyworkflow.activity.activity`, keeps its name and settings; any other becomes the activity
        ``workflow.function``.
        """
        name = options.pop("name", None)

        def decorate(decorated: F) -> FunctionTask[F]:
            settings = cast("ActivityOptions", options)
            return self.add(
                FunctionTask(self.registered_name, self._tasks, decorated, name, settings)
            )

        return decorate(*function) if function else decorate

    def has_task(self, name: str) -> bool:
        """Tell whether there is a task of a name."""
        return name in self._tasks

    def get_task(self, name: str) -> Task:
        """Return the task of a name.

        Raises:
            UnknownStepError: There is none.
        """
        if name not in self._tasks:
            raise UnknownStepError(name, f"workflow {self.name!r} has no task of this name")
        return self._tasks[name]

    def _graph_to_draw(self) -> Graph:
        return self.graph()

    # -- running --------------------------------------------------------------------------------------------------------------------

    def validate(self) -> None:
        """See whether it can run.

        Raises:
            GraphError: It cannot; the subclass says what is wrong, the message names the task.
        """
        self.graph()

    def graph(self) -> Graph:
        """Return the graph as it is now, validated.

        Raises:
            GraphError: It cannot run.
        """
        return self.as_workflow().graph

    def as_workflow(self) -> type[GraphWorkflow]:
        """Return the workflow class that the tasks so far make, for managers and for the command line.

        Raises:
            GraphError: It cannot run.
        """
        if self._class is None:
            tasks = [task for name, task in self._tasks.items() if name != START]
            steps = [task.step() for task in tasks]
            graph = Graph(
                self.name,
                steps,
                output=self._output(),
                on_failure=self.on_failure,
                concurrency=self.concurrency,
            )
            settings = {
                "name": self.registered_name,
                "graph": graph,
                "activities": tuple(self.activities()),
                "children": tuple(dict.fromkeys(w for task in tasks for w in task.workflows)),
                "category": self.category,
                "timeout": self.timeout,
                "decision_timeout": self.decision_timeout,
                "versions": self._versions(),
            }
            self._class = type(self.registered_name, (GraphWorkflow,), settings)
        return self._class

    def _versions(self) -> dict[str, str]:
        versions = versions_of(self.registered_name, self.version)
        for task in self._tasks.values():
            versions |= task.versions
        return versions

    def _output(self) -> str | list[str] | None:
        output = self.output
        if output is None or isinstance(output, str | Task):
            return None if output is None else task_name(output)
        return [task_name(task) for task in output]

    def workflows(self) -> list[type[AnyWorkflow]]:
        """Return its class and those of its sub-graphs, all that a manager has to know."""
        own = self.as_workflow()
        return list(dict.fromkeys([own, *own.children]))

    def activities(self) -> list[AnyActivity]:
        """Return the activity classes and functions that its tasks were given."""
        return list(dict.fromkeys(a for task in self._tasks.values() for a in task.activities))

    def lambda_functions(self) -> list[str]:
        """Return the names of the Lambda functions that it and its sub-graphs execute."""
        from pyworkflow.graph.lambdas import functions_of

        return functions_of(self.workflows())
