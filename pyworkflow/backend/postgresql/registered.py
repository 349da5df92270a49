"""The workflows and activities that are registered, read again only when somebody has changed them."""

from collections.abc import Mapping

from msgspec import Struct

from pyworkflow.backend.postgresql.session import Session
from pyworkflow.backend.staged import registration
from pyworkflow.ledger.rows import ActivityTypeRow, WorkflowRow


class _Known(Struct, frozen=True):
    version: int
    workflows: dict[str, WorkflowRow]
    activities: dict[str, ActivityTypeRow]


class TypeCache:
    """What one backend object knows of the types."""

    def __init__(self) -> None:
        self.known: _Known | None = None

    def at(self, version: int) -> "Types":
        """Return the types as they are in a transaction that sees this version of them."""
        return Types(self, version)


class Types:
    """The types as one transaction sees them."""

    def __init__(self, cache: TypeCache, version: int) -> None:
        self._cache = cache
        self._version = version

    def workflows(self, session: Session) -> Mapping[str, WorkflowRow]:
        """Return the workflows by name."""
        return self._load(session).workflows

    def activities(self, session: Session) -> Mapping[str, ActivityTypeRow]:
        """Return the activities by name."""
        return self._load(session).activities

    def _load(self, session: Session) -> _Known:
        known = self._cache.known
        if known is None or known.version != self._version:
            known = _Known(self._version, {}, {})
            for kind, name, body in session.rows("get_types"):
                if kind == "workflow":
                    if (workflow := registration(body, WorkflowRow, name)) is not None:
                        known.workflows[name] = workflow
                elif (activity := registration(body, ActivityTypeRow, name)) is not None:
                    known.activities[name] = activity
            self._cache.known = known
        return known
