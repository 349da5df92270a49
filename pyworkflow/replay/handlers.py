"""Methods of a replayed workflow that the outside calls: signal handlers and queries."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

Method = TypeVar("Method", bound=Callable[..., Any])

_SIGNAL = "_pyworkflow_signal"
_QUERY = "_pyworkflow_query"


@overload
def on_signal(method: Method, /) -> Method: ...
@overload
def on_signal(*, name: str) -> Callable[[Method], Method]: ...
def on_signal(method: Any = None, /, *, name: str | None = None) -> Any:
    """Have a method called with the data of each signal of its name, in the order of their coming. It may be ``async def``.

    Args:
        method: The method.
        name: The name of the signal, if not the method's.
    """
    return _mark(_SIGNAL, method, name)


@overload
def query(method: Method, /) -> Method: ...
@overload
def query(*, name: str) -> Callable[[Method], Method]: ...
def query(method: Any = None, /, *, name: str | None = None) -> Any:
    """Have a method answer `Manager.query`. It only looks: it neither awaits nor changes anything.

    Args:
        method: The method.
        name: The name of the query, if not the method's.
    """
    return _mark(_QUERY, method, name)


def _mark(kind: str, method: Any, name: str | None) -> Any:
    def decorate(marked: Any) -> Any:
        setattr(marked, kind, name or marked.__name__)
        return marked

    return decorate if method is None else decorate(method)


def _marked(cls: type, kind: str) -> dict[str, str]:
    """Return the names under which methods are marked, with the methods' own names; subclasses rule."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            if (name := getattr(value, kind, None)) is not None:
                found[name] = attribute
    return found


def signal_handlers(cls: type) -> dict[str, str]:
    """Return the signal handlers of a class: signal to method name."""
    return _marked(cls, _SIGNAL)


def queries(cls: type) -> dict[str, str]:
    """Return the queries of a class: query to method name."""
    return _marked(cls, _QUERY)
