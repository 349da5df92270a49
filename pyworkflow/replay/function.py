"""Replayed workflows as functions."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pyworkflow.activity import AnyActivity
from pyworkflow.replay.workflow import ReplayWorkflow

P = ParamSpec("P")
R = TypeVar("R")

Function = Callable[Concatenate[ReplayWorkflow, P], Coroutine[Any, Any, R]]


class FunctionWorkflow(ReplayWorkflow, Generic[R]):
    """A replayed workflow that was made of a function."""

    async def run(self, *args: Any, **kwargs: Any) -> R:
        """Call the function."""
        raise TypeError(f"workflow {self.name!r} does not say what to run")


@overload
def workflow(function: Function[P, R], /) -> type[FunctionWorkflow[R]]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    activities: Sequence[AnyActivity] = (),
    category: str = ...,
    timeout: float = ...,
    decision_timeout: float = ...,
    blocked_after: float | None = ...,
    parks_on: tuple[type[BaseException], ...] = ...,
    compare_payloads: bool = ...,
) -> Callable[[Function[P, R]], type[FunctionWorkflow[R]]]: ...
def workflow(function: Any = None, /, **settings: Any) -> Any:
    """Make an ``async def`` function a replayed workflow, bare or with settings: the attributes of `ReplayWorkflow`, as keywords.

    Its first parameter gets the workflow, on which it calls ``activity``, ``sleep`` and the rest; the others get the input.
    """

    def decorate(decorated: Any) -> Any:
        return _class_of(decorated, settings)

    return decorate if function is None else decorate(function)


def _class_of(function: Any, settings: dict[str, Any]) -> type[FunctionWorkflow[Any]]:
    named = {"name": settings.get("name") or function.__name__}
    told = {"__doc__": function.__doc__, "__module__": function.__module__, "run": function}
    made = type(function.__name__, (FunctionWorkflow,), settings | named | told)
    made.__qualname__ = function.__qualname__
    return made
