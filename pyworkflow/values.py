"""What may enter: names, tags, durations and JSON payloads, checked once, at the edge of every backend.

The same value is accepted or refused by all backends, so the rules are the intersection of what they can carry. Rules for names and
tags are Amazon SWF's (https://docs.aws.amazon.com/amazonswf/latest/apireference/API_StartWorkflowExecution.html).
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from msgspec import Struct

from pyworkflow.codec import Json, TypedField, encode, to_plain, typed_fields
from pyworkflow.errors import InvalidRequestError, PayloadError
from pyworkflow.failure import MAX_TEXT, repr_of, storable, text_of

MAX_NAME = 256
"""Characters in a name, an id, a category, a tag."""

MAX_TAGS = 5
"""Tags of a process."""

MAX_PAYLOAD = 2 * 1024 * 1024
"""Bytes of one payload as JSON."""

MAX_DEPTH = 100
"""Levels of lists and objects in one payload."""

MAX_SECONDS = 10 * 365 * 86_400
"""Seconds of the longest duration that is accepted: ten years."""

_FORBIDDEN = re.compile(r"[:/|\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PRINTED = 80


def check_name(name: object, what: str) -> str:
    """Return a name or id that is acceptable everywhere.

    Raises:
        InvalidRequestError: It is no text, empty, too long, ``arn``, or has a colon, slash, bar or control character.
    """
    if type(name) is str and name.isalnum() and len(name) <= MAX_NAME and name != "arn":
        return name
    if not isinstance(name, str):
        raise InvalidRequestError(what, f"must be text, not {type(name).__name__}")
    if type(name) is not str:
        name = str.__str__(name)
    if not name:
        raise InvalidRequestError(what, "must not be empty")
    if len(name) > MAX_NAME:
        raise InvalidRequestError(what, f"has {len(name)} characters, {MAX_NAME} at most")
    if found := _FORBIDDEN.search(name):
        raise InvalidRequestError(
            f"{what} {name[:_PRINTED]!r}", f"must not contain {found.group()!r}"
        )
    if name == "arn":
        raise InvalidRequestError(f"{what} {name!r}", "is reserved")
    return name


def check_text(text: object, what: str, length: int = MAX_TEXT) -> str | None:
    """Return a reason, details or an identity, without NUL, cut to a length; anything but text becomes text first."""
    if text is None:
        return None
    plain = text if type(text) is str else text_of(text)
    return storable(plain[:length])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of a process.

    Raises:
        InvalidRequestError: There are too many, or one is no text, empty, too long or has a control character.
    """
    given_tags: object = tags
    if isinstance(given_tags, str | Mapping) or not isinstance(given_tags, Iterable):
        raise InvalidRequestError(f"tags {repr_of(tags, _PRINTED)}", "must be a list of texts")
    checked = tuple(tags)
    if len(checked) > MAX_TAGS:
        raise InvalidRequestError("tags", f"{len(checked)} were given, {MAX_TAGS} at most")
    for tag in checked:
        given: object = tag
        if not isinstance(given, str) or not 0 < len(tag) <= MAX_NAME:
            raise InvalidRequestError("tag", f"must be text of 1 to {MAX_NAME} characters")
        if any(ord(c) < 32 or "\ud800" <= c <= "\udfff" for c in tag):
            raise InvalidRequestError(f"tag {tag[:_PRINTED]!r}", "has a control character")
    return checked


def check_seconds(seconds: float | timedelta, what: str, *, positive: bool = False) -> float:
    """Return a duration in seconds.

    Raises:
        InvalidRequestError: It is no number, negative, not finite, beyond ten years, or zero where it must be positive.
    """
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidRequestError(
            what, f"must be a number of seconds, not {repr_of(seconds, _PRINTED)}"
        )
    if not math.isfinite(seconds) or seconds < 0 or (positive and seconds == 0):
        raise InvalidRequestError(
            what, f"must be a {'positive ' if positive else ''}number of seconds, not {seconds!r}"
        )
    if seconds > MAX_SECONDS:
        raise InvalidRequestError(what, f"is longer than ten years: {seconds!r} s")
    return seconds


def check_fields(struct: Struct) -> None:
    """Refuse a struct that could be written but not be read: each field is of the type that its decoder wants. Payloads are not looked at.

    Raises:
        InvalidRequestError: A field is of another type; field and value are named.
    """
    for field in typed_fields(type(struct)):
        value = getattr(struct, field.name)
        if type(value) not in field.kinds:
            _check_field(field, value)
        elif isinstance(value, Struct):
            check_fields(value)
            # Its reader makes it anew, and refuses what is out of range.
            if (made := getattr(value, "__post_init__", None)) is not None:
                made()
        elif not _is_plain(value):
            _check_field(field, value)


def _is_plain(value: object) -> bool:
    """Tell of most values at a glance that they can be written and read."""
    match value:
        case str():
            return value.isascii() and "\0" not in value
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case _:
            return value is None


def _check_field(field: TypedField, value: object) -> None:
    try:
        field.read(check_payload(value, field.name))
    except PayloadError as error:
        kind = field.kind.__name__ if isinstance(field.kind, type) else str(field.kind)
        what = f"{field.name} {repr_of(value, _PRINTED)}"
        raise InvalidRequestError(what, f"must be {kind}: {error.reason}") from None


def check_payload(value: Json, what: str) -> bytes:
    """Return a payload as JSON: plain values, and whatever the codec writes as such (dataclasses, structs, models, dates).

    Raises:
        PayloadError: It is not JSON that every backend can carry (NaN, infinity, NUL, a lone surrogate, an integer beyond 64 bits, a
            key that is no text, another type), too deep or too large.
    """
    _check_value(value, what, MAX_DEPTH)
    data = encode(value)
    if len(data) > MAX_PAYLOAD:
        raise PayloadError(what, f"has {len(data)} bytes as JSON, {MAX_PAYLOAD} at most")
    return data


def _check_value(value: Json, what: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        check_storable(value, what)
    elif kind is int:
        if not -(2**63) <= value < 2**63:
            raise PayloadError(what, "has an integer beyond 64 bits")
    elif value is None or kind is bool:
        return
    elif kind is float:
        if not math.isfinite(value):
            raise PayloadError(what, f"has {value!r}, which JSON cannot carry")
    elif kind is dict:
        if depth == 0:
            raise PayloadError(what, f"is nested deeper than {MAX_DEPTH} levels")
        for key, item in value.items():
            if type(key) is not str:
                raise PayloadError(what, f"has the key {repr_of(key, _PRINTED)}, which is not text")
            check_storable(key, what)
            _check_value(item, what, depth - 1)
    elif kind is list or kind is tuple:
        if depth == 0:
            raise PayloadError(what, f"is nested deeper than {MAX_DEPTH} levels")
        for item in value:
            _check_value(item, what, depth - 1)
    else:
        _check_value(_plain(value, what), what, depth)


def _plain(value: object, what: str) -> Json:
    """Return a dataclass, struct, model, date, UUID or the like as JSON data."""
    if not isinstance(value, _NO_JSON):
        try:
            return to_plain(value)
        except PayloadError:
            pass
    raise PayloadError(what, f"has a value of type {type(value).__name__}, which is not JSON")


# The library would write these, but the reader could not tell them from text or a list.
_NO_JSON = (bytes, bytearray, memoryview, set, frozenset)


def check_storable(text: str, what: str) -> None:
    """Refuse a text that not every backend can carry.

    Raises:
        PayloadError: It has a NUL character or a lone surrogate.
    """
    if "\0" in text:
        raise PayloadError(what, "has a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PayloadError(what, "has a lone surrogate") from None
