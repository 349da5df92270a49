"""Jobs for tests: made without YAML, run in this OS process or by a driver of their own."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyworkflow.codec import Json
from pyworkflow.jobs.definition import JobConfig, JobDefinition, PluginDefinition, TaskDefinition
from pyworkflow.jobs.eventbus.log import LogWriteEvent
from pyworkflow.jobs.extensions import EXTENSIONS
from pyworkflow.jobs.find import find
from pyworkflow.jobs.loggers import LOGGERS
from pyworkflow.jobs.runner import JobReport, run_job

CLASSES = Path(__file__).parent / "classes"

PATIENCE = 120.0
"""Seconds that anything may take on a slow machine."""


def do(name: str, *dependencies: str, attempts: int = 1, **parameters: Json) -> TaskDefinition:
    """Return a task of a class."""
    return TaskDefinition(name, dependencies, attempts, parameters=parameters)


def job(root: Path, tasks: dict[str, TaskDefinition], **more: Any) -> JobDefinition:
    """Return a job that keeps what its loggers and extensions are told."""
    find(root, [str(CLASSES)])
    config = more.pop("config", JobConfig())
    return JobDefinition(
        root,
        tasks,
        JobConfig(
            name=config.name,
            max_concurrency=config.max_concurrency,
            extension_directories=(str(CLASSES),),
            checkpointer_interval_seconds=config.checkpointer_interval_seconds,
            loggers_interval_seconds=0,
            extensions_interval_seconds=0,
        ),
        loggers=more.pop("loggers", {"keep": PluginDefinition("Keep")}),
        extensions=more.pop("extensions", {"watch": PluginDefinition("Watch")}),
        **more,
    )


def run(definition: JobDefinition, **options: Any) -> JobReport:
    """Run a job here."""
    return run_job(definition, **options)


def letters(report: JobReport) -> dict[str, str]:
    """Return where the tasks stand."""
    return {name: state.value for name, state in report.states.items()}


def lines(name: str) -> list[tuple[str, str]]:
    """Return what a task of the last job said: severities and texts."""
    events = getattr(LOGGERS.get("Keep"), "events")  # noqa: B009 - only this subclass has it
    return [
        (event.severity.value, event.message)
        for event in events
        if isinstance(event, LogWriteEvent) and event.name == name
    ]


def moves(name: str | None = None) -> list[str]:
    """Return the transitions of the last job, of one task or of all."""
    events = getattr(EXTENSIONS.get("Watch"), "events")  # noqa: B009 - as above
    return [
        f"{event.from_state.value}{event.to_state.value}"
        for event in events
        if name in (None, event.name)
    ]


MAIN = """
import sys
from pyworkflow.jobs import Flowmancer

if __name__ == "__main__":
    sys.exit(Flowmancer().start())
"""


def project(root: Path, yaml: str) -> Path:
    """Write a project; return its main script."""
    (root / "job.yaml").write_text(yaml, encoding="utf-8")
    main = root / "main.py"
    main.write_text(MAIN, encoding="utf-8")
    return main


def driver(main: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the driver of a project."""
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            str(main),
            "-j",
            str(main.with_name("job.yaml")),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def drive(main: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the driver of a project; return its exit status and what it printed."""
    process = driver(main, *arguments)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} does not come"
        time.sleep(0.02)


def traced(trace: Path) -> list[str]:
    """Return the lines that tasks have written."""
    return trace.read_text(encoding="utf-8").splitlines() if trace.exists() else []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def pids(trace: Path) -> list[int]:
    """Return the processes that tasks have told of."""
    return [int(line.split()[-1]) for line in traced(trace) if " pid " in line]
