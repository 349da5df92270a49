"""The classes that job files may name, and the plugins that a job has of them."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from pyworkflow.jobs.checkpointer import CHECKPOINTERS, Checkpointer
from pyworkflow.jobs.definition import JobDefinition, PluginDefinition
from pyworkflow.jobs.extensions import EXTENSIONS, Extension
from pyworkflow.jobs.lifecycle import Plugin
from pyworkflow.jobs.loggers import LOGGERS, Logger
from pyworkflow.jobs.plugins import Classes
from pyworkflow.jobs.registry import Registry
from pyworkflow.jobs.task import TASKS

CLASSES: Classes = {
    "task": TASKS,
    "logger": LOGGERS,
    "extension": EXTENSIONS,
    "checkpointer": CHECKPOINTERS,
}
"""The registries by what they are of."""

DEFAULT_LOGGERS = {"file-logger": PluginDefinition("FileLogger")}
DEFAULT_EXTENSIONS = {"progress-bar": PluginDefinition("RichProgressBar")}

P = TypeVar("P", bound=Plugin)


class Plugins(Struct, frozen=True):
    """The loggers, extensions and the checkpointer of one run of a job."""

    loggers: tuple[Logger, ...] = ()
    extensions: tuple[Extension, ...] = ()
    checkpointer: Checkpointer | None = None

    @classmethod
    def of(cls, job: JobDefinition) -> "Plugins":
        """Return those that a job names; files and progress, where it says nothing.

        Raises:
            UnknownPluginError: No class has such a name.
            ValidationError: A class does not take the parameters.
        """
        loggers = DEFAULT_LOGGERS if job.loggers is None else job.loggers
        extensions = DEFAULT_EXTENSIONS if job.extensions is None else job.extensions
        checkpointers = () if job.checkpointer is None else (job.checkpointer,)
        return cls(
            _made(LOGGERS, loggers.values()),
            _made(EXTENSIONS, extensions.values()),
            next(iter(_made(CHECKPOINTERS, checkpointers)), None),
        )


def _made(registry: Registry[P], given: Iterable[PluginDefinition]) -> tuple[P, ...]:
    return tuple(registry.get(plugin.name)(**plugin.parameters) for plugin in given)
