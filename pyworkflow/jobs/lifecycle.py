"""What loggers, extensions and checkpointers have in common: parameters, and methods for the stages of a job."""

from collections.abc import Awaitable

from pydantic import BaseModel, ConfigDict


class Plugin(BaseModel):
    """A part of a job that is no task. Its fields are its parameters; its methods may be ``async def`` or plain."""

    model_config = ConfigDict(extra="forbid", use_enum_values=True)

    def on_create(self) -> Awaitable[None] | None:
        """The job begins."""

    def on_restart(self) -> Awaitable[None] | None:
        """The job goes on from a point of failure; called after `on_create`."""

    def on_success(self) -> Awaitable[None] | None:
        """Every task of the job has completed."""

    def on_failure(self) -> Awaitable[None] | None:
        """The job has ended, and a task has failed."""

    def on_abort(self) -> Awaitable[None] | None:
        """The job was interrupted."""

    def on_destroy(self) -> Awaitable[None] | None:
        """The job is over; called last, however it ended."""
