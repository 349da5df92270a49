"""What this program knows of the types on SWF: their versions, queues and timeouts."""

from typing import Any

from msgspec import Struct, field

from pyworkflow.retry import Retry
from pyworkflow.swf.words import lifetime, timeout, whole_time

VERSION = "1.0"
"""The version of a type, where none is told: the first pyworkflow's."""


class ActivityType(Struct, frozen=True):
    """An activity as it was registered."""

    name: str
    version: str
    category: str
    scheduled_timeout: float | None
    execution_timeout: float
    heartbeat_timeout: float
    retry: Retry | None = None
    at_most_once: bool = False

    def defaults(self) -> dict[str, Any]:
        """Return the defaults that SWF keeps with the type."""
        return {
            "defaultTaskList": {"name": self.category},
            "defaultTaskScheduleToStartTimeout": timeout(self.scheduled_timeout),
            "defaultTaskStartToCloseTimeout": timeout(self.execution_timeout),
            "defaultTaskHeartbeatTimeout": timeout(self.heartbeat_timeout),
            "defaultTaskScheduleToCloseTimeout": timeout(
                whole_time(self.scheduled_timeout, self.execution_timeout)
            ),
        }


class WorkflowType(Struct, frozen=True):
    """A workflow as it was registered."""

    name: str
    version: str
    category: str
    timeout: float
    decision_timeout: float
    handles_cancel: bool = False

    def defaults(self) -> dict[str, Any]:
        """Return the defaults that SWF keeps with the type."""
        return {
            "defaultTaskList": {"name": self.category},
            "defaultExecutionStartToCloseTimeout": lifetime(self.timeout),
            "defaultTaskStartToCloseTimeout": timeout(self.decision_timeout),
            "defaultChildPolicy": "ABANDON",
        }


class Settings(Struct):
    """The types that this program has registered, and what it says of those it has not.

    Attributes:
        version: The version of types that `versions` does not name.
        versions: Versions by the name of the type.
        lambda_role: The role that SWF takes on to invoke functions.
        activities: The registered activities.
        workflows: The registered workflows.
    """

    version: str = VERSION
    versions: dict[str, str] = field(default_factory=dict[str, str])
    lambda_role: str | None = None
    activities: dict[str, ActivityType] = field(default_factory=dict[str, ActivityType])
    workflows: dict[str, WorkflowType] = field(default_factory=dict[str, WorkflowType])

    def type_of(self, name: str) -> dict[str, str]:
        """Return a type as SWF names it."""
        return {"name": name, "version": self.versions.get(name, self.version)}

    def start_options(
        self, workflow: str, category: str | None = None, open_for: float | None = None
    ) -> dict[str, Any]:
        """Return what a start says of queue and timeouts: what the type on SWF says, where this program knows no better."""
        known = self.workflows.get(workflow)
        options: dict[str, Any] = {}
        if known is not None:
            options["executionStartToCloseTimeout"] = lifetime(known.timeout)
            options["taskStartToCloseTimeout"] = timeout(known.decision_timeout)
            options["taskList"] = {"name": known.category}
        if category is not None:
            options["taskList"] = {"name": category}
        if open_for is not None:
            options["executionStartToCloseTimeout"] = lifetime(open_for)
        if self.lambda_role is not None:
            options["lambdaRole"] = self.lambda_role
        return options
