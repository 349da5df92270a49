"""The tasks that templates may name. Nothing is ever imported or called by a name that was not registered here."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from pyworkflow.engine.errors import TemplateError, UnknownTaskName
from pyworkflow.values import check_name

T = TypeVar("T", bound=Callable[..., Any])

Implementation = tuple[type | None, Callable[..., Awaitable[Any]]]
"""The class of a holder, if there is one, and the coroutine function that does the work."""


class TaskRegistry:
    """All registered tasks of this OS process."""

    _registry: ClassVar[dict[str, Implementation]] = {}

    @classmethod
    def register(
        cls, coro_or_cls: Callable[..., Any], task_name: str, coro_name: str | None = None
    ) -> None:
        """Register a coroutine function, or a class and the name of its coroutine function.

        Raises:
            TemplateError: The name is taken (also a ValueError).
            InvalidRequestError: The name is not acceptable.
            TypeError: There is no coroutine function.
        """
        check_name(task_name, "task name")
        if task_name in cls._registry:
            known = cls._registry[task_name]
            raise TemplateError(
                f"task name {task_name!r}", f"is registered already, for {known[0] or known[1]!r}"
            )
        holder = coro_or_cls if isinstance(coro_or_cls, type) else None
        function = coro_or_cls if holder is None else getattr(holder, coro_name or "", None)
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"task {task_name!r}: {function or coro_name!r} is not a coroutine function"
            )
        cls._registry[task_name] = holder, function

    @classmethod
    def unregister(cls, task_name: str) -> None:
        """Forget a task.

        Raises:
            UnknownTaskName: There is none.
        """
        cls.get(task_name)
        del cls._registry[task_name]

    @classmethod
    def get(cls, task_name: str) -> Implementation:
        """Return what a name stands for.

        Raises:
            UnknownTaskName: Nothing.
        """
        try:
            return cls._registry[task_name]
        except KeyError:
            raise UnknownTaskName(task_name) from None

    @classmethod
    def all(cls) -> Mapping[str, Implementation]:
        """Return all tasks by name."""
        return MappingProxyType(cls._registry)


def register(
    task_name: str,
    coro_name: str | None = None,
    *,
    parks_on: tuple[type[BaseException], ...] | None = None,
) -> Callable[[T], T]:
    """Register what is decorated under a name for templates.

    Args:
        task_name: The name.
        coro_name: For a class: its method that does the work.
        parks_on: Exceptions that suspend the workflow, for the repaired code to run the task again; `pyworkflow.mistakes.MISTAKES`, say.

    Raises:
        TemplateError: The name is taken.
        TypeError: There is no coroutine function.
    """

    def decorate(coro_or_cls: T) -> T:
        TaskRegistry.register(coro_or_cls, task_name, coro_name)
        decorated: Any = coro_or_cls
        if parks_on is not None:
            decorated.parks_on = parks_on
        if isinstance(decorated, type):
            decorated.TASK_NAME = task_name  # type: ignore[attr-defined]
        return coro_or_cls

    return decorate
