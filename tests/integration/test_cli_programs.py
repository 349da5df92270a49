"""The programs that the command line works with: ``--app``."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyworkflow.backend.sqlite import SQLiteBackend
from tests.integration.shell import execute, refusal

PROGRAM = """
from pyworkflow.manager import Manager
from pyworkflow.workflow import Workflow

class GreetWorkflow(Workflow):
    def decide(self, process):
        return []

app = Manager.connect("sqlite:///own.db", [GreetWorkflow])
both = [GreetWorkflow, 3]
nothing = []
number = 3

def make():
    return app

def needing(what):
    return app

def wrong():
    return 3

def failing():
    raise RuntimeError("two\\nlines")

async def later():
    return app
"""


def start_of(app: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pyworkflow", "start", "Greet", "--id", "one", "--app", app]
    return execute(command, folder, **environment)


def ids(path: Path) -> list[str | None]:
    with SQLiteBackend(path) as backend:
        return [process.id for process in backend.processes()]


@pytest.mark.parametrize("name", ["program:app", "program:make"])
def test_the_program_may_be_a_manager_or_make_one(name: str, tmp_path: Path) -> None:
    done = start_of(name, tmp_path)

    assert (done.stdout, done.stderr) == ("one\n", "")
    assert ids(tmp_path / "own.db") == ["one"]
    assert not (tmp_path / ".pyworkflow").exists()


def test_a_backend_that_is_named_goes_before_the_programs_own(tmp_path: Path) -> None:
    done = start_of("program:app", tmp_path, PYWORKFLOW_BACKEND="sqlite:///named.db")

    assert done.stdout == "one\n"
    assert ids(tmp_path / "named.db") == ["one"]
    assert ids(tmp_path / "own.db") == []


@pytest.mark.parametrize("name", ["program", "program:GreetWorkflow"])
def test_the_program_may_be_classes(name: str, tmp_path: Path) -> None:
    assert start_of(name, tmp_path).stdout == "one\n"
    assert ids(tmp_path / ".pyworkflow/pyworkflow.db") == ["one"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("program:number", "an object of type int"),
        ("program:both", "holds an object of type int"),
        ("program:nothing", "is empty"),
        ("program:needing", "the function needing, which needs parameters"),
        ("program:wrong", "the function wrong, which returned an object of type int"),
        ("program:failing", "raised RuntimeError: two\\nlines"),
        ("program:later", "the function later, which returned an object of type coroutine"),
        ("program:mak", "module 'program' has no 'mak'; did you mean 'make'?"),
        ("json", "has no workflows or activities"),
        ("nowhere", "ModuleNotFoundError"),
    ],
)
def test_a_program_of_another_kind_is_named(name: str, told: str, tmp_path: Path) -> None:
    assert told in refusal(2, start_of(name, tmp_path))
