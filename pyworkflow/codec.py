"""JSON in and out: the only module that knows the JSON library.

Values of the model are msgspec structs with a ``type`` tag; classes that cannot be structs (results that are also exceptions, a
history) say here how they look in JSON. Nothing is ever imported or called by a name found in data.

Structs that are kept by the thousand are made with ``gc=False``: JSON cannot refer back to what holds it, so none of them is ever part
of a cycle, and the garbage collector need not visit them again and again.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    overload,
    runtime_checkable,
)

import msgspec
from msgspec import Raw

from pyworkflow.errors import PayloadError
from pyworkflow.failure import describe

T = TypeVar("T")

Json = Any
"""A value that JSON can carry: None, bool, int, float, str, list, or dict with str keys."""

if TYPE_CHECKING:
    Payload: TypeAlias = Any
else:
    Payload = Raw
"""The type of a field that holds any JSON; see `payloads`."""


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
    if isinstance(value, Raw):  # where it is not written as JSON, but made into plain data
        return _decode_any(value)
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
            if isinstance(data, bytes) and not data.isascii():
                # What becomes a payload is not looked at by the decoder.
                data = data.decode()
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
        try:
            # Only a decoder makes payloads of structs.
            return cast("T", _reader(kind)(encode(value)))
        except (PayloadError, TypeError):
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
        if Any not in kinds and Raw not in kinds:
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


_decode_any = msgspec.json.Decoder().decode


class _PayloadField:
    """Reads a field of a struct: a value that was recorded is decoded anew for each who asks."""

    __slots__ = ("_read", "slot")

    def __init__(self, slot: Any, kind: Any) -> None:
        self.slot = slot
        self._read: Callable[[Any], Any] = _decode_any if kind is Any else _reader(kind)

    def __get__(self, struct: object, owner: type | None = None) -> Any:
        if struct is None:
            return self
        value = self.slot.__get__(struct)
        return self._read(value) if type(value) is Raw else value

    def __set__(self, struct: object, value: object) -> None:
        self.slot.__set__(struct, value)


class Value(msgspec.Struct, frozen=True, eq=False):
    """The base of structs that are values: no one who reads one can change what another reads.

    Two are equal when they are of one class and their fields are equal.
    """

    not_compared: ClassVar[frozenset[str]] = frozenset()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name)
            for name in self.__struct_fields__
            if name not in self.not_compared
        )

    def __ne__(self, other: object) -> bool:
        # That of structs knows nothing of this `__eq__`.
        return not self == other

    def __hash__(self) -> int:
        hashed = set(self.__struct_fields__) - self.not_compared - _payload_names(type(self))
        return hash((type(self), *(getattr(self, name) for name in sorted(hashed))))

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({inside})"


@cache
def _payload_names(kind: type[msgspec.Struct]) -> frozenset[str]:
    names = kind.__struct_fields__
    return frozenset(name for name in names if isinstance(getattr(kind, name), _PayloadField))


def payloads(**kinds: Any) -> Callable[[type[T]], type[T]]:
    """Have fields of a struct hold JSON.

    Such a field is annotated as `Payload`. What was read from a store stays JSON until somebody asks for it, and whoever asks is given a
    value of his own. What a constructor was given stays as it is until it is recorded.

    Args:
        kinds: The names of the fields, each with the type that it is read as.
    """

    def replace_slots(struct: type[T]) -> type[T]:
        for name, kind in kinds.items():
            setattr(struct, name, _PayloadField(vars(struct)[name], kind))
        return struct

    return replace_slots


def stored(struct: msgspec.Struct, name: str) -> Any:
    """Return a payload of a struct as it is kept there, for handing it on to another struct without decoding it."""
    return getattr(type(struct), name).slot.__get__(struct)


def fixed(value: object) -> Any:
    """Return a value for a field of type `Payload` that nobody can change any more.

    Raises:
        PayloadError: The value has no JSON form.
    """
    return Raw(encode(value))


def payload(data: bytes) -> Any:
    """Return stored JSON for a field of type `Payload`.

    Raises:
        PayloadError: The data is not JSON.
    """
    return _read_raw(data)


_read_raw: Callable[[bytes], Raw] = reader(Raw)


def fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of an event or another struct for machines: all of them, also those that have their default."""
    tag = struct.__struct_config__.tag
    named = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return named if tag is None else {"type": tag, **named}
