"""Tasks for tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyworkflow.jobs.task import Task, task

FATAL: dict[str, Callable[[], object]] = {
    "os._exit(3)": lambda: os._exit(3),
    "os._exit(0)": lambda: os._exit(0),
    "sys.exit(3)": lambda: sys.exit(3),
    "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class Unsayable(Exception):
    """Cannot say what it is about."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("no words")


@task
class Odd(Task):
    """Does what most tasks do not."""

    how: str

    def run(self) -> None:
        """Do it."""
        getattr(self, self.how.replace(" ", "_"))()

    def on_destroy(self) -> None:
        """Tell that it comes to this."""
        print("destroyed")

    def raise_a_lone_surrogate(self) -> None:
        """Do as a file does whose name is no UTF-8."""
        raise FileNotFoundError("caf\udce9")

    def log_a_lone_surrogate(self) -> None:
        """Log such a name."""
        self.logger.info("caf\udce9")

    def raise_without_words(self) -> None:
        """Raise what has no text."""
        raise Unsayable

    def leave_an_executor_open(self) -> None:
        """Have threads that wait for work."""
        executor = ThreadPoolExecutor(1)
        executor.submit(print, "in a thread").result()
        KEPT.append(executor)

    def leave_a_program_that_talks(self) -> None:
        """Start what never stops to write."""
        program = subprocess.Popen(["yes"], start_new_session=True)
        print(program.pid)
        # Silences the collector: it is not to be waited for.
        program.returncode = 0

    def die_after_all_is_done(self) -> None:
        """Have the OS process killed when everything else has completed, as a library's own handler may do."""
        os._exit = lambda code: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment, return-value]

    def take_stdout_apart(self) -> None:
        """Leave a stream that cannot be closed."""
        sys.stdout.detach()  # type: ignore[union-attr]
        sys.stdout = sys.__stdout__

    def write_to_the_first_stdout(self) -> None:
        """Write to what modules may have kept as they were imported."""
        print("first", file=sys.__stdout__)

    def ask_for_keys_that_are_not_text(self) -> None:
        """Look for what cannot be there."""
        print(self.shared_dict.get(5), ("a", 1) in self.shared_dict)  # type: ignore[call-overload, comparison-overlap]
        del self.shared_dict[5]  # type: ignore[arg-type]

    def share_too_much(self) -> None:
        """Write more than a history takes."""
        for number in range(3):
            self.shared_dict[str(number)] = "x" * 700_000

    def share_too_much_in_a_transaction(self) -> None:
        """Write more than a history takes, in one step."""
        with self.shared_dict.transaction() as values:
            values["big"] = "x" * 1_600_000

    def share_what_is_too_deep(self) -> None:
        """Write what is just as deep as a payload may be, and would be deeper in the history."""
        value: list[object] = []
        for _ in range(98):
            value = [value]
        self.shared_dict["deep"] = value


KEPT: list[object] = []


@task
class Nothing(Task):
    """Succeeds."""

    def run(self) -> None:
        """Do nothing."""


@task
class Fail(Task):
    """Raises, until a file is there if one is named."""

    mended_by: Path | None = None

    def run(self) -> None:
        """Raise."""
        if self.mended_by is None or not self.mended_by.exists():
            raise RuntimeError("not today")


@task
class Die(Task):
    """Ends its process."""

    how: str

    def run(self) -> None:
        """Die."""
        FATAL[self.how]()


class Traced(Task):
    """Writes down which of its methods are called."""

    trace: Path

    def note(self, what: str) -> None:
        """Write a line."""
        with self.trace.open("a", encoding="utf-8") as file:
            file.write(f"{self.metadata.name} {what}\n")

    def run(self) -> None:
        """Do nothing."""
        self.note("run")

    def on_create(self) -> None:
        """Do nothing."""
        self.note("on_create")

    def on_restart(self) -> None:
        """Do nothing."""
        self.note("on_restart")

    def on_success(self) -> None:
        """Do nothing."""
        self.note("on_success")

    def on_failure(self) -> None:
        """Do nothing."""
        self.note("on_failure")

    def on_abort(self) -> None:
        """Do nothing."""
        self.note("on_abort")

    def on_destroy(self) -> None:
        """Do nothing."""
        self.note("on_destroy")


@task
class Live(Traced):
    """Raises in the methods that are named, in so many attempts."""

    raises: tuple[str, ...] = ()
    attempts: int = 100

    def note(self, what: str) -> None:
        """Write a line, and raise."""
        super().note(what)
        if what in self.raises and self.metadata.attempt <= self.attempts:
            raise ValueError(f"{what} failed")


@task
class Gate(Traced):
    """Starts a process of its own, and waits for a file."""

    opened_by: Path

    def run(self) -> None:
        """Wait."""
        self.shared_dict[self.metadata.name] = "waiting"
        with subprocess.Popen(["sleep", "600"]) as sleeper:
            self.note(f"pid {os.getpid()}")
            self.note(f"pid {sleeper.pid}")
            while not self.opened_by.exists():
                time.sleep(0.02)
            sleeper.kill()
        self.note("went through")


@task
class Speak(Task):
    """Says something in every way there is."""

    def run(self) -> None:
        """Speak."""
        print("one", end="")
        print(" line")
        print("   ")
        print("to stderr", file=sys.stderr)
        self.logger.warning("a warning")
        print("without an end", end="")
        sys.stdout.flush()
        subprocess.run(["sh", "-c", "echo a program; echo its error >&2"], check=True)
        os.write(1, b"bytes without an end")


@task
class Add(Task):
    """Counts in the shared dictionary."""

    times: int

    def run(self) -> None:
        """Count."""
        for _ in range(self.times):
            with self.shared_dict.transaction() as values:
                values["count"] = values.get("count", 0) + 1


@task
class Share(Task):
    """Uses the shared dictionary in every way there is."""

    def run(self) -> None:
        """Use it."""
        shared = self.shared_dict
        shared["list"] = [1]
        shared["list"].append(2)
        shared.update({"a": 1, "b": 2}, c=3)
        del shared["b"]
        try:
            with shared.transaction() as values:
                values["a"] = 100
                raise KeyError
        except KeyError:
            pass
        with shared.transaction() as values:
            values["list"].append(3)
        print(dict(shared), "b" in shared, len(shared))
        shared["bad"] = object()


@task
class Tell(Task):
    """Prints what is in the shared dictionary, and fails if it is to."""

    fails: bool = False

    def run(self) -> None:
        """Print."""
        print(sorted(self.shared_dict.items()))
        self.shared_dict["told"] = self.metadata.name
        if self.fails:
            raise RuntimeError


@task
class Wait(Task):
    """Is a coroutine."""

    async def run(self) -> None:
        """Print."""
        print("awaited")
