"""What comes in: bodies within their bounds, strict JSON, queries and forms, all as typed values."""

import asyncio
import json
import re
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from pyworkflow.codec import Json
from pyworkflow.errors import InvalidRequestError
from pyworkflow.values import check_payload
from pyworkflow.web.limits import Limits
from pyworkflow.web.problems import Problem

T = TypeVar("T")

_PATH = re.compile(r" - at `(key in )?\$\.?(.*)`$")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `(.*?)`")
MOST_FIELDS = 50
"""Fields of a form or of a query."""
LONGEST_NUMBER = 400
"""Characters of a number in JSON: no 64-bit number needs them, and long ones take long to read."""


async def read_body(request: Request, limits: Limits, media_type: str) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: It is of another type, too large, or too slow.
    """
    _check_media_type(request.headers, media_type)
    told = request.headers.get("content-length", "0")
    if len(told) > 18 or (told.isdigit() and int(told) > limits.body):
        _too_large(limits)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    _too_large(limits)
                parts.append(part)
    except TimeoutError:
        close = {"Connection": "close"}
        raise Problem(408, "the body did not arrive in time", headers=close) from None
    except ClientDisconnect:
        raise Problem(400, "the body ended too early") from None
    return b"".join(parts)


def _too_large(limits: Limits) -> NoReturn:
    # The rest of it is still on its way, and nobody will read it.
    close = {"Connection": "close"}
    raise Problem(413, f"the body is larger than {limits.body} bytes", headers=close)


def _check_media_type(headers: Headers, wanted: str) -> None:
    given, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if given.strip().lower() != wanted or charset not in ("", "charset=utf-8"):
        raise Problem(415, f"the body must be {wanted}, in UTF-8", "Content-Type")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "the body must not be compressed", "Content-Encoding")


def parse_json(body: bytes, kind: type[T]) -> T:
    """Return a JSON body as a value of a type.

    Raises:
        Problem: It is no JSON, has a key twice, or is not of this type; the field is named.
    """
    return converted(plain_json(body), kind)


def plain_json(body: bytes) -> Json:
    """Return what a JSON body holds.

    Raises:
        Problem: It is no JSON, or has a key twice.
    """
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        told = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, f"the body is no JSON: {told}") from None


def parse_query(request: Request, kind: type[T]) -> T:
    """Return the parameters of a request as a value of a type.

    Raises:
        Problem: One is unknown, given twice, or not of its type.
    """
    return converted(_once(request.query_params.multi_items()), kind, strict=False)


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        Problem: It is none, or a field is given twice.
    """
    try:
        text = body.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(400, "the body is no form") from None
    return _once(pairs)


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(422, "is given twice", name[:100])
        found[name] = value
    return found


def converted(plain: object, kind: type[T], *, strict: bool = True) -> T:
    """Return plain data as a value of a type.

    Raises:
        Problem: It is not of this type; the field is named.
    """
    try:
        return msgspec.convert(plain, kind, strict=strict)
    except msgspec.ValidationError as error:
        message = str(error)
        path = found[2] if (found := _PATH.search(message)) else ""
        if named := _NAMED.search(message):
            path = f"{path}.{named[1]}".lstrip(".")
        raise Problem(422, _PATH.sub("", message), path[:200] or None) from None


def check_json(value: Any, field: str) -> None:
    """Refuse a payload that no backend takes, naming its field.

    Raises:
        Problem: It is too large, too deep, or no JSON that all backends carry.
    """
    try:
        check_payload(value, field)
    except InvalidRequestError as error:
        raise Problem(422, str(error), field) from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


def _number(text: str) -> float:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return float(text)
