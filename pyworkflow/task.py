"""Tasks: leases handed to workers. A task is a value; it can be written down as JSON and completed by somebody else."""

from datetime import datetime as DateTime
from typing import Any

from msgspec import field

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Payload, Value, payloads
from pyworkflow.process import Process


class Task(Value, frozen=True, tag_field="type", omit_defaults=True):
    """The base of both kinds of task."""


@payloads(heartbeat_details=Any)
class ActivityTask(Task, frozen=True, tag="activity_task"):
    """A lease on one attempt of an activity.

    Attributes:
        activity_execution: What to execute.
        process_id: The process it is for; opaque to the activity.
        context: What the backend needs to know the lease by. It holds a secret: whoever has it can complete the task.
        attempt: The number of this try; 1 is the first.
        heartbeat_details: What the attempt before told with its last heartbeat, or None.
        deadline: When the attempt must have ended, aware UTC.
        idempotency_key: The same for all attempts, and for this scheduling alone; see `Activity.idempotency_key`.
    """

    activity_execution: ActivityExecution
    process_id: str | None = None
    context: dict[str, Any] = field(default_factory=dict[str, Any])
    attempt: int = 1
    heartbeat_details: Payload = None
    deadline: DateTime | None = None
    idempotency_key: str = ""


class DecisionTask(Task, frozen=True, tag="decision_task"):
    """A lease on the next decision of a process.

    Attributes:
        process: The process as it is at the start of the decision.
        context: What the backend needs to know the lease by.
        attempt: How many deciders in a row have been handed this decision; 1 is the first.
    """

    process: Process
    context: dict[str, Any] = field(default_factory=dict[str, Any])
    attempt: int = 1
