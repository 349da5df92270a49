"""Specs: what goes in and what comes out, by name and type; and values held against them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pyworkflow.codec import Json
from pyworkflow.services.errors import MismatchError


class Kind(StrEnum):
    """The type of a value, by the names of JSON Schema."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"

    @classmethod
    def _missing_(cls, value: object) -> "Kind | None":
        # Older definitions say so.
        return cls.INTEGER if value == "int" else None


class Parameter(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One value that goes in or comes out.

    Attributes:
        type: Its type.
        description: What it is, for people.
    """

    type: Kind
    description: str = ""


Parameters = Mapping[str, Parameter]
"""By name. None stands for what nobody has said: anything."""

_IS: dict[Kind, Callable[[Any], bool]] = {
    Kind.STRING: lambda value: isinstance(value, str),
    Kind.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    Kind.NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    Kind.BOOLEAN: lambda value: isinstance(value, bool),
    Kind.OBJECT: lambda value: isinstance(value, Mapping),
    Kind.ARRAY: lambda value: isinstance(value, list | tuple),
}


def picked(values: Mapping[str, Json], wanted: Parameters | None, where: str) -> dict[str, Json]:
    """Return the values that a spec names; those that it does not name are left out.

    Args:
        values: By name.
        wanted: The spec; None takes all.
        where: What the values are, for the error: the name of a field follows it.

    Raises:
        MismatchError: A value is missing, or is of another type.
    """
    if wanted is None:
        return dict(values)
    found: dict[str, Json] = {}
    for name, parameter in wanted.items():
        if name not in values:
            raise MismatchError(f"{where}.{name}", "is missing")
        value = values[name]
        if not _IS[parameter.type](value):
            told = f"must be of type {parameter.type}, not {_kind_of(value)}"
            raise MismatchError(f"{where}.{name}", told)
        found[name] = value
    return found


def _kind_of(value: Json) -> str:
    if value is None:
        return "null"
    # An integer is a number as well: the narrower name tells more.
    order = (Kind.BOOLEAN, Kind.INTEGER, Kind.NUMBER, Kind.STRING, Kind.OBJECT, Kind.ARRAY)
    return next((kind.value for kind in order if _IS[kind](value)), type(value).__name__)
