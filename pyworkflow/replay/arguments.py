"""Between JSON and the annotated types of functions: what they take, and what they return."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast, get_args, get_origin, get_type_hints

from pyworkflow import codec
from pyworkflow.activity import Activity, ActivityFunction
from pyworkflow.codec import Json
from pyworkflow.errors import PayloadError
from pyworkflow.result import ActivityResult
from pyworkflow.values import check_payload

_ONE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

Convert = Callable[[Any], Any] | None

KEPT = 1_000
"""Functions whose annotations are kept as they were read."""


def plain(value: Any, what: str) -> Json:
    """Return a value as the JSON data that it will be when it comes back, and apart from what happens to the value later.

    Raises:
        PayloadError: It has no JSON form.
    """
    if value is None or type(value) is bool:
        return value
    return codec.decode(check_payload(value, what))


def input_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
    """Return the input that stands for a call: the only argument itself, or a list, or an object where names are given.

    Raises:
        TypeError: The function cannot be called like this.
    """
    parameters = _parameters(function)
    only = len(parameters) == 1 and parameters[0].kind in _ONE
    if only and len(args) == 1 and not kwargs:
        return args[0]
    bound = _signature(function).bind(*args, **kwargs)
    if only:
        return next(iter(bound.arguments.values()), None)
    if kwargs:
        return dict(bound.arguments)
    return [*args] or None


def call_of(function: Callable[..., Any], given: Json, what: str) -> tuple[list[Any], Any]:
    """Return the arguments for which an input stands, converted to the annotated types: the inverse of `input_of`.

    Raises:
        PayloadError: The input does not fit.
    """
    parameters = _parameters(function)
    if not parameters:
        return [], {}
    hints = _hints(function)
    if len(parameters) == 1 and parameters[0].kind in _ONE:
        if given is None and parameters[0].default is not inspect.Parameter.empty:
            return [], {}
        return [codec.convert(given, hints.get(parameters[0].name, Any), what)], {}
    args, named = _spread(given)
    try:
        bound = _signature(function).bind(*args, **named)
    except TypeError as error:
        raise PayloadError(what, str(error)) from None
    for name, value in bound.arguments.items():
        if name in hints and _parameter_kind(function, name) in _ONE:
            bound.arguments[name] = codec.convert(value, hints[name], f"{what}, {name}")
    return list(bound.args), bound.kwargs


def _spread(given: Any) -> tuple[list[Any], dict[str, Any]]:
    if given is None:
        return [], {}
    if isinstance(given, dict):
        return [], cast("dict[str, Any]", given)
    several: Any = given
    return (several if isinstance(several, list) else [several]), {}


def _parameter_kind(function: Callable[..., Any], name: str) -> object:
    return _signature(function).parameters[name].kind


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(_signature(function).parameters.values())


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    # What is kept are functions, and never methods: those would keep the workflow objects of all processes.
    plain_function = getattr(function, "__func__", None)
    if plain_function is None:
        return _signature_of(function, 0)
    return _signature_of(plain_function, 1)


@lru_cache(KEPT)
def _signature_of(function: Callable[..., Any], bound: int) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[bound:])


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return _hints_of(getattr(function, "__func__", function))


@lru_cache(KEPT)
def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # Names that only a type checker has imported: nothing is converted.
        return {}


@lru_cache(KEPT)
def result_of(activity: object) -> Convert:
    """Return what makes an activity's JSON result a value of the type that it is annotated to return."""
    if isinstance(activity, ActivityFunction):
        return to_type(_hints(activity.function).get("return", Any), f"result of {activity.name!r}")
    if isinstance(activity, type) and issubclass(activity, Activity):
        return to_type(_hints(activity.execute).get("return", Any), f"result of {activity.name!r}")
    return None


def to_type(wanted: Any, what: str) -> Convert:
    """Return what converts JSON data to a type, or None if there is nothing to convert."""
    if get_origin(wanted) is not None and (args := get_args(wanted)) and _is_awaitable(wanted):
        wanted = args[-1]
    if wanted is Any or wanted is None or wanted is type(None) or _is_result(wanted):
        return None

    def convert(value: Any) -> Any:
        try:
            return codec.convert(value, wanted, what)
        except TypeError:
            # A type that the JSON library knows nothing of: the plain value it is.
            return value

    return convert


def _is_awaitable(wanted: Any) -> bool:
    origin = get_origin(wanted)
    return isinstance(origin, type) and hasattr(origin, "__await__")


def _is_result(wanted: Any) -> bool:
    return any(
        isinstance(kind, type) and issubclass(kind, ActivityResult)
        for kind in (wanted, *get_args(wanted))
    )
