"""What a job is once its files are read and checked; nothing here knows YAML or runs anything."""

from pathlib import Path

from msgspec import Struct, field

from pyworkflow.codec import Json

DEFAULT_NAME = "flowmancer"


class PluginDefinition(Struct, frozen=True, forbid_unknown_fields=True):
    """A logger, an extension or the checkpointer of a job: the name of its class, and its parameters."""

    name: str
    parameters: dict[str, Json] = field(default_factory=dict)


class TaskDefinition(Struct, frozen=True, forbid_unknown_fields=True):
    """A task of a job. `backoff` is in seconds; `max_attempts` counts the first try, too."""

    task: str
    dependencies: tuple[str, ...] = ()
    max_attempts: int = 1
    backoff: float = 0
    parameters: dict[str, Json] = field(default_factory=dict)


class JobConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The `config` section. Intervals are in seconds; a `max_concurrency` of 0 or less is no limit."""

    name: str = DEFAULT_NAME
    max_concurrency: int = 0
    extension_directories: tuple[str, ...] = ()
    extension_packages: tuple[str, ...] = ()
    synchro_interval_seconds: float = 0.25
    loggers_interval_seconds: float = 0.25
    extensions_interval_seconds: float = 0.25
    checkpointer_interval_seconds: float = 10


class JobDefinition(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole job: includes merged, variables substituted. `None` for a section stands for its default."""

    root: Path
    tasks: dict[str, TaskDefinition]
    config: JobConfig = JobConfig()
    loggers: dict[str, PluginDefinition] | None = None
    extensions: dict[str, PluginDefinition] | None = None
    checkpointer: PluginDefinition | None = None
