"""Runs the command line on a database, for the tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyworkflow.manager import Manager

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference/cli.md"


class Shell:
    """Runs commands on one database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{self.path}", *words]

    def run(self, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return execute(self.command(*words), ROOT, given)

    @contextmanager
    def running(
        self, *words: str, stdout: int = subprocess.PIPE
    ) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen(
            self.command(*words),
            cwd=ROOT,
            # Python's own buffering is under test, too.
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            try:
                yield program
            finally:
                program.kill()

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, code: int, *words: str, given: str = "") -> str:
        return refusal(code, self.run(*words, given=given))


def execute(
    command: list[str], folder: Path, given: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        input=given,
        timeout=60,
    )


def refusal(code: int, done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == code, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    return done.stderr


def decide(of: Manager, *decisions: Any) -> None:
    task = of.next_decision()
    assert task is not None
    of.complete_task(task, decisions)


def decide_about(of: Manager, process_id: str, decision: Any) -> None:
    while (task := of.next_decision()) is not None:
        of.complete_task(task, [decision] if task.process.id == process_id else [])
        if task.process.id == process_id:
            return
    raise AssertionError(f"nothing to decide about {process_id}")
