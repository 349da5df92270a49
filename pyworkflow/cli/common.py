"""What all commands share: the backend, the exit codes, JSON given on the command line."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from pyworkflow.codec import Json
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    ProcessAlreadyExistsError,
    ProcessClosedError,
    PyworkflowError,
    StaleTaskError,
    TimedOutError,
    UnknownResourceError,
)
from pyworkflow.values import check_seconds

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_BACKEND = "sqlite:///.pyworkflow/pyworkflow.db"

DONE, FAILED, USAGE, UNAVAILABLE, UNKNOWN, CONFLICT, TIMED_OUT, INTERRUPTED = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    130,
)

EXIT_CODES: list[tuple[type[PyworkflowError], int]] = [
    (TimedOutError, TIMED_OUT),
    (BackendUnavailableError, UNAVAILABLE),
    (StaleTaskError, CONFLICT),
    (ProcessAlreadyExistsError, CONFLICT),
    (ProcessClosedError, CONFLICT),
    (UnknownResourceError, UNKNOWN),
    (InvalidRequestError, USAGE),
    (PyworkflowError, FAILED),
]
"""The first class that fits an error decides the exit code."""


def exit_code(error: PyworkflowError) -> int:
    """Return the exit code that an error ends the command with."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


@contextmanager
def opened(context: click.Context) -> Iterator[Any]:
    """Open the backend that the command line names, and close it at the end."""
    from pyworkflow.backend.registry import connect

    url: str = context.obj["backend"]
    if url == DEFAULT_BACKEND:
        Path(".pyworkflow").mkdir(mode=0o700, exist_ok=True)
    with connect(url) as backend:
        yield backend


def json_option(function: F) -> F:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        function
    )


def parsed(text: str, what: str) -> Json:
    """Return JSON given as text, as ``@file``, or as ``-`` for standard input.

    Raises:
        InvalidRequestError: It is no JSON, or the file cannot be read.
    """
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise InvalidRequestError(f"{what} {text!r}", str(error)) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(what, f"is no JSON: {error}") from None


def duration(text: str) -> float:
    """Return a duration such as ``90``, ``15m``, ``36h`` or ``30d`` in seconds.

    Raises:
        InvalidRequestError: It is none.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        reason = "must be like 90, 15m, 36h or 30d"
        raise InvalidRequestError(f"duration {text!r}", reason) from None
    return check_seconds(seconds, "duration")
