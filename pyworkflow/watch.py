"""Runs users' code in threads that can be abandoned: code that does not return costs its caller some time, not its life.

Worker, queries and the command line use it for deciders of every style.
"""

import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pyworkflow.errors import BlockedDecisionError
from pyworkflow.mistakes import ControlFlow

T = TypeVar("T")

_PACKAGE = os.path.dirname(__file__)  # noqa: PTH120 - compared with file names as frames have them


LONGEST_SLEEP = 0.5
"""Seconds between two looks at a call that has not returned, at most."""


RECALL_SECONDS = 1.0
"""Seconds after which an exception for another thread is taken back."""


class Dropped(ControlFlow):
    """Raised in code whose result nobody waits for any more."""


class Limit:
    """How long the present call of a thread may take.

    Args:
        seconds: Seconds, or seconds without progress.
        subject: What takes that long, for the error.
        progress: A number that changes with progress.
    """

    __slots__ = ("_end", "_inner", "_mark", "_progress", "seconds", "subject")

    def __init__(
        self, seconds: float, subject: str, progress: Callable[[], int] | None = None
    ) -> None:
        self.seconds = seconds
        self.subject = subject
        self._progress = progress
        self._mark = 0 if progress is None else progress()
        self._end = time.monotonic() + seconds
        self._inner: Limit | None = None

    def remaining(self) -> float:
        """Return the seconds until `exceeded` has to be asked."""
        inner = self._inner
        # The call may narrow it at any time.
        rest = min(LONGEST_SLEEP, max(0.0, self._end - time.monotonic()))
        return rest if inner is None else min(rest, inner.remaining())

    def exceeded(self) -> "Limit | None":
        """Return the limit that is exceeded: this one, or one that the call has set for a part of itself."""
        now = time.monotonic()
        if now >= self._end:
            if self._progress is None or (mark := self._progress()) == self._mark:
                return self
            self._mark, self._end = mark, now + self.seconds
        inner = self._inner
        return None if inner is None else inner.exceeded()

    @contextmanager
    def narrowed(self, inner: "Limit") -> Generator[None]:
        """Apply a further limit for the block."""
        self._inner = inner
        try:
            yield
        finally:
            self._inner = None

    def error(self, stack: str) -> BlockedDecisionError:
        """Return the error for exceeding the limit at a place."""
        return BlockedDecisionError(f"{self.subject}. It was here:\n{stack}")


class _Here(threading.local):
    """What the present thread is limited by."""

    limit: Limit | None = None


_here = _Here()


def drop(thread: threading.Thread) -> str:
    """Raise `Dropped` in a thread as soon as it executes Python code; return the stack of what it is doing.

    A call that waits in C for longer than `RECALL_SECONDS` is not reached.
    """
    ident = thread.ident
    if ident is None:
        return ""
    stack = stack_of(thread)
    _raise_in(ident, Dropped)
    threading.Thread(target=_recall, args=(thread, ident), daemon=True).start()
    return stack


def _raise_in(ident: int, kind: type[BaseException] | None) -> None:
    exception = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), exception)


def _recall(thread: threading.Thread, ident: int) -> None:
    """Take back an exception that has not reached its thread.

    Up to Python 3.12 one that waits makes all threads look for it, at each call and each loop, and in 3.11 those that are traced or profiled
    hang. What ends that is an exception that does reach its thread.
    """
    time.sleep(RECALL_SECONDS)
    if thread.is_alive():
        _raise_in(ident, None)
    with suppress(Dropped):
        _raise_in(threading.get_ident(), Dropped)
        while True:
            time.sleep(0)


def stack_of(thread: threading.Thread) -> str:
    """Return the users' part of a thread's stack."""
    # The only way to see what another thread does.
    frame = sys._current_frames().get(thread.ident or 0)  # pyright: ignore[reportPrivateUsage]
    return "" if frame is None else _users_part(traceback.extract_stack(frame))


class StepThread:
    """A daemon thread that runs one call at a time, and can be abandoned.

    Attributes:
        stack: Where it was when it was abandoned.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._abandoned = False
        self.stack = ""
        self._thread = threading.Thread(target=self._run, daemon=True, name="pyworkflow-decider")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it still runs what was abandoned."""
        return self._thread.is_alive()

    def begin(self, call: Callable[[], None]) -> None:
        """Run a call that raises nothing."""
        self._calls.put(call)

    def abandon(self, key: object = None) -> str:
        """Have the thread end as soon as it can; return the stack of what it is doing.

        Args:
            key: What it is about: `check_stuck` refuses another call for the same key while this one still runs.
        """
        self._abandoned = True
        for other in [k for k, thread in list(_stuck.items()) if not thread.busy]:
            _stuck.pop(other, None)
        if key is not None:
            _stuck[key] = self
        self.stack = drop(self._thread)
        return self.stack

    def _run(self) -> None:
        # The exception that ends a call may come a moment late, when the call has ended by itself.
        with suppress(Dropped):
            while not self._abandoned:
                # What one call sets in its context is not seen by the next.
                copy_context().run(self._calls.get())


def _users_part(stack: traceback.StackSummary) -> str:
    """Return the users' part of a stack, or all of it if there is none."""
    users = [entry for entry in stack if not entry.filename.startswith(_PACKAGE)]
    # Below the first frame of the package are only those of the thread.
    first = next((i for i, e in enumerate(stack) if e.filename.startswith(_PACKAGE)), 0)
    return "".join(
        traceback.format_list([entry for entry in users if entry in stack[first:]] or list(stack))
    ).rstrip()


_idle: list[StepThread] = []
_stuck: dict[object, StepThread] = {}


def _forget_threads() -> None:
    _idle.clear()
    _stuck.clear()


os.register_at_fork(after_in_child=_forget_threads)


def take_thread() -> StepThread:
    """Return a thread that has nothing to do."""
    try:
        return _idle.pop()
    except IndexError:
        return StepThread()


def return_thread(thread: StepThread) -> None:
    """Keep a thread whose call is over for the next `take_thread`."""
    _idle.append(thread)


def check_stuck(key: object) -> None:
    """Refuse to begin what an abandoned thread still does.

    Raises:
        BlockedDecisionError: The thread of an abandoned call with this key is still running.
    """
    if (stuck := _stuck.get(key)) is not None:
        if stuck.busy:
            raise BlockedDecisionError(
                f"an earlier decision of the process still blocks its thread. It was here:\n{stuck.stack}"
            )
        _stuck.pop(key, None)


@contextmanager
def limited(limit: Limit) -> Generator[None]:
    """Have the present thread's call limited; `watched` within it needs no further thread."""
    _here.limit = limit
    try:
        yield
    finally:
        _here.limit = None


def watched(call: Callable[[], T], key: object, limit: Limit | None) -> T:
    """Run a call in a thread of its own; abandon it when it takes too long.

    Within a call that is watched already, the limit applies to that part of it.

    Args:
        call: What to run.
        key: What it is about: an abandoned call must have ended before the next one with the same key begins.
        limit: How long it may take; None to run in the present thread, for as long as it takes.

    Raises:
        BlockedDecisionError: The call was abandoned, or an earlier one still runs.
    """
    if limit is None:
        return call()
    if (outer := _here.limit) is not None:
        with outer.narrowed(limit):
            return call()
    check_stuck(key)
    thread = take_thread()
    answers: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    thread.begin(partial(_answer, call, limit, answers))
    try:
        answer = _wait(answers, limit)
    except BaseException:
        # The user interrupts.
        thread.abandon()
        raise
    if isinstance(answer, Limit):
        raise answer.error(thread.abandon(key))
    return_thread(thread)
    completed, value = answer
    if not completed:
        raise value
    returned: T = value
    return returned


def _answer(
    call: Callable[[], Any], limit: Limit, answers: "SimpleQueue[tuple[bool, Any]]"
) -> None:
    try:
        with limited(limit):
            answer = (True, call())
    except BaseException as error:
        answer = (False, error)
    answers.put(answer)


def _wait(answers: "SimpleQueue[tuple[bool, Any]]", limit: Limit) -> tuple[bool, Any] | Limit:
    while True:
        try:
            return answers.get(timeout=limit.remaining())
        except Empty:
            if (exceeded := limit.exceeded()) is not None:
                return exceeded
