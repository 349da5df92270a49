"""Checks the arguments of a call by the annotations of its parameters, before anything of the call runs.

Every public method of every backend has such a gate, by the annotations of the port; so have the constructors of backends and workers.
What is checked here is the type, and what no store can carry: NaN, and an integer beyond 64 bits. Ranges, names and payloads are the
affair of whoever uses the value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime as DateTime
from enum import Enum
from functools import cache, wraps
from inspect import isfunction, signature, unwrap
from os import PathLike
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.exchange import Completion, Poll
from pyworkflow.clock import Clock
from pyworkflow.decision import Decision
from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.process import Process
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_seconds, check_text

F = TypeVar("F", bound=Callable[..., Any])

Check = Callable[[Any, str], Any]
"""Is given a value and the name of its parameter; returns the value, or what stands for it, or raises `InvalidRequestError`."""

PROSE = frozenset({"reason", "identity"})
"""Parameters for people to read: anything but text becomes text, and what cannot be stored of it is replaced."""

FIELDS: dict[type[Struct], tuple[str, ...]] = {
    Poll: Poll.__struct_fields__,
    ActivityTask: ("activity_execution", "process_id", "context"),
    DecisionTask: ("process", "context"),
    ActivityExecution: ("activity", "id"),
    Process: ("id", "run"),
}
"""What is checked of a struct besides its type: what backends read of it without a check of their own."""

ALONE = (Completion, Process)
"""Elements that stand alone in their list: one that is wrong is refused by itself, and its error returned."""


def gated(function: F) -> F:
    """Have a method check its arguments by the annotations of its parameters.

    Raises:
        InvalidRequestError: An argument is of another type; it is named.
    """
    return cast("F", _gated(function, function))


def gate(backend: type, port: type) -> None:
    """Have the methods of a backend class check their arguments by the annotations of the port, whatever their own say."""
    for name, method in list(vars(backend).items()):
        specified = getattr(port, name, None)
        if name.startswith("_") or not (isfunction(method) and isfunction(specified)):
            continue
        if len(signature(specified).parameters) > 1:
            setattr(backend, name, _gated(method, specified))


def _gated(function: Callable[..., Any], specified: Callable[..., Any]) -> Callable[..., Any]:
    checks: dict[str, Check] = {}

    @wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not checks:
            # Not before the first call: annotations may name what is defined later.
            checks.update(_checks(specified))
        if args:
            pairs = zip(checks.items(), args, strict=False)
            checked = [check(value, name) for (name, check), value in pairs]
            args = *checked, *args[len(checks) :]
        for name, value in kwargs.items():
            if name in checks:
                kwargs[name] = checks[name](value, name)
        return function(self, *args, **kwargs)

    return call


@cache
def _checks(function: Callable[..., Any]) -> dict[str, Check]:
    """Return the checks of the parameters of a function, the positional ones first."""
    function = unwrap(function)
    hints = get_type_hints(function)
    names = list(signature(function).parameters)[1:]
    return {name: _check_for(hints.get(name, Any), name) for name in names}


def _check_for(hint: Any, name: str) -> Check:
    if name in PROSE:
        return check_text
    options = list(get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,))
    if optional := NoneType in options:
        options.remove(NoneType)
    if all(get_origin(option) is type for option in options):
        return _class(*(get_args(option)[0] for option in options))
    checks = [_check_of(option, name) for option in options]
    if None in checks:
        # It is anything, or has a check of its own where it is used.
        return lambda value, _: value
    [first, *more] = cast("list[Check]", checks)
    if more:
        first = _any_of(dict(zip(options, [first, *more], strict=False)))
    if not optional:
        return first
    return lambda value, what: None if value is None else first(value, what)


def _any_of(checks: Mapping[Any, Check]) -> Check:
    def check(value: Any, what: str) -> Any:
        if (likely := checks.get(type(value))) is not None:
            return likely(value, what)
        refusals: list[InvalidRequestError] = []
        for each in checks.values():
            try:
                return each(value, what)
            except InvalidRequestError as error:
                refusals.append(error)
        reasons = dict.fromkeys(error.reason.removeprefix("must be ") for error in refusals)
        raise InvalidRequestError(refusals[0].what, "must be " + " or ".join(reasons))

    return check


def _check_of(hint: Any, name: str) -> Check | None:
    """Return the check for one type; None if there is none."""
    origin = get_origin(hint)
    if origin in (Sequence, Iterable, tuple):
        item = get_args(hint)[0]
        return _several(item, name, once=origin is Iterable or origin is Sequence)
    if origin is Mapping or hint is dict or origin is dict:
        return _mapping(get_args(hint))
    if origin is Callable:
        return _callable
    if origin is PathLike:
        return _instance(PathLike)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint)
    if hint is Clock:
        return _clock
    if isinstance(hint, type) and hint not in (Any, object):
        return _instance(hint)
    return None


def check_type(value: object, kind: type, what: str) -> None:
    """Refuse what is not of a type.

    Raises:
        InvalidRequestError: It is of another type.
    """
    if not isinstance(value, kind):
        raise refusal(what, value, f"of type {kind.__name__}")


def refusal(what: str, value: object, wanted: str) -> InvalidRequestError:
    """Return the error for an argument of another type."""
    return InvalidRequestError(f"{what} {repr_of(value, 80)}", f"must be {wanted}")


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        if not isinstance(value, str):
            raise refusal(what, value, "text")
        value = str.__str__(value)
    return cast("str", value)


def _whole(value: Any, what: str) -> int:
    least = -1 if what == "cursor" else 0
    if type(value) is not int or not least <= value < 2**63:
        raise refusal(what, value, f"a whole number, {least} or more")
    return value


def _seconds(value: Any, what: str) -> float:
    if what in ("wait", "timeout") and type(value) in (int, float) and value < 0:
        # What is left of a time that is over.
        return 0
    return check_seconds(value, what)


def _yes_or_no(value: Any, what: str) -> bool:
    if type(value) is not bool:
        raise refusal(what, value, "True or False")
    return value


def _moment(value: Any, what: str) -> DateTime:
    if not isinstance(value, DateTime) or value.utcoffset() is None:
        raise refusal(what, value, "a datetime with a time zone")
    return value


def _callable(value: Any, what: str) -> Any:
    if not callable(value):
        raise refusal(what, value, "something to call")
    return value


def _clock(value: Any, what: str) -> Any:
    if isinstance(value, type) or not (hasattr(value, "now") and hasattr(value, "on_change")):
        raise refusal(what, value, "a Clock")
    return value


_PLAIN: dict[Any, Check] = {
    str: _text,
    int: _whole,
    float: _seconds,
    bool: _yes_or_no,
    DateTime: _moment,
}


def _member(kind: type[Enum]) -> Check:
    def check(value: Any, what: str) -> Enum:
        for member in kind:
            if value is member or (isinstance(value, str) and value == member.value):
                return member
        raise refusal(what, value, f"one of {', '.join(kind.__members__)}")

    return check


def _class(*kinds: Any) -> Check:
    def check(value: Any, what: str) -> Any:
        if not any(value is kind for kind in kinds):
            raise refusal(what, value, f"the class {' or '.join(kind.__name__ for kind in kinds)}")
        return value

    return check


def _instance(kind: type) -> Check:
    fields: dict[str, Check] = {}
    for name in FIELDS.get(kind, ()):
        fields[name] = _check_for(get_type_hints(kind)[name], name)

    def check(value: Any, what: str) -> Any:
        check_type(value, kind, what)
        for name, check_field in fields.items():
            check_field(getattr(value, name), name)
        return value

    return check


def _several(item: Any, name: str, *, once: bool) -> Check:
    """Return the check for a list of something; of decisions, which have a check of their own, only whether it is a list."""
    each = None if item in ALONE or item is Decision else _check_for(item, name)
    kinds = Iterable if once else (list, tuple, set, frozenset)

    def check(value: Any, what: str) -> Any:
        if not isinstance(value, kinds) or isinstance(value, str | bytes | Mapping | type):
            raise refusal(what, value, "a list")
        if each is not None:
            return tuple(each(one, what) for one in value)
        return value if isinstance(value, list | tuple) else list(value)

    return check


def _mapping(types: Sequence[Any]) -> Check:
    def check(value: Any, what: str) -> Any:
        if not isinstance(value, Mapping):
            raise refusal(what, value, "a mapping")
        if tuple(types) == (str, str):
            return {_text(k, what): _text(v, what) for k, v in value.items()}
        return value

    return check
