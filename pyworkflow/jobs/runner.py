"""Runs a job to its end: a process on a backend, a worker for it, and the OS processes of its tasks."""

import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, chdir, contextmanager, suppress
from functools import partial
from queue import SimpleQueue

from msgspec import Struct, structs

from pyworkflow.backend.base import Backend, Reuse
from pyworkflow.backend.registry import connect
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.codec import to_plain
from pyworkflow.errors import BackendUnavailableError, PyworkflowError, UnknownProcessError
from pyworkflow.graph import Graph, GraphWorkflow, StepStatus
from pyworkflow.graph.run import fold
from pyworkflow.graph.state import FAILURES
from pyworkflow.jobs.board import Board
from pyworkflow.jobs.checkpointer import CheckpointContents, NoCheckpointAvailableError
from pyworkflow.jobs.classes import Plugins
from pyworkflow.jobs.compile import graph_of
from pyworkflow.jobs.definition import JobDefinition
from pyworkflow.jobs.eventbus.execution import ExecutionState
from pyworkflow.jobs.forkserver import Setting
from pyworkflow.jobs.lock import locked
from pyworkflow.jobs.names import file_name
from pyworkflow.jobs.observers import Observers
from pyworkflow.jobs.pool import TaskActivity, TaskPool
from pyworkflow.jobs.restart import Beginning, left_in_checkpoint, left_in_history
from pyworkflow.jobs.shared import SharedStore
from pyworkflow.jobs.supervisor import Supervisor
from pyworkflow.jobs.task import TASKS
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.worker import Worker

FOLDER = ".flowmancer"
"""Where a project keeps the histories of its jobs, below its root."""

GRACE = 30.0
"""Seconds that tasks have for `on_abort` and `on_destroy`."""

SPARE_FILES = 64
"""File descriptors that the driver needs beside those of its tasks."""

FILES_PER_TASK = 3

Say = Callable[[str], None]


class JobReport(Struct, frozen=True):
    """How a run of a job ended.

    Attributes:
        name: Of the job.
        process_id: Of its process; with the number of the run, ``process_id:run``.
        run: The number of the run.
        states: Where each task stands.
        status: How the process was closed.
        restarted: Whether it went on from a point of failure.
        signal: What interrupted it: the number of a UNIX signal.
    """

    name: str
    process_id: str
    run: int
    states: dict[str, ExecutionState]
    status: Status
    restarted: bool = False
    signal: int | None = None

    @property
    def failures(self) -> int:
        """How many tasks failed, or never ran because of that."""
        failed = (ExecutionState.FAILED, ExecutionState.DEFAULTED)
        return sum(state in failed for state in self.states.values())


def run_job(
    job: JobDefinition,
    *,
    backend: str | Backend | None = None,
    restart: bool = False,
    skipped: Collection[str] = (),
    say: Say = print,
) -> JobReport:
    """Run a job and return how it ended.

    In the main thread, SIGINT and SIGTERM abort it: tasks go to their `on_abort`, and all is closed in good order. A second signal
    ends it at once.

    Args:
        job: The job, as `pyworkflow.jobs.load.load` returns it; its classes are registered.
        backend: Where its history is kept, as a URL or an open backend; ``.flowmancer/jobs.db`` below its root if left out.
        restart: Whether to go on where the last run has failed, if it has.
        skipped: Tasks that count as done.
        say: Takes messages for people.

    Raises:
        JobError: It cannot be restarted, because its tasks have changed; or it is running already.
        BackendUnavailableError: The backend cannot be used.
    """
    process_id = process_id_of(job.config.name)
    with chdir(job.root), ExitStack() as stack:
        if backend is None:
            folder = job.root / FOLDER
            folder.mkdir(mode=0o700, exist_ok=True)
            stack.enter_context(locked(folder / f"{process_id}.lock", job.config.name))
            backend = stack.enter_context(connect(f"sqlite:///{folder / 'jobs.db'}"))
        elif isinstance(backend, str):
            backend = stack.enter_context(connect(backend))
        return _Run(job, backend, process_id, skipped, say).run(restart)


def process_id_of(name: str) -> str:
    """Return the id of a job's process: its name, as a file can have it."""
    return file_name(name)


class _Run:
    """One run of a job.

    Args:
        job: The job.
        backend: Where its history is kept.
        process_id: The id of its process.
        skipped: Tasks that count as done.
        say: Takes messages for people.
    """

    def __init__(
        self,
        job: JobDefinition,
        backend: Backend,
        process_id: str,
        skipped: Collection[str],
        say: Say,
    ) -> None:
        self._job = job
        self._backend = backend
        self._process_id = process_id
        self._skipped = skipped
        self._say = say
        # A signal's number, the process once it is closed, or None when the worker has stopped.
        self._news: SimpleQueue[int | Process | BaseException | None] = SimpleQueue()
        self._board = Board(job.tasks)
        self._shared = SharedStore()
        self._observers = Observers(job.config, Plugins.of(job), self._checkpoint)

    def run(self, restart: bool) -> JobReport:
        """Run the job."""
        with ExitStack() as stack:
            stack.callback(self._observers.close)
            # It imports the tasks while the rest begins.
            supervisor = Supervisor(
                _setting(self._job), self._shared, self._observers.said, self._news.put
            )
            stack.callback(supervisor.close)
            left = self._left() if restart else None
            beginning = left or Beginning(tuple(self._job.tasks))
            self._shared.begin(beginning.shared_dict)
            stack.enter_context(_signals(self._news.put))
            self._observers.start(restarted=left is not None)
            stage = "on_failure"
            try:
                report = self._go_through(beginning, supervisor, restarted=left is not None)
                stage = _stage(report)
            finally:
                self._observers.finish(stage)
            return report

    def _left(self) -> Beginning | None:
        """Return where to go on, if there was a failure.

        Raises:
            JobError: The tasks have changed since.
        """
        name = self._job.config.name
        found = [left_in_history(self._backend, self._process_id)]
        try:
            content = self._observers.read_checkpoint()
        except NoCheckpointAvailableError:
            # Whoever has a checkpointer of his own may run the job in places that share no history.
            found.clear()
        else:
            found.append(None if content is None else left_in_checkpoint(content))
        left = [beginning for beginning in found if beginning is not None]
        if not left:
            self._say(f"no earlier failure of job {name!r}: it starts from the beginning")
            return None
        # Whichever knows of more; the history, if both know the same.
        farthest = max(left, key=lambda beginning: len(beginning.done))
        farthest.check(name, self._job.tasks)
        return structs.replace(farthest, tasks=tuple(self._job.tasks))

    def _go_through(
        self, beginning: Beginning, supervisor: Supervisor, *, restarted: bool
    ) -> JobReport:
        done, job = beginning.done, self._job
        self._board.begin(self._observers.moved, done=done, skipped=self._skipped)
        unlimited = structs.replace(job.config, max_concurrency=0)
        graph = graph_of(
            # The worker has the limit; so the next task is there when one ends, and no decision has to come first.
            structs.replace(job, config=unlimited),
            skipped={*done, *self._skipped},
            activity=f"{self._process_id}.task",
        )
        workflow = _workflow(graph, self._process_id)
        manager = Manager(self._backend, [workflow])
        worker = Worker(
            manager,
            category=workflow.category,
            concurrency=_concurrency(job),
            pool=partial(
                TaskPool,
                tasks=job.tasks,
                restarted=beginning.restarted,
                supervisor=supervisor,
                board=self._board,
                tell=self._observers.said,
            ),
            grace=GRACE,
        )
        self._start(Process(workflow, self._process_id, input=to_plain(beginning)))
        interrupted = self._watch(worker, supervisor)
        process = self._backend.process_by_id(self._process_id)
        self._agree(graph, process)
        return JobReport(
            name=job.config.name,
            process_id=self._process_id,
            run=process.run,
            states=self._board.states(),
            status=process.status,
            restarted=restarted,
            signal=interrupted,
        )

    def _start(self, process: Process) -> None:
        """Start the process; an earlier run that is open has lost its driver."""
        with suppress(UnknownProcessError):
            if self._backend.process_by_id(self._process_id).is_open:
                self._backend.terminate_process(self._process_id, "another driver took over")
        self._backend.start_process(process, reuse=Reuse.ALLOW)

    def _watch(self, worker: Worker, supervisor: Supervisor) -> int | None:
        """Wait until the process is closed and the worker has stopped; return the signal that interrupted it."""
        threading.Thread(target=self._work, args=[worker], name="pyworkflow-job").start()
        threading.Thread(target=self._wait, daemon=True, name="pyworkflow-job-end").start()
        interrupted: int | None = None
        error: BaseException | None = None
        while (news := self._news.get()) is not None:
            if isinstance(news, BaseException):
                error = error or news
                worker.stop()
            elif isinstance(news, int):
                interrupted = interrupted or news
            # Called again, `stop` waits for nothing any more.
            worker.stop()
            supervisor.abort()
        if error is not None:
            raise error
        if interrupted is not None:
            with suppress(PyworkflowError):
                self._backend.cancel_process(
                    self._process_id, f"interrupted by {signal.Signals(interrupted).name}"
                )
        return interrupted

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:  # told to the main thread, which waits for it
            self._news.put(error)
        finally:
            self._news.put(None)

    def _wait(self) -> None:
        # The backend is closed only after the worker has stopped.
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while not self._backend.closed:
            try:
                self._news.put(self._backend.wait_for_process(self._process_id))
                return
            except BackendUnavailableError:  # the worker tells of it, and goes on when it is back
                time.sleep(backoff.pause())
            except PyworkflowError as error:  # somebody has removed the process
                self._news.put(error)
                return

    def _agree(self, graph: Graph, process: Process) -> None:
        """Have the board say what the history says, if it knows more."""
        for name, step in fold(graph, process).flow.states.items():
            if step.status in FAILURES and name in self._job.tasks:
                if self._board.states()[name] is not ExecutionState.ABORTED:
                    self._board.move(name, ExecutionState.FAILED)
            elif step.status is StepStatus.BLOCKED:
                self._board.move(name, ExecutionState.DEFAULTED)

    def _checkpoint(self) -> CheckpointContents:
        return CheckpointContents(
            self._job.config.name, self._board.by_letter(), self._shared.snapshot()
        )


def _workflow(graph: Graph, process_id: str) -> type[GraphWorkflow]:
    """Return the workflow of a job. Its queue is its own: only its driver has its tasks."""
    category = f"{process_id}.job"
    activity = type(
        "JobTaskActivity", (TaskActivity,), {"name": f"{process_id}.task", "category": category}
    )
    settings = {"name": process_id, "category": category, "graph": graph, "activities": (activity,)}
    return type("JobWorkflow", (GraphWorkflow,), settings)


def _setting(job: JobDefinition) -> Setting:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    own = any(TASKS.get(task.task).__module__ == "__main__" for task in job.tasks.values())
    config = job.config
    return Setting(
        path=list(sys.path),
        root=str(job.root),
        directories=config.extension_directories,
        packages=config.extension_packages,
        main=main if own else None,
    )


def _concurrency(job: JobDefinition) -> int:
    """Return how many tasks run at a time: as many as are wanted and can be had."""
    wanted = job.config.max_concurrency if job.config.max_concurrency > 0 else len(job.tasks)
    wanted = max(1, min(wanted, len(job.tasks)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * FILES_PER_TASK + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, (soft - SPARE_FILES) // FILES_PER_TASK))
    return wanted


def _stage(report: JobReport) -> str:
    if report.status is Status.COMPLETED:
        return "on_success"
    return "on_failure" if report.status is Status.FAILED else "on_abort"


@contextmanager
def _signals(tell: Callable[[int], None]) -> Generator[None]:
    """Have signals told instead of what they do by themselves, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda number, _: tell(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
