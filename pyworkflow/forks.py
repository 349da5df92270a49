"""Forks: whatever an OS process must not share with its child is closed before one, or replaced in the child.

Locks are part of that: in the child, the threads that hold them do not exist. The rules are in docs/architecture/forks.md.
"""

import logging
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import RLock

_log = logging.getLogger("pyworkflow.forks")


class ForkAware:
    """Something that takes part in forks once `watch_forks` has been called with it. Each method does nothing by itself."""

    def before_fork(self) -> None:
        """Wait for the calls of other threads, keep new ones out, and close what only this OS process may use."""

    def after_fork_in_parent(self) -> None:
        """Let calls in again."""

    def after_fork_in_child(self) -> None:
        """Replace locks and whatever else the parent goes on to use. Nothing may wait here, nor send to the parent's peers."""


fork_lock = RLock()
"""Held during a fork. Whoever holds it keeps forks of other threads waiting."""

_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()
_prepared: list[ForkAware] = []


def watch_forks(aware: ForkAware) -> None:
    """Have an object take part in forks for as long as it exists."""
    with fork_lock:
        _aware.add(aware)


def drop_descriptor(fd: int) -> None:
    """Close a file of the parent's in a child, where an interrupted call might still use its number."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.dup2(null, fd, inheritable=False)
    finally:
        os.close(null)


def _before() -> None:
    fork_lock.acquire()
    for aware in list(_aware):
        # Even one that fails, or is interrupted, may hold locks by then.
        _prepared.append(aware)
        aware.before_fork()


def _after_in_parent() -> None:
    prepared, _prepared[:] = list(_prepared), []
    _end([aware.after_fork_in_parent for aware in prepared])


def _after_in_child() -> None:
    _prepared.clear()
    # All of them: whoever forks in C need not have called the other hooks.
    _end([aware.after_fork_in_child for aware in list(_aware)])


def _end(steps: list[Callable[[], None]]) -> None:
    """Take steps after a fork. None can keep the others from being taken."""
    try:
        for step in steps:
            try:
                step()
            except Exception:
                _log.exception("after a fork, %r has failed", step)
    finally:
        with suppress(RuntimeError):
            fork_lock.release()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
