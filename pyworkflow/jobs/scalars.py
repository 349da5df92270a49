"""What an unquoted scalar of a job file means: what YAML 1.1 and YAML 1.2 agree on, and nothing that surprises.

YAML 1.1 reads ``no`` as a boolean, ``017`` as 15, ``12:30`` as 750 and ``2024-01-31`` as a date; YAML 1.2, which editors and other
languages read, has text or other numbers there. Whichever was meant, quotes or another spelling say it, so these are refused.
"""

import math
import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"(?:[-+]?(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_SURPRISES = (
    (re.compile(r"yes|no|on|off", re.IGNORECASE), "a boolean to some and text to others"),
    (re.compile(r"[-+]?0[0-9_]+(?:\.[0-9_]*)?|[-+]?0o[0-7]+"), "an octal number to some"),
    (re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+)"), "a binary or hexadecimal number to some"),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"),
        "a number of base 60 to some",
    ),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"), "a date to some"),
    # With underscores, a sign before the point, or an exponent without a point or a sign.
    (
        re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"),
        "a number to some and text to others",
    ),
    (re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE), "no number that JSON can carry"),
)
_MAX_DIGITS = 20
"""More than any number of 64 bits has."""


def resolved(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar means.

    Raises:
        ValueError: It does not mean the same to everybody, or is a number that JSON cannot carry.
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in "+-.0123456789yYnNoO":
        return text
    if _INTEGER.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    for pattern, reading in _SURPRISES:
        if pattern.fullmatch(text):
            raise ValueError(
                f"{_cut(text)} is {reading}: quote it if it is text, or write it differently"
            )
    return text


def _integer(text: str) -> int:
    number = int(text, 0) if len(text) <= _MAX_DIGITS else 2**64
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{_cut(text)} is an integer beyond 64 bits: quote it if it is text")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{_cut(text)} is beyond the range of numbers: quote it if it is text")
    return number


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
