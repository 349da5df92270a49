"""Which tasks of a job run when only some of them shall."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from pyworkflow.errors import InvalidRequestError
from pyworkflow.jobs.definition import JobDefinition
from pyworkflow.similar import similar


class Selection(Struct, frozen=True):
    """The tasks that run, and those that count as done without running; both in the order of the job."""

    run: tuple[str, ...]
    skipped: tuple[str, ...]


def select(
    job: JobDefinition,
    *,
    skip: Iterable[str] = (),
    run_to: Iterable[str] = (),
    run_from: Iterable[str] = (),
) -> Selection:
    """Return what runs. A task runs if each of the three, where it is given, lets it.

    Args:
        job: The job.
        skip: Tasks that count as done.
        run_to: Tasks that run with all that they depend on; nothing else does.
        run_from: Tasks that run with all that depends on them; nothing else does.

    Raises:
        InvalidRequestError: The job has no task of a name, or nothing would run.
    """
    skipped, last, first = (tuple(dict.fromkeys(names)) for names in (skip, run_to, run_from))
    for option, names in (("skip", skipped), ("run-to", last), ("run-from", first)):
        for name in names:
            if name not in job.tasks:
                question = similar(name, job.tasks)
                told = f"the job has no task {name!r}"
                raise InvalidRequestError(option, f"{told}; {question}" if question else told)
    chosen = set(job.tasks) - set(skipped)
    if last:
        chosen &= _reached(last, lambda name: job.tasks[name].dependencies)
    if first:
        followers = _followers(job)
        chosen &= _reached(first, followers.__getitem__)
    if not chosen:
        raise InvalidRequestError("selection", "no task of the job is left to run")
    return Selection(
        tuple(name for name in job.tasks if name in chosen),
        tuple(name for name in job.tasks if name not in chosen),
    )


def _followers(job: JobDefinition) -> Mapping[str, list[str]]:
    followers: dict[str, list[str]] = {name: [] for name in job.tasks}
    for name, task in job.tasks.items():
        for dependency in task.dependencies:
            followers[dependency].append(name)
    return followers


def _reached(names: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """Return names and all that can be come to from them."""
    reached, todo = set[str](), list(names)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo.extend(following(name))
    return reached
