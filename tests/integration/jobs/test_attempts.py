"""What an attempt of a task is: an OS process, its methods, its output, its end."""

import os
import signal
from pathlib import Path

import pytest

from pyworkflow.jobs.definition import JobConfig
from pyworkflow.jobs.loggers import LOGGERS
from tests.integration.jobs.kit import do, job, letters, lines, moves, run, traced


def test_a_process_that_dies_is_a_failure_with_its_exit_status_in_the_log(tmp_path: Path) -> None:
    told = {
        "os._exit(3)": "its process ended with exit status 3",
        "os._exit(0)": "its process ended with exit status 0",
        "sys.exit(3)": "the task ended with exit status 3",
        "SIGSEGV": "its process ended with SIGSEGV",
        "SIGKILL": "its process ended with SIGKILL",
    }
    tasks = {f"{number}": do("Die", how=how) for number, how in enumerate(told)}
    tasks |= {f"after {number}": do("Nothing", str(number)) for number in range(len(told))}

    report = run(job(tmp_path, tasks))

    assert set(letters(report).values()) == {"F", "D"}
    assert report.failures == 2 * len(told)
    for number, text in enumerate(told.values()):
        assert lines(str(number))[-1][1].startswith(text)
        assert letters(report)[str(number)] == "F"
        assert moves(f"after {number}") == ["_P", "PD"]


def test_methods_are_called_in_their_order_and_one_that_raises_fails_the_attempt(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    raising = {
        "well": [],
        "run": ["run"],
        "on_create": ["on_create"],
        "on_success": ["on_success"],
        "on_failure": ["run", "on_failure"],
        "on_destroy": ["on_destroy"],
    }
    tasks = {n: do("Live", trace=str(trace), raises=r) for n, r in raising.items()}

    report = run(job(tmp_path, tasks))

    called = {n: [line.split()[1] for line in traced(trace) if line.split()[0] == n] for n in tasks}
    assert called == {
        "well": ["on_create", "run", "on_success", "on_destroy"],
        "run": ["on_create", "run", "on_failure", "on_destroy"],
        "on_create": ["on_create", "on_destroy"],
        "on_success": ["on_create", "run", "on_success", "on_destroy"],
        "on_failure": ["on_create", "run", "on_failure", "on_destroy"],
        "on_destroy": ["on_create", "run", "on_success", "on_destroy"],
    }
    assert letters(report) == {n: "F" if n != "well" else "C" for n in tasks}


def test_all_methods_are_called_again_for_each_attempt(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    tasks = {"a": do("Live", attempts=3, trace=str(trace), raises=["run"])}
    tasks["a"] = do("Live", attempts=3, trace=str(trace), raises=["run"])
    tasks["a"].parameters["attempts"] = 2

    report = run(job(tmp_path, tasks))

    assert letters(report) == {"a": "C"}
    assert moves("a") == ["_P", "PR", "RP", "PR", "RP", "PR", "RC"]
    assert traced(trace) == [
        *["a on_create", "a run", "a on_failure", "a on_destroy"] * 2,
        *["a on_create", "a run", "a on_success", "a on_destroy"],
    ]


def test_all_that_a_task_says_is_logged_line_by_line(tmp_path: Path) -> None:
    run(job(tmp_path, {"speak": do("Speak"), "fail": do("Fail"), "wait": do("Wait")}))

    said = lines("speak")
    assert [line for line in said if line[1] not in ("a program", "bytes without an end")] == [
        ("INFO", "one line"),
        ("ERROR", "to stderr"),
        ("WARNING", "a warning"),
        *[line for line in said if line[1] in ("without an end", "its error")],
    ]
    assert ("INFO", "without an end") in said
    assert ("INFO", "a program") in said
    assert ("ERROR", "its error") in said
    assert ("INFO", "bytes without an end") in said
    ((severity, shown),) = lines("fail")
    assert severity == "ERROR"
    assert shown.startswith("Traceback")
    assert shown.endswith("RuntimeError: not today")
    assert "pyworkflow/jobs" not in shown
    assert lines("wait") == [("INFO", "awaited")]


def test_each_line_has_the_time_at_which_it_was_said(tmp_path: Path) -> None:
    run(job(tmp_path, {"first": do("Speak"), "second": do("Speak", "first")}))

    events = getattr(LOGGERS.get("Keep"), "events")  # noqa: B009 - only this subclass has it
    times = [event.timestamp for event in events if hasattr(event, "timestamp")]
    assert len(set(times)) > len(times) / 2
    assert all(time.utcoffset().total_seconds() == 0 for time in times)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_tasks_run_at_a_time_than_are_allowed(tmp_path: Path, limit: int) -> None:
    tasks = {str(number): do("Nothing") for number in range(8)}

    report = run(job(tmp_path, tasks, config=JobConfig(max_concurrency=limit)))

    assert set(letters(report).values()) == {"C"}
    running = most = 0
    for move in moves():
        running += (move[1] == "R") - (move[0] == "R")
        most = max(most, running)
    assert 1 <= most <= limit


def test_what_tasks_may_do_to_their_surroundings_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    ways = {
        "log a lone surrogate": "C",
        "leave an executor open": "C",
        "leave a program that talks": "C",
        "take stdout apart": "C",
        "write to the first stdout": "C",
        "raise a lone surrogate": "F",
        "raise without words": "F",
        "ask for keys that are not text": "F",
        "share what is too deep": "F",
    }

    report = run(job(tmp_path, {how: do("Odd", how=how) for how in ways}))
    said = [text for _, text in lines("leave a program that talks")]
    os.kill(next(int(text) for text in said if text.isdecimal()), signal.SIGKILL)

    assert letters(report) == ways
    assert lines("log a lone surrogate")[0] == ("INFO", "caf\\udce9")
    assert lines("leave an executor open")[0] == ("INFO", "in a thread")
    assert ("INFO", "first") in lines("write to the first stdout")
    assert lines("ask for keys that are not text")[0] == ("INFO", "None False")
    for how, told in (
        ("raise a lone surrogate", "FileNotFoundError: caf\\udce9"),
        ("raise without words", "Unsayable: <exception str() failed>"),
        ("ask for keys that are not text", "KeyError: 5"),
        ("share what is too deep", "nested deeper than"),
    ):
        severity, shown = lines(how)[-2]
        assert severity == "ERROR"
        assert told in shown
        assert lines(how)[-1] == ("INFO", "destroyed")
