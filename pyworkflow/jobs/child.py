"""The OS process of a task: one attempt, from `on_create` to `on_destroy`."""

import ctypes
import inspect
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from pyworkflow.clock import Clock
from pyworkflow.failure import describe
from pyworkflow.jobs.channel import Assignment, Ended, Said, TaskEnd, sayable
from pyworkflow.jobs.eventbus.log import Severity
from pyworkflow.jobs.shared import SharedDict
from pyworkflow.jobs.streams import stream
from pyworkflow.jobs.task import TASKS, Task, TaskContext

PR_SET_PDEATHSIG = 1
"""From ``<linux/prctl.h>``."""

_LIBC = ctypes.CDLL(None)


class _Aborted(BaseException):
    """The job was interrupted."""


def run(control: int, clock: Clock) -> None:
    """Do what comes through a socket, say how it ended, and return.

    Args:
        control: File descriptor of the socket to the driver.
        clock: Tells when something was said.
    """
    with socket.socket(fileno=control) as connection:
        end = TaskEnd(connection)

        def tell(severity: Severity, message: str) -> None:
            end.send(Said(severity, sayable(message), clock.now()))

        assignment = end.assignment()
        sys.stdout = stream(1, lambda line: tell(Severity.INFO, line))
        sys.stderr = stream(2, lambda line: tell(Severity.ERROR, line))
        outs = sys.stdout, sys.stderr
        context = TaskContext(assignment.metadata, SharedDict(end.ask), tell)
        ended = _Attempt(assignment, context, end.interrupt).run()
        # As a program ends: executors that were left open end their threads, and the others are waited for.
        threading._shutdown()  # type: ignore[attr-defined]
        for out in outs:
            with suppress(ValueError):  # the task has taken it apart
                out.close()
        end.send(ended)


class _Attempt:
    """Takes a task through its methods.

    Args:
        assignment: Which task.
        context: What it is given.
        interrupt: Raises what a signal calls for, as soon as that may be.
    """

    def __init__(
        self,
        assignment: Assignment,
        context: TaskContext,
        interrupt: Callable[[BaseException], None],
    ) -> None:
        self._interrupt = interrupt
        self._assignment = assignment
        self._context = context
        self._failed: Ended | None = None

    def run(self) -> Ended:
        """Return how the attempt ended."""
        signal.signal(signal.SIGTERM, self._abort)
        task: Task | None = None
        try:
            try:
                task = self._made()
                self._live(task)
            finally:
                # From here on nothing is cut short any more: what is left to do is to clear up.
                signal.signal(signal.SIGTERM, _pass_over)
        except _Aborted:
            if task is not None:
                self._call(task.on_abort)
                self._call(task.on_destroy)
            return Ended("aborted", "aborted by SIGTERM", None, "Aborted")
        except Exception as error:  # parameters that no longer fit the class
            self._fail(error)
        else:
            if task is not None:
                self._call(task.on_destroy)
        return self._failed or Ended("completed")

    def _abort(self, number: int, frame: FrameType | None) -> None:
        # One is enough; the next must not cut off `on_abort`.
        signal.signal(number, _pass_over)
        self._interrupt(_Aborted())

    def _made(self) -> Task:
        found = TASKS.get(self._assignment.metadata.variant)
        return found.for_attempt(self._assignment.parameters, self._context)

    def _live(self, task: Task) -> None:
        if not self._call(task.on_create):
            return
        if self._assignment.restarted and not self._call(task.on_restart):
            return
        self._call(task.on_success if self._call(task.run) else task.on_failure)

    def _call(self, method: object) -> bool:
        """Call a method of the task; return whether it succeeded."""
        try:
            returned = method() if callable(method) else None
            if inspect.iscoroutine(returned):
                # Not at the top: every page of the fork server makes each fork slower.
                import asyncio

                asyncio.run(returned)
        except SystemExit as error:
            if error.code in (None, 0):
                return True
            self._fail(error)
        except _Aborted:
            raise
        except BaseException as error:  # KeyboardInterrupt, too, is a failure of this task alone
            self._fail(error)
        else:
            return True
        return False

    def _fail(self, error: BaseException) -> None:
        # Where it went through our own code is of no use to anybody.
        inner = error.__traceback__ and error.__traceback__.tb_next
        description = describe(BaseException.with_traceback(error, inner))
        shown = description.details.rstrip()
        if isinstance(error, SystemExit):
            shown = f"the task ended with exit status {error.code}"
        self._context.logger.error(shown)
        # The first failure is the reason; what fails on the way out has been logged.
        reason = description.reason if isinstance(error, Exception) else description.line
        self._failed = self._failed or Ended("failed", reason, shown, description.kind)


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Do nothing; programs that the task starts would inherit SIG_IGN."""


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent, where it can.

    Args:
        parent: Its id; if it is gone already, this process ends at once.
    """
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
