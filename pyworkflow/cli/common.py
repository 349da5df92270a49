"""What all commands share: the backend, the exit codes, JSON given on the command line."""

import json
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from pyworkflow.backoff import ride_out
from pyworkflow.codec import Json
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    ProcessAlreadyExistsError,
    ProcessClosedError,
    PyworkflowError,
    StaleCursorError,
    StaleTaskError,
    TimedOutError,
    UnknownResourceError,
)
from pyworkflow.values import check_seconds

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_BACKEND = "sqlite:///.pyworkflow/pyworkflow.db"

PATIENCE = 60.0
"""Seconds that a command waits for a store that is away."""

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
    (StaleCursorError, CONFLICT),
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
def opened(
    context: click.Context, workflows: Iterable[str] = (), patience: float = 0
) -> Generator[Any]:
    """Open the backend that the command line names, and close it at the end.

    Args:
        context: Knows the backend.
        workflows: Names of the workflows that the program of the command line has, for hints.
        patience: Seconds to wait for a store that is away.

    Raises:
        BackendUnavailableError: It cannot be used.
    """
    from pyworkflow.backend.registry import connect

    url: str = context.obj["backend"]
    _see_to_directory(url)
    with (
        ride_out(lambda: connect(url), report_outage, patience) as backend,
        hinting(backend, workflows),
    ):
        yield backend


def report_outage(error: BackendUnavailableError) -> None:
    """Say that a command waits for its store."""
    from pyworkflow.cli.output import safe

    click.echo(f"waiting for the store: {safe(str(error))}", err=True)


def patience_option(function: F) -> F:
    """Add the option ``--patience``."""
    return click.option(
        "--patience",
        type=click.FloatRange(min=0),
        default=PATIENCE,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for a store that is away, for example while its server starts again.",
    )(function)


@contextmanager
def hinting(backend: Any, workflows: Iterable[str] = ()) -> Generator[None]:
    """Have errors about something unknown say what may have been meant."""
    try:
        yield
    except UnknownResourceError as error:
        from pyworkflow.cli.suggest import hinted

        raise hinted(error, backend, workflows) from error


def backend_is_default(context: click.Context) -> bool:
    """Tell whether neither the command line nor the environment names a backend."""
    source = context.find_root().get_parameter_source("backend")
    return source in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def _see_to_directory(url: str) -> None:
    """Make the directory of the default database; of any other, see that it is there: a misspelt path shall not become one."""
    scheme, separator, path = url.partition(":///")
    if not separator or scheme.rpartition("+")[2] != "sqlite":
        return
    folder = Path(path).parent
    try:
        if url == DEFAULT_BACKEND:
            folder.mkdir(mode=0o700, exist_ok=True)
        elif not folder.is_dir():
            what = "is no directory" if folder.exists() else "does not exist"
            raise BackendUnavailableError(f"the directory {folder} of {path} {what}")
    except OSError as error:
        told = f"the directory {folder} cannot be used: {error.strerror}"
        raise BackendUnavailableError(told) from error


@contextmanager
def needing(extra: str, what: str) -> Generator[None]:
    """Import what only an extra brings, or say how to get it.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    try:
        yield
    except ImportError as error:
        reason = f"needs the extra: pip install 'pyworkflow-swf[{extra}]' ({error.name} is missing)"
        raise BackendUnavailableError(f"{what} {reason}") from error


def json_option(function: F) -> F:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        function
    )


def process_argument(function: F) -> F:
    """Add the argument that names a process, as ``id`` or ``id:run``."""
    return click.argument("process_id", callback=_checked_id)(function)


def _checked_id(context: click.Context, parameter: click.Parameter, name: str) -> str:
    _, _, run = name.partition(":")
    if run.isascii() and run.isdigit() and (len(run) > 18):
        raise click.BadParameter("there is no run of such a number", context, parameter)
    return name


def parsed(text: str, what: str) -> Json:
    """Return JSON given as text, as ``@file``, or as ``-`` for standard input.

    Raises:
        InvalidRequestError: It is no JSON, or the file cannot be read.
    """
    if text == "-":
        try:
            text = sys.stdin.read()
        except UnicodeError as error:
            raise InvalidRequestError(what, f"is no UTF-8: {error}") from error
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
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
