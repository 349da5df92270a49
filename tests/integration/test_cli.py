"""The command line, on a SQLite file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from pyworkflow.cli import COMMANDS
from pyworkflow.decision import CompleteProcess, ScheduleActivity, Timer
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from tests.integration.program import OneWorkflow, StepsWorkflow, manager

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs commands on one database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{self.path}", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            input=given,
            timeout=60,
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, code: int, *words: str, given: str = "") -> str:
        done = self.run(*words, given=given)
        assert done.returncode == code, done
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")
        return done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "cli.db")


@pytest.fixture
def of(shell: Shell) -> Manager:
    return manager(str(shell.path))


def decide(of: Manager, *decisions: Any) -> None:
    task = of.next_decision()
    assert task is not None
    of.complete_task(task, decisions)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(shell: Shell, command: str) -> None:
    done = shell.run(command, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_a_process_is_started_seen_and_ended(shell: Shell, of: Manager) -> None:
    started = shell.run("start", "Steps", "--input", '{"a": 0}', "--id", "one", "--tag", "x")
    assert started.stdout == "one\n"
    assert [p["id"] for p in shell.json("list", "--tag", "x")] == ["one"]

    assert shell.run("signal", "one", "hello", "--data", "-", given="[1]").returncode == 0
    history = shell.run("history", "one", "--json").stdout.splitlines()
    assert [json.loads(line)["type"] for line in history] == ["process_started", "signal"]

    assert shell.run("terminate", "one", "--reason", "enough").returncode == 0
    shown = shell.json("show", "one")
    assert (shown["status"], shown["input"]) == ("terminated", {"a": 0})
    assert "terminated" in shell.run("list", "--all").stdout
    assert shell.json("check") == []


def test_why_says_what_is_waited_for(shell: Shell, of: Manager) -> None:
    of.start_process(Process(OneWorkflow, id="one", input=["slow", "x"]))
    assert "no worker polls" in shell.run("why", "one").stdout
    decide(of, ScheduleActivity("slow", id="a"), Timer(60, id="t"))

    told = shell.run("why", "one").stdout

    assert "activity slow (a) waits" in told
    assert "timer t fires at" in told


def test_the_feed_is_watched(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))

    lines = shell.run("watch", "--from-start", "--limit", "1", "--json").stdout.splitlines()

    assert [json.loads(line)["process_id"] for line in lines] == ["one"]


def test_old_processes_are_purged(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    decide(of, CompleteProcess())

    assert shell.run("purge", "--older", "1h", "--yes").stdout == "0 removed\n"
    assert shell.run("purge", "--older", "0", "--yes").stdout == "1 removed\n"
    shell.refused(2, "purge", "--older", "-1d", "--yes")
    shell.refused(2, "purge", "--older", "nan", "--yes")


def test_bad_input_is_one_line_and_changes_nothing(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="shut"))
    of.terminate_process("shut")

    assert "nope" in shell.refused(4, "start", "nope")
    assert "nobody" in shell.refused(4, "show", "nobody")
    shell.refused(5, "signal", "shut", "x")
    shell.refused(5, "start", "Steps", "--id", "shut", "--input", "1")
    shell.refused(2, "start", "Steps", "--input", "{")
    shell.refused(2, "start", "Steps", "--input", "NaN")
    shell.refused(2, "start", "Steps", "--input", "-", given=json.dumps("x" * 10_000_000))
    shell.refused(2, "start", "Steps", "--id", "a\x1b[31m")
    shell.refused(2, "start", "Steps", "--wait", "nan")
    shell.refused(2, "worker", "--app", "no.such.module")
    assert [p["id"] for p in shell.json("list", "--all")] == ["shut"]


def test_a_store_that_cannot_be_used_is_told(shell: Shell, of: Manager, tmp_path: Path) -> None:
    of.backend.close()
    newer = apsw.Connection(str(shell.path))
    newer.execute("pragma user_version = 99")
    newer.close()
    assert "upgrade" in shell.refused(3, "list")

    other = Shell(tmp_path / "other.db")
    other.path.write_text(
        "no database at all, but a text that is long enough to have a header " * 9
    )
    assert "no SQLite database" in other.refused(3, "list")
    shell.path = tmp_path / "missing" / "x.db"
    shell.refused(3, "list")


def test_control_characters_of_data_do_not_reach_the_terminal(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    of.terminate_process("one", "\x1b[31mred\n")

    shown = shell.run("show", "one").stdout + shell.run("history", "one").stdout

    assert "\x1b" not in shown
