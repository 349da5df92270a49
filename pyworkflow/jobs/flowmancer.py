"""The driver of a project: the few lines of its ``main.py`` stand on this."""

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec import Struct, structs

from pyworkflow.backend.base import Backend
from pyworkflow.jobs.classes import CLASSES
from pyworkflow.jobs.definition import JobDefinition
from pyworkflow.jobs.errors import JobDefinitionError, JobError, JobFailedError
from pyworkflow.jobs.load import load
from pyworkflow.jobs.runner import JobReport, run_job
from pyworkflow.jobs.select import select
from pyworkflow.process import Status

INVALID = 1
"""What `Flowmancer.start` returns for a job file that is wrong."""

BROKEN = 99
"""What it returns for anything else that keeps a job from running."""

MOST = 125
"""What it returns for so many failures and more: an exit status has eight bits, so 256 would be success, and shells use the higher ones."""

SIGNALED = 128
"""What is added to the number of the signal that ended a program, for its exit status."""


class _Arguments(Struct):
    jobdef: Path | None
    restart: bool
    debug: bool
    max_concurrency: int | None
    var: list[str]
    env: list[str]
    skip: list[str]
    run_to: list[str]
    run_from: list[str]


def status_of(report: JobReport) -> int:
    """Return the exit status that a run of a job calls for: 0 only if it completed."""
    if report.signal is not None:
        return SIGNALED + report.signal
    if report.status is Status.COMPLETED:
        return 0
    return min(report.failures, MOST) or BROKEN


class Flowmancer:
    """Runs the job that the command line names.

    Paths in the job file are relative to the folder of the main script, which is the working directory while the job runs.

    Args:
        root: That folder, if not the main script's.
        backend: Where histories are kept, as a URL or an open backend; ``.flowmancer/jobs.db`` below the root if left out.
        environment: The names of the environment variables that ``$ENV{NAME}`` may read, beside those of ``--env``.
    """

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        backend: str | Backend | None = None,
        environment: Collection[str] = (),
    ) -> None:
        self._root = _main_folder() if root is None else Path(root).resolve()
        self._backend = backend
        self._environment = environment

    def start(
        self,
        default_jobdef_path: str | Path | None = None,
        raise_exception_on_failure: bool = False,
        argv: Sequence[str] | None = None,
    ) -> int:
        """Run the job to its end.

        Args:
            default_jobdef_path: The job file if the command line names none, relative to the root.
            raise_exception_on_failure: Whether to raise instead of returning what is not 0.
            argv: The command line, if not that of the program: ``-j FILE [-r] [-d] [--max-concurrency N] [--var NAME=VALUE] [--env NAME]
                [--skip TASK] [--run-to TASK] [--run-from TASK]``.

        Returns:
            The number of tasks that failed or never ran because of that, 125 at most: so it may be given to ``sys.exit``. 1 if the job
            file is wrong, 99 for any other error; what is wrong is printed.

        Raises:
            JobFailedError: If wanted: a task has failed.
            PyworkflowError: If wanted: the job could not be run.
            SystemExit: The job was interrupted and has closed in good order; 130 after SIGINT.
        """
        arguments = _parsed(argv)
        if arguments.debug:
            logging.basicConfig(level=logging.DEBUG)
        try:
            report = self._run(arguments, default_jobdef_path)
        except KeyboardInterrupt:  # before anything ran
            sys.exit(SIGNALED + signal.SIGINT)
        except JobDefinitionError as error:
            if raise_exception_on_failure:
                raise
            return _told(error, INVALID, debug=False)
        except (
            Exception
        ) as error:  # as in the first flowmancer: whatever it is, it is printed and a number
            if raise_exception_on_failure:
                raise
            return _told(error, BROKEN, debug=arguments.debug)
        status = status_of(report)
        if report.signal is not None:
            sys.exit(status)
        if status and raise_exception_on_failure:
            told = f"{report.failures} of {len(report.states)} tasks did not complete"
            raise JobFailedError(f"job {report.name!r} has failed: {told}")
        return status

    def _run(self, arguments: _Arguments, default: str | Path | None) -> JobReport:
        path = arguments.jobdef
        if path is None:
            if default is None:
                raise JobError("no job file was given: -j FILE")
            path = self._root / default
        job = load(
            path,
            root=self._root,
            variables=dict(_pair(word) for word in arguments.var),
            environment=(*self._environment, *arguments.env),
            classes=CLASSES,
        )
        selection = select(
            job, skip=arguments.skip, run_to=arguments.run_to, run_from=arguments.run_from
        )
        return run_job(
            limited(job, arguments.max_concurrency),
            backend=self._backend,
            restart=arguments.restart,
            skipped=selection.skipped,
            say=_print,
        )


def limited(job: JobDefinition, max_concurrency: int | None) -> JobDefinition:
    """Return a job with another limit of tasks at a time; with its own, for None."""
    if max_concurrency is None:
        return job
    config = structs.replace(job.config, max_concurrency=max_concurrency)
    return structs.replace(job, config=config)


def _main_folder() -> Path:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path.cwd() if file is None else Path(file).resolve().parent


def _told(error: Exception, status: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    _print(f"ERROR: {error}")
    return status


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the driver's own output


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _variable(word: str) -> str:
    if not word.partition("=")[1]:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=VALUE")
    return word


def _parsed(argv: Sequence[str] | None) -> _Arguments:
    parser = argparse.ArgumentParser(description="Run a job.")
    add = parser.add_argument
    add("-j", "--jobdef", type=Path, help="the job file")
    add("-t", "--type", choices=["yaml"], default="yaml", help="what kind of file it is")
    add("-r", "--restart", action="store_true", help="go on where the last run failed")
    add("-d", "--debug", action="store_true", help="log what the driver does")
    add("--max-concurrency", type=int, metavar="N", help="tasks that run at a time")
    for name, told in (
        ("--skip", "a task that counts as done"),
        ("--run-to", "run only what leads to this task"),
        ("--run-from", "run only this task and what follows it"),
    ):
        add(name, action="append", default=[], metavar="TASK", help=told)
    add(
        "--var",
        action="append",
        default=[],
        type=_variable,
        metavar="NAME=VALUE",
        help="what $VAR{NAME} stands for",
    )
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME",
        help="an environment variable that $ENV{NAME} may read",
    )
    given = vars(parser.parse_args(argv))
    del given["type"]
    return _Arguments(**given)
