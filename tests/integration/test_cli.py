"""The command line, on a SQLite file."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.cli import COMMANDS
from pyworkflow.decision import CompleteProcess, ScheduleActivity, Timer
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.testing.clock import FakeClock
from tests.integration.program import OneWorkflow, StepsWorkflow, manager
from tests.integration.shell import ROOT, Shell, decide, execute, refusal


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(shell: Shell, command: str) -> None:
    done = shell.run(command, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["--help"]])
def test_output_to_a_full_disk_is_an_error_in_one_line(
    shell: Shell, words: list[str], unbuffered: str
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            shell.command(*words),
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert (done.returncode, done.stderr) == (1, "error: output: No space left on device\n")


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
    assert "no live worker has workflow 'One'" in shell.run("why", "one").stdout
    decide(of, ScheduleActivity("slow", id="a"), Timer(60, id="t"))

    told = shell.run("why", "one").stdout

    assert "activity slow (a) waits" in told
    assert "timer t fires at" in told


def test_workers_and_what_none_of_them_has_are_shown(shell: Shell, of: Manager) -> None:
    of.backend.poll_activity_task(identity="old", names=("step",))
    of.start_process(Process(OneWorkflow, id="one", input=["slow", "x"]))
    decide(of, ScheduleActivity("slow", id="a"))

    assert "no live worker has activity 'slow'" in shell.run("why", "one").stdout
    shown = shell.run("queues").stdout
    assert "no live worker has" in shown
    assert "slow" in shown
    workers = shell.run("workers").stdout
    assert [line.split()[0] for line in workers.splitlines() if "step" in line] == ["old"]
    assert {w["identity"]: w["names"] for w in shell.json("workers")}["old"] == ["step"]
    assert "no workers" in shell.run("workers", "--within", "0.000001").stdout


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


def test_only_the_default_database_gets_a_directory(shell: Shell, tmp_path: Path) -> None:
    shell.path = tmp_path / "missing" / "x.db"
    assert str(tmp_path / "missing") in shell.refused(3, "list")
    assert not shell.path.parent.exists()

    plain = [sys.executable, "-m", "pyworkflow", "list"]
    assert execute(plain, tmp_path).returncode == 0
    assert (tmp_path / ".pyworkflow/pyworkflow.db").exists()

    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / ".pyworkflow").touch()
    assert "the directory .pyworkflow" in refusal(3, execute(plain, occupied))


def test_control_characters_of_data_do_not_reach_the_terminal(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    of.terminate_process("one", "\x1b[31mred\n")

    shown = shell.run("show", "one").stdout + shell.run("history", "one").stdout

    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lits"], "no such command 'lits': did you mean 'list'?"),
        (["zzz"], "no such command 'zzz'"),
        (["list", "--jsn"], "no such option '--jsn': did you mean '--json'?"),
        (["list", "--status", "bogus"], "'bogus' is not one of"),
        (["list", "--limit", "0"], "'--limit'"),
        (["list", "more"], "unexpected extra argument"),
        (["start"], "missing argument 'WORKFLOW'"),
        (["worker"], "missing option '-A'"),
        (["worker", "--app", "json", "--lease", "nan"], "lease"),
        (["worker", "--app", "json", "--concurrency", "0"], "'--concurrency'"),
        (["worker", "--app", "json", "--no-decisions", "--no-activities"], "nothing to do"),
        (["retry"], "name a process"),
        (["show", "one:99999999999999999999"], "no run of such a number"),
        (["show", os.fsdecode(b"\xff")], "is no UTF-8"),
    ],
)
def test_bad_usage_is_told_in_one_line(shell: Shell, words: list[str], told: str) -> None:
    assert told in shell.refused(2, *words)


def test_no_command_at_all_is_answered_with_help(shell: Shell) -> None:
    done = shell.run()

    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in COMMANDS)


def test_a_misspelt_name_is_answered_with_the_closest(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="invoice-2041"))

    for known in ("invoice-2014", "inv", "invoice-2041:7"):
        assert "did you mean 'invoice-2041'?" in shell.refused(4, "show", known)
    assert "did you mean" not in shell.refused(4, "show", "zzz")
    assert "did you mean 'Steps'?" in shell.refused(4, "start", "Setps")
    assert "--app" in shell.refused(4, "start", "zzz")
    assert "did you mean 'Steps'?" in shell.run("list", "--workflow", "Setps").stdout
    closed = shell.run("list", "--workflow", "Steps", "--status", "failed").stdout
    assert closed == "no such processes\n"
    program = "tests.integration.program:OneWorkflow"
    assert "did you mean 'One'?" in shell.refused(4, "start", "Onne", "--app", program)


def test_each_change_is_told_as_one_object(shell: Shell, of: Manager) -> None:
    given = shell.json("start", "Steps", "--id", "one")
    assert given == {"action": "start", "id": "one", "workflow": "Steps"}
    told = {"action": "signal", "id": "one", "signal": "go", "signal_id": "s"}
    assert shell.json("signal", "one", "go", "--signal-id", "s") == told
    canceled = {"action": "cancel", "id": "one", "status": "canceled"}
    assert shell.json("cancel", "one") == canceled
    of.start_process(Process(StepsWorkflow, id="two"))
    ended = {"action": "terminate", "id": "two", "reason": "enough"}
    assert shell.json("terminate", "two", "--reason", "enough") == ended

    repeated = shell.json("purge", "--older", "1h", "--yes")
    assert (repeated["action"], repeated["removed"]) == ("purge", 0)
    assert shell.json("purge", "--older", "0", "--yes")["removed"] == 2
    assert shell.json("list", "--all") == []


def test_a_question_of_purge_stays_out_of_its_output(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    of.terminate_process("one")

    refused = shell.run("purge", "--older", "0", "--json", given="n\n")
    assert (refused.returncode, refused.stdout) == (130, "")
    agreed = shell.run("purge", "--older", "0", "--json", given="y\n")

    assert json.loads(agreed.stdout)["removed"] == 1


def test_a_started_process_is_waited_for(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    decide(of, CompleteProcess(7))

    ended = shell.json("start", "Steps", "--id", "one", "--wait", "60")

    assert (ended["action"], ended["id"], ended["status"]) == ("start", "one", "completed")
    of.start_process(Process(StepsWorkflow, id="two"))
    shell.refused(6, "start", "Steps", "--id", "two", "--wait", "0", "--json")


def test_a_worker_says_that_it_polls_and_leaves_in_good_order(shell: Shell) -> None:
    app = "tests.integration.program"
    with shell.running("worker", "--app", app, "--category", "night", "--json") as worker:
        assert worker.stdout is not None
        told = json.loads(worker.stdout.readline())
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(60) == 0
    assert (told["action"], told["category"]) == ("worker", "night")
    assert {"One", "Steps"} <= set(told["workflows"])
    assert "step" in told["activities"]


def test_a_worker_can_be_stopped_before_it_polls(shell: Shell) -> None:
    """It cannot go on before its full output is read, and has been told to stop by then."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while os.write(theirs, b" "):
            pass
    os.set_blocking(theirs, True)

    words = ("worker", "--app", "tests.integration.program", "--json")
    with shell.running(*words, stdout=theirs) as worker, os.fdopen(ours) as output:
        os.close(theirs)
        assert worker.stderr is not None
        assert "polls category" in worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        told = json.loads(output.read())

        assert worker.wait(60) == 0
    assert told["action"] == "worker"


def park(path: Path, process_id: str) -> None:
    clock = FakeClock()
    with SQLiteBackend(path, clock=clock) as backend:
        of = Manager(backend, [StepsWorkflow])
        of.start_process(Process(StepsWorkflow, id=process_id))
        while not of.process_by_id(process_id).parked:
            clock.advance(3600)
            task = of.next_decision()
            assert task is not None
            backend.fail_decision_task(task, "no idea")


def test_only_a_parked_process_is_retried(shell: Shell) -> None:
    park(shell.path, "stuck")
    with manager(str(shell.path)).backend as backend:
        of = Manager(backend, [StepsWorkflow])
        of.start_process(Process(StepsWorkflow, id="fine"))
        of.start_process(Process(StepsWorkflow, id="shut"))
        of.terminate_process("shut")

        assert "not parked" in shell.refused(2, "retry", "fine")
        shell.refused(5, "retry", "shut")
        shell.refused(4, "retry", "nobody")
        assert len(of.history("fine")) == 1
        assert shell.json("show", "stuck")["status"] == "parked"
        assert shell.json("why", "stuck")["status"] == "parked"

        assert shell.json("retry", "stuck") == {"action": "retry", "ids": ["stuck"]}
        shell.refused(2, "retry", "stuck")
        assert shell.json("retry", "--all") == {"action": "retry", "ids": []}


@pytest.mark.parametrize("words", [["--version"], ["list"], ["show", "one"]])
def test_nothing_is_imported_that_is_not_used(shell: Shell, of: Manager, words: list[str]) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    python, *rest = shell.command(*words)

    done = execute([python, "-X", "importtime", *rest], ROOT)

    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert done.returncode == 0
    assert "click" in imported
    assert not imported & {"rich", "rich_click", "boto3", "blinker", "difflib"}


def on_terminal(command: list[str]) -> str:
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE) as program:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:
            pass  # Linux tells the end of a terminal this way.
        os.close(ours)

    assert program.returncode == 0
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize("words", [["--help"], ["start", "--help"], ["list"]])
def test_a_terminal_gets_rules(shell: Shell, of: Manager, words: list[str]) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))

    assert "─" in on_terminal(shell.command(*words))
    assert "─" not in shell.run(*words).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_drawn_help_has_the_commands_in_the_order_of_the_reference(shell: Shell) -> None:
    drawn = re.sub(r"\x1b\[[\d;]*m", "", on_terminal(shell.command("--help")))

    assert re.findall(r"^│ (\w+) ", drawn, re.MULTILINE) == list(COMMANDS)


def test_a_reader_who_has_had_enough_is_no_error(shell: Shell, of: Manager) -> None:
    of.start_process(Process(StepsWorkflow, id="one"))
    ours, theirs = os.pipe()
    os.close(ours)

    done = subprocess.run(
        shell.command("history", "one", "--json"), cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)

    assert (done.returncode, done.stderr) == (0, b"")
