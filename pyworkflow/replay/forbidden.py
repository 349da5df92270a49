"""What replayed code must leave to activities, and what it is told instead."""

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from pyworkflow.errors import ForbiddenInWorkflowError

_ACTIVITY = "do it in an activity, and await self.activity(...)"
_THREAD = f"threads and executors cannot be replayed: {_ACTIVITY}"
_NETWORK = f"connections cannot be replayed: {_ACTIVITY}"
_PROCESS = f"subprocesses cannot be replayed: {_ACTIVITY}"

LOOP: dict[str, str] = {
    "run_in_executor": _THREAD,
    "set_default_executor": _THREAD,
    "call_soon_threadsafe": f"{_THREAD}; whoever is outside sends a signal with manager.signal_process(...)",
    "subprocess_exec": _PROCESS,
    "subprocess_shell": _PROCESS,
    "add_signal_handler": "UNIX signals go to the worker; await self.signal(...) waits for a signal to the process",
    "run_until_complete": "the workflow runs in its own loop already: await instead",
    "run_forever": "the workflow runs in its own loop already: await instead",
}
"""Methods of an event loop that have advice of their own; all others are about connections."""

_EVENTS: dict[str, str] = {
    "time.sleep": "it holds up all processes of the worker: await self.sleep(...)",
    "_thread.start_new_thread": _THREAD,
    "_thread.start_joinable_thread": _THREAD,
    "socket.connect": _NETWORK,
    "socket.bind": _NETWORK,
    "socket.getaddrinfo": _NETWORK,
    "socket.gethostbyname": _NETWORK,
    "socket.sendto": _NETWORK,
    "subprocess.Popen": _PROCESS,
    "os.system": _PROCESS,
    "os.fork": _PROCESS,
    "os.forkpty": _PROCESS,
    "os.posix_spawn": _PROCESS,
    "os.exec": _PROCESS,
}
"""Audit events of the interpreter (``sys.addaudithook``)."""


class _Local(threading.local):
    guarded = False


_local = _Local()
_installing = threading.Lock()
_installed = False


def forbid(what: str, advice: str) -> NoReturn:
    """Refuse something.

    Raises:
        ForbiddenInWorkflowError: Always.
    """
    raise ForbiddenInWorkflowError(f"{what} inside a replayed workflow: {advice}")


def _hook(event: str, arguments: Any) -> None:
    # Called for every audit event of the interpreter: a look into a dict and no more, for all but a few.
    advice = _EVENTS.get(event)
    if advice is not None and _local.guarded:
        forbid(event, advice)


def _tell_of_threads() -> None:
    """Have Python 3.11 tell of new threads as later ones do."""
    # Not an early return: a type checker would call the rest unreachable on later versions.
    if sys.version_info < (3, 12):
        module: Any = threading
        begin = module._start_new_thread

        def start_new_thread(*args: Any) -> Any:
            _hook("_thread.start_new_thread", args)
            return begin(*args)

        module._start_new_thread = start_new_thread


@contextmanager
def guarded() -> Generator[None]:
    """Refuse what cannot be replayed, in this thread, for as long as the block lasts."""
    global _installed
    if not _installed:
        with _installing:
            if not _installed:
                sys.addaudithook(_hook)
                _tell_of_threads()
                _installed = True
    before, _local.guarded = _local.guarded, True
    try:
        yield
    finally:
        _local.guarded = before


@contextmanager
def unguarded() -> Generator[None]:
    """Allow everything again: for side effects, whose results are recorded."""
    before, _local.guarded = _local.guarded, False
    try:
        yield
    finally:
        _local.guarded = before
