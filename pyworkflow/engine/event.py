"""What passes between the engine, its tasks and whoever listens: data with its topic and its source.

Data is JSON, and frozen as such: whoever reads an event gets a copy of their own, so that no branch of a workflow sees what another one
did to its copy.
"""

from typing import Any

from msgspec import Struct, structs

from pyworkflow.codec import Json, decode
from pyworkflow.errors import InvalidRequestError
from pyworkflow.values import check_payload


class EventSource(Struct, frozen=True, gc=False):
    """Where an event comes from; nothing, if from outside.

    Attributes:
        workflow_template_id: The template of the workflow.
        workflow_exec_id: The workflow.
        task_template_id: The template of the task.
        task_exec_id: The execution of the task.
    """

    workflow_template_id: str | None = None
    workflow_exec_id: str | None = None
    task_template_id: str | None = None
    task_exec_id: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Return the four ids by name."""
        return structs.asdict(self)


class Event:
    """Data, and where it came from.

    Args:
        data: A dict that is JSON, or another event.
        topic: The topic it was dispatched to.
        source: Where it comes from.

    Raises:
        InvalidRequestError: The data is neither.
        PayloadError: The data is not JSON.
    """

    __slots__ = ("_data", "_frozen", "source", "topic")

    def __init__(
        self,
        data: "dict[str, Any] | Event",
        topic: str | None = None,
        source: EventSource | None = None,
    ) -> None:
        given: object = data
        if isinstance(given, Event):
            self._frozen = given.freeze()
        elif isinstance(given, dict):
            self._frozen = check_payload(given, "event data")
        else:
            raise InvalidRequestError(
                "event data", f"must be a dict or an Event, not {type(given).__name__}"
            )
        self._data: dict[str, Any] | None = None
        self.topic = topic
        self.source = source

    @classmethod
    def thawed(
        cls, frozen: bytes, topic: str | None = None, source: EventSource | None = None
    ) -> "Event":
        """Return an event with data that `freeze` returned."""
        event = cls.__new__(cls)
        event._frozen = frozen
        event._data = None
        event.topic = topic
        event.source = source
        return event

    @property
    def data(self) -> dict[str, Any]:
        """The data: this event's own copy, which may be changed."""
        data = self._data
        if data is None:
            data = self._data = thaw(self._frozen)
        return data

    def freeze(self) -> bytes:
        """Return the data as it is now, as JSON.

        Raises:
            PayloadError: Somebody has put in what is not JSON.
        """
        return self._frozen if self._data is None else check_payload(self._data, "event data")

    def copy(self) -> "Event":
        """Return an event with the same data, topic and source."""
        return Event.thawed(self.freeze(), self.topic, self.source)

    def __repr__(self) -> str:
        return f"<Event topic={self.topic!r}, data={self.data!r}, source={self.source!r}>"


def thaw(frozen: bytes) -> Json:
    """Return what was frozen, as a copy of one's own."""
    return decode(frozen)
