"""JSON in and out: the only module that knows the JSON library.

Values of the model are msgspec structs with a ``type`` tag; classes that cannot be structs (results that are also exceptions, a
history) say here how they look in JSON. Nothing is ever imported or called by a name found in data.

Structs that are kept by the thousand are made with ``gc=False``: JSON cannot refer back to what holds it, so none of them is ever part
of a cycle, and the garbage collector need not visit them again and again.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, Protocol, TypeVar, cast, get_args, overload, runtime_checkable

import msgspec

from pyworkflow.errors import PayloadError
from pyworkflow.failure import describe

T = TypeVar("T")

Json = Any
"""A value that JSON can carry: None, bool, int, float, str, list, or dict with str keys."""


@runtime_checkable
class _Model(Protocol):
    """What pydantic's models can do, without importing it."""

    def model_dump(self, *, mode: str) -> Any: ...

    @classmethod
    def model_validate(cls, obj: object) -> Any: ...


_writers: dict[type, Callable[[Any], Any]] = {}
_readers: dict[type, Callable[[Any], Any]] = {}


def register(cls: type[T], write: Callable[[T], Any], read: Callable[[Any], T]) -> None:
    """Say how a class that is no struct looks in JSON.

    Args:
        cls: The class; its subclasses are written the same way.
        write: Turns an instance into something that JSON or a struct can carry.
        read: Turns what was decoded back into an instance.
    """
    _writers[cls] = write
    _readers[cls] = read


def _write(value: object) -> object:
    for cls in type(value).__mro__:
        if (write := _writers.get(cls)) is not None:
            return write(value)
    if isinstance(value, _Model):
        return value.model_dump(mode="json")
    raise PayloadError(type(value).__name__, "a value of this type cannot be written as JSON")


def _read(cls: type, value: object) -> object:
    read = _readers.get(cls)
    if read is None:
        if issubclass(cls, _Model):
            return cls.model_validate(value)
        raise PayloadError(cls.__name__, "a value of this type cannot be read from JSON")
    return read(value)


_encoder = msgspec.json.Encoder(enc_hook=_write)


def encode(value: object) -> bytes:
    """Return a value of the model, or plain JSON, as UTF-8 JSON.

    Raises:
        PayloadError: The value has no JSON form.
    """
    try:
        return _encoder.encode(value)
    except PayloadError:
        raise
    except Exception as error:  # a model writes itself, and its code may raise anything
        raise PayloadError(type(value).__name__, describe(error).reason) from error


@overload
def decode(data: bytes | str) -> Json: ...


@overload
def decode(data: bytes | str, kind: type[T] | Any) -> T: ...


def decode(data: bytes | str, kind: Any = Any) -> Any:
    """Return what `encode` was given.

    Args:
        data: UTF-8 JSON.
        kind: The type to read: a class, or a union such as ``AnyEvent``.

    Raises:
        PayloadError: The data is not JSON, or not of this type.
    """
    return _reader(kind)(data)


def reader(kind: type[T] | Any) -> Callable[[bytes | str], T]:
    """Return what `decode` does for one type, for a place that does it often: a type costs more to look up than an event to read."""

    def read(data: bytes | str) -> T:
        try:
            return cast("T", decode_one(data))
        except Exception as error:  # as `convert`
            raise PayloadError("JSON", describe(error).reason) from error

    decode_one = msgspec.json.Decoder(kind, dec_hook=_read).decode
    return read


_reader: Callable[[Any], Callable[[bytes | str], Any]] = cache(reader)


def convert(value: object, kind: type[T] | Any, what: str = "JSON") -> T:
    """Return plain JSON data as a value of a type; what `decode` does, past the parsing.

    Args:
        value: The data.
        kind: The type.
        what: What to call the data in an error.

    Raises:
        PayloadError: The data is not of this type.
    """
    try:
        return cast("T", msgspec.convert(value, kind, dec_hook=_read))
    except Exception as error:  # a model reads itself, and its validators may raise anything
        raise PayloadError(what, describe(error).reason) from error


class TypedField(msgspec.Struct, frozen=True):
    """A field of a struct that holds more than just any JSON.

    Attributes:
        name: Its name.
        kind: Its type.
        kinds: The types of which it is the union.
        read: Reads it.
    """

    name: str
    kind: Any
    kinds: tuple[Any, ...]
    read: Callable[[bytes | str], Any]


@cache
def typed_fields(kind: type[msgspec.Struct]) -> tuple[TypedField, ...]:
    """Return the fields of a struct whose values its decoder checks: all but those of any JSON."""
    fields: list[TypedField] = []
    for field in msgspec.structs.fields(kind):
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        if Any not in kinds:
            fields.append(TypedField(field.name, field.type, kinds, reader(field.type)))
    return tuple(fields)


def to_plain(value: object) -> Json:
    """Return a value of the model, a dataclass or a struct as plain JSON data.

    Raises:
        PayloadError: The value has no JSON form.
    """
    try:
        return msgspec.to_builtins(value, enc_hook=_write)
    except PayloadError:
        raise
    except Exception as error:  # as above
        raise PayloadError(type(value).__name__, describe(error).reason) from error


def fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of an event or another struct for machines: all of them, also those that have their default."""
    tag = struct.__struct_config__.tag
    named = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return named if tag is None else {"type": tag, **named}
