"""Functions as tasks: the parameters of a function name the tasks whose outputs it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from pyworkflow.activity import ActivityFunction
from pyworkflow.codec import Json
from pyworkflow.graph.errors import GraphError, UnknownStepError
from pyworkflow.graph.model import START
from pyworkflow.graph.tasks import ActivityOptions, ActivityTask, Task, task_name

F = TypeVar("F", bound=Callable[..., Any])

INPUT = "input"
"""The parameter that is given the input of the process."""


class FunctionTask(ActivityTask, Generic[F]):
    """Executes a function as an activity. Called, it is the plain function.

    Args:
        workflow: The name of the workflow.
        tasks: The tasks that were added before, by name.
        function: The function, or an activity function.
        name: Of the step, if not the function's.
        options: See `ActivityOptions`; ``depends_on`` are further tasks to follow, whose outputs are not needed.
    """

    def __init__(
        self,
        workflow: str,
        tasks: Mapping[str, Task],
        function: F,
        name: str | None,
        options: ActivityOptions,
    ) -> None:
        self.function = function
        named = name or str(getattr(function, "__name__", function))
        given = _sources(named, tasks, function)
        more = {
            task if isinstance(task, Task) else tasks.get(task, task): None
            for task in options.get("depends_on", ())
        }
        sources: list[Task | str] = [tasks[source] for source in given.values()]
        undone = options.get("compensates")
        if undone is not None and any(task_name(source) != task_name(undone) for source in sources):
            told = f"compensates {task_name(undone)!r}, and is given nothing but its output"
            raise GraphError(named, told)
        options = options.copy()
        options["depends_on"] = list(dict.fromkeys([*sources, *more]))
        super().__init__(named, _activity(function, f"{workflow}.{named}"), **options)
        if "param" in options or "transform_input" in options:
            raise GraphError(named, "is a function: its parameters say what it is given")
        self.collect = _collector(given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function."""
        return self.function(*args, **kwargs)


def _activity(function: Any, name: str) -> ActivityFunction[..., Any]:
    if isinstance(function, ActivityFunction):
        return cast("ActivityFunction[..., Any]", function)
    return ActivityFunction(function, name=name)


def _sources(name: str, tasks: Mapping[str, Task], function: Callable[..., Any]) -> dict[str, str]:
    """Return the name of the task that each parameter is given the output of."""
    plain = function.function if isinstance(function, ActivityFunction) else function
    sources: dict[str, str] = {}
    for parameter in inspect.signature(plain).parameters.values():
        if parameter.name in tasks:
            sources[parameter.name] = parameter.name
        elif parameter.name == INPUT:
            sources[INPUT] = START
        elif parameter.default is parameter.empty:
            raise UnknownStepError(
                name, f"has the parameter {parameter.name!r}, and no task before it has this name"
            )
    return sources


def _collector(given: dict[str, str]) -> Callable[[Mapping[str, Json]], Json]:
    def collect(outputs: Mapping[str, Json]) -> Json:
        values = {parameter: outputs.get(source) for parameter, source in given.items()}
        if len(values) == 1:
            return next(iter(values.values()))
        return values or None

    return collect
