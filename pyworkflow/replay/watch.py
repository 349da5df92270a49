"""Running replayed code in a thread that can be given up: a decider that blocks costs its worker a few seconds, not its life."""

import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pyworkflow.errors import BlockedDecisionError
from pyworkflow.replay.failures import Dropped

T = TypeVar("T")

_PACKAGE = os.path.dirname(__file__)  # noqa: PTH120 - compared with file names as frames have them

Answer = tuple[bool, Any]


class StepThread:
    """A thread that runs one call at a time."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._given_up = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="pyworkflow-replay")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it still runs what was given up."""
        return self._thread.is_alive()

    def begin(self, call: Callable[[], Any]) -> None:
        """Run a call."""
        self._calls.put(call)

    def answer(self, timeout: float | None) -> Answer | None:
        """Return how the call ended, or None if it has not."""
        try:
            return self._answers.get(timeout=timeout)
        except Empty:
            return None

    def give_up(self) -> str:
        """Have the thread end as soon as it can; return what it is doing."""
        self._given_up = True
        ident = self._thread.ident
        # The only way to see what another thread does.
        frame = sys._current_frames().get(ident or 0)  # pyright: ignore[reportPrivateUsage]
        shown = "" if frame is None else _where(traceback.extract_stack(frame))
        if ident is not None:
            # Ends loops of Python code. A call that waits in C is not reached until it returns.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(Dropped)
            )
        return shown

    def _run(self) -> None:
        # The exception that ends a call may come a moment late, when the call has ended by itself.
        with suppress(Dropped):
            while not self._given_up:
                self._answer(self._calls.get())

    def _answer(self, call: Callable[[], Any]) -> None:
        try:
            answer: Answer = (True, call())
        except BaseException as error:
            answer = (False, error)
        self._answers.put(answer)


def _where(stack: traceback.StackSummary) -> str:
    """Return the users' part of a stack, or all of it if there is none."""
    theirs = [entry for entry in stack if not entry.filename.startswith(_PACKAGE)]
    # Below the first frame of ours are only those of the thread.
    first = next((i for i, e in enumerate(stack) if e.filename.startswith(_PACKAGE)), 0)
    shown = [entry for entry in theirs if entry in stack[first:]] or list(stack)
    return "".join(traceback.format_list(shown)).rstrip()


_idle: list[StepThread] = []
_stuck: dict[object, StepThread] = {}


def _forget_threads() -> None:
    _idle.clear()
    _stuck.clear()


os.register_at_fork(after_in_child=_forget_threads)


def watched(
    call: Callable[[], T], key: object, limit: float | None, progress: Callable[[], int]
) -> T:
    """Run a call in a thread of its own; give it up when it makes no progress.

    Args:
        call: What to run.
        key: What it is about: a call that was given up must have ended before the next one with the same key begins.
        limit: Seconds without progress; None to run in the present thread, for as long as it takes.
        progress: A number that changes with progress.

    Raises:
        BlockedDecisionError: The call was given up, or an earlier one still runs.
    """
    if limit is None:
        return call()
    if (stuck := _stuck.get(key)) is not None:
        if stuck.busy:
            raise BlockedDecisionError("an earlier decision of the process still blocks its thread")
        _stuck.pop(key, None)
    thread = _idle.pop() if _idle else StepThread()
    thread.begin(call)
    try:
        answer = _wait(thread, limit, progress)
    except BaseException:
        # The user interrupts.
        thread.give_up()
        raise
    if answer is None:
        for other in [k for k, t in list(_stuck.items()) if not t.busy]:
            _stuck.pop(other, None)
        _stuck[key] = thread
        raise BlockedDecisionError(
            f"the workflow has blocked its thread for {limit:g} s. In a workflow only await: self.sleep(...) to wait, "
            f"self.activity(...) for work. It was here:\n{thread.give_up()}"
        )
    _idle.append(thread)
    done, value = answer
    if not done:
        raise value
    returned: T = value
    return returned


def _wait(thread: StepThread, limit: float, progress: Callable[[], int]) -> Answer | None:
    seen = progress()
    end = time.monotonic() + limit
    while True:
        answer = thread.answer(max(0.0, end - time.monotonic()))
        if answer is not None:
            return answer
        if (now := progress()) == seen:
            return None
        seen = now
        end = time.monotonic() + limit
