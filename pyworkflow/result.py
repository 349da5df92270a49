"""Outcomes of activities and of processes.

Outcomes are values. Those of an activity that did not complete are exceptions as well, so that ``execute`` may return or raise them.
"""

from typing import Any, ClassVar

from msgspec import Struct

from pyworkflow.codec import Json, Payload, Value, payloads, register
from pyworkflow.errors import PayloadError


class TypeTag:
    """Reads a struct's type tag, on the class and on an instance."""

    def __get__(self, instance: object, owner: type[Struct]) -> str:
        return str(owner.__struct_config__.tag)


class ActivityResult:
    """How an execution of an activity ended. Immutable; two are equal when they say the same."""

    __slots__ = ()

    type: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]

    def _set(self, **values: Json) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.fields:
            raise AttributeError(f"{type(self).__name__} is immutable")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActivityResult):
            return NotImplemented
        return self.type == other.type and self._told() == other._told()

    __hash__ = None  # type: ignore[assignment]

    def _told(self) -> tuple[Json, ...]:
        return tuple(getattr(self, name) for name in self.fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._told()

    def __repr__(self) -> str:
        shown = ", ".join(repr(value) for value in self._told() if value is not None)
        return f"{type(self).__name__}({shown})"

    def to_json(self) -> dict[str, Json]:
        """Return the result as plain JSON data."""
        told = {name: getattr(self, name) for name in self.fields}
        return {"type": self.type} | {k: v for k, v in told.items() if v is not None}

    @staticmethod
    def from_json(data: Any) -> "ActivityResult":
        """Return what `to_json` was called on.

        Raises:
            PayloadError: The data is no result.
        """
        try:
            given = dict(data)
            cls = _ACTIVITY_RESULTS[given.pop("type")]
            return cls(**given)
        except (KeyError, TypeError, ValueError) as error:
            raise PayloadError("activity result", f"cannot be read: {error!r}") from error


class ActivityCompleted(ActivityResult):
    """The activity is done.

    Attributes:
        result: What it returned, any JSON.
    """

    __slots__ = ("result",)

    type = "completed"
    fields = ("result",)
    result: Json

    def __init__(self, result: Json = None) -> None:
        object.__setattr__(self, "result", result)


class _Interruption(ActivityResult, Exception):
    """An outcome that may be raised."""

    def __str__(self) -> str:
        # The first that is told: a traceback in the details would be no message.
        return next((str(value) for value in self._told() if value is not None), "")


class ActivityCanceled(_Interruption):
    """The activity was canceled, or canceled itself.

    Attributes:
        details: Why.
    """

    type = "canceled"
    fields = ("details",)
    details: Json

    def __init__(self, details: Json = None) -> None:
        super().__init__(details)
        self._set(details=details)


class ActivityFailed(_Interruption):
    """The activity failed.

    Attributes:
        reason: One line.
        details: More, for example a traceback.
        type_name: The name of the exception's class, if it was one; of a group, the names of the classes in it, with commas. It is never
            imported, and not compared.
    """

    type = "failed"
    fields = ("reason", "details")
    reason: str | None
    details: Json
    type_name: str | None

    def __init__(
        self, reason: str | None = None, details: Json = None, type_name: str | None = None
    ) -> None:
        super().__init__(reason, details)
        self._set(reason=reason, details=details, type_name=type_name)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.details, self.type_name)

    def to_json(self) -> dict[str, Json]:
        """Return the result as plain JSON data."""
        data = super().to_json()
        return data if self.type_name is None else data | {"type_name": self.type_name}


class ActivityTimedOut(_Interruption):
    """The activity took too long in one of its ways.

    Attributes:
        details: Which: ``schedule_to_start``, ``start_to_close``, ``heartbeat`` or ``lease`` (its worker is gone).
    """

    type = "timedout"
    fields = ("details",)
    details: Json

    def __init__(self, details: Json = None) -> None:
        super().__init__(details)
        self._set(details=details)


ActivityAborted = ActivityCanceled
"""The first pyworkflow's name of `ActivityCanceled`."""

_ACTIVITY_RESULTS: dict[str, type[ActivityResult]] = {
    cls.type: cls for cls in (ActivityCompleted, ActivityCanceled, ActivityFailed, ActivityTimedOut)
}

register(ActivityResult, lambda result: result.to_json(), ActivityResult.from_json)


class ProcessResult(Value, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    """How a process ended."""

    type = TypeTag()


@payloads(result=Any)
class ProcessCompleted(ProcessResult, frozen=True, gc=False, tag="completed"):
    """The process did what it was for."""

    result: Payload = None


@payloads(details=Any)
class ProcessCanceled(ProcessResult, frozen=True, gc=False, tag="canceled"):
    """The process was canceled, or canceled itself."""

    details: Payload = None


@payloads(details=Any)
class ProcessFailed(ProcessResult, frozen=True, gc=False, tag="failed"):
    """The process failed."""

    reason: str | None = None
    details: Payload = None


@payloads(details=Any)
class ProcessTimedOut(ProcessResult, frozen=True, gc=False, tag="timedout"):
    """The process was open for longer than its workflow allows."""

    details: Payload = None


@payloads(details=Any)
class ProcessTerminated(ProcessResult, frozen=True, gc=False, tag="terminated"):
    """The process was ended by force."""

    reason: str | None = None
    details: Payload = None


class ProcessContinued(ProcessResult, frozen=True, gc=False, tag="continued"):
    """The process goes on under the same id as a new run with a fresh history.

    Attributes:
        run: The number of that run.
    """

    run: int = 0


AnyProcessResult = (
    ProcessCompleted
    | ProcessCanceled
    | ProcessFailed
    | ProcessTimedOut
    | ProcessTerminated
    | ProcessContinued
)
"""Every process result, as a type to decode."""

__all__ = [
    "ActivityAborted",
    "ActivityCanceled",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityResult",
    "ActivityTimedOut",
    "AnyProcessResult",
    "ProcessCanceled",
    "ProcessCompleted",
    "ProcessContinued",
    "ProcessFailed",
    "ProcessResult",
    "ProcessTerminated",
    "ProcessTimedOut",
    "TypeTag",
]
