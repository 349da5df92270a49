"""What can be wrong with a job."""

from pyworkflow.errors import PyworkflowError


class JobError(PyworkflowError):
    """A job cannot be run, or its run ended badly."""


class JobDefinitionError(JobError):
    """A job file is not what it should be; the message says file, line and path of the key."""


class UnknownPluginError(JobError):
    """No class of that name was registered as a task, logger, extension or checkpointer."""
