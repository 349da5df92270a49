"""What is registered: services and workflows by name, with their versions, read from a backend's log of definitions."""

import logging
from collections.abc import Mapping
from datetime import datetime as DateTime
from functools import lru_cache
from threading import Lock
from typing import Any

from msgspec import Struct

from pyworkflow.backend.base import Backend, Definition
from pyworkflow.codec import Json, convert, to_plain
from pyworkflow.errors import PayloadError
from pyworkflow.services.definition import (
    SERVICE,
    WORKFLOW,
    ServiceDefinition,
    WorkflowDefinition,
)
from pyworkflow.services.errors import DefinitionConflictError, UnknownDefinitionError
from pyworkflow.services.flow import Flow

logger = logging.getLogger(__name__)

KINDS: Mapping[str, type[Any]] = {SERVICE: ServiceDefinition, WORKFLOW: WorkflowDefinition}
MOST_FLOWS = 1000
"""Workflows, of all versions, that are kept ready to run."""


class Registered(Struct, frozen=True):
    """A definition that is registered.

    Attributes:
        definition: What it says.
        version: 1 for the first of its name.
        revision: Its place in the log.
        defined: When it was registered, aware UTC.
    """

    definition: Any
    version: int
    revision: int
    defined: DateTime


class Registry:
    """The services and workflows of a backend. Safe to use from any thread.

    All versions are kept, so that an event which has begun goes on with those that it began with. What other OS processes define is seen
    after `refresh`.

    Args:
        backend: Where they are kept.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = Lock()
        self._revision = 0
        self._log: dict[tuple[str, str], list[Registered | Definition]] = {}
        self._flow = lru_cache(MOST_FLOWS)(self._make_flow)

    def refresh(self) -> None:
        """Take in what was defined since the last time."""
        with self._lock:
            for entry in self._backend.definitions(self._revision):
                self._take(entry)
                self._revision = entry.revision

    def _take(self, entry: Definition) -> None:
        known = self._log.setdefault((entry.kind, entry.name), [])
        # In one step: others look at the list without the lock.
        known.append(self._read(entry, known) or entry)

    def _read(self, entry: Definition, known: list[Registered | Definition]) -> Registered | None:
        if entry.body is None or entry.kind not in KINDS:
            return None
        what = f"{entry.kind} {entry.name!r}"
        try:
            definition: ServiceDefinition | WorkflowDefinition
            definition = convert(entry.body, KINDS[entry.kind], what)
        except PayloadError as error:
            # Of a later version, perhaps. For this program it is not there, and all others are.
            logger.warning("revision %d cannot be read: %s", entry.revision, error)
            return None
        version = 1 + sum(isinstance(each, Registered) for each in known)
        return Registered(definition, version, entry.revision, entry.defined)

    # -- looking -------------------------------------------------------------------------------------------------------------------

    def _entry(self, kind: str, name: str, revision: int | None) -> Registered | Definition | None:
        entries = self._log.get((kind, name), [])
        until = (e for e in reversed(entries) if revision is None or e.revision <= revision)
        return next(until, None)

    def _find(self, kind: str, name: str, revision: int | None) -> Registered | None:
        found = self._entry(kind, name, revision)
        return found if isinstance(found, Registered) else None

    def get(self, kind: str, name: str, revision: int | None = None) -> Registered:
        """Return the definition of a name, at a revision or as it is now.

        Raises:
            UnknownDefinitionError: There is none.
        """
        if revision is not None and revision > self._revision:
            self.refresh()
        if (found := self._find(kind, name, revision)) is None:
            raise UnknownDefinitionError(kind, name)
        return found

    def all(self, kind: str) -> list[Registered]:
        """Return all definitions of a kind as they are now, in the order of their names."""
        names = sorted(name for known, name in list(self._log) if known == kind)
        found = [self._find(kind, name, None) for name in names]
        return [each for each in found if each is not None]

    def flow(self, name: str, revision: int | None = None) -> Flow:
        """Return a workflow ready to run, at a revision or as it is now.

        Raises:
            UnknownDefinitionError: There is no such workflow.
            DefinitionConflictError: It does not go with the services as they are.
        """
        workflow = self.get(WORKFLOW, name, revision)
        entries = [
            self._entry(SERVICE, service, revision) for service in _services(workflow.definition)
        ]
        # What is no part of it may change: it stays the same.
        newest = max([workflow.revision, *(entry.revision for entry in entries if entry)])
        return self._flow(name, newest)

    def _make_flow(self, name: str, revision: int) -> Flow:
        return self.fitted(self.get(WORKFLOW, name, revision).definition, revision)

    def fitted(self, workflow: WorkflowDefinition, revision: int | None = None) -> Flow:
        """Return a workflow together with the services as they are, or were at a revision.

        Raises:
            DefinitionConflictError: It does not go with them.
            DefinitionError: What depends on what cannot be.
        """
        services = {
            name: known.definition
            for name in _services(workflow)
            if (known := self._find(SERVICE, name, revision)) is not None
        }
        return Flow(workflow, services, self._revision if revision is None else revision)

    def users(self, service: str) -> list[str]:
        """Return the names of the workflows that call a service."""
        return [
            known.definition.name
            for known in self.all(WORKFLOW)
            if service in _services(known.definition)
        ]

    # -- defining ------------------------------------------------------------------------------------------------------------------

    def put(self, kind: str, definition: ServiceDefinition | WorkflowDefinition) -> Registered:
        """Register a definition, in place of an earlier one of its name; the same one again changes nothing."""
        self.refresh()
        known = self._find(kind, definition.name, None)
        if known is None or known.definition != definition:
            self._backend.define(kind, definition.name, to_plain(definition))
            self.refresh()
        return self.get(kind, definition.name)

    def remove(self, kind: str, name: str) -> None:
        """Remove a definition; events that have begun go on with it.

        Raises:
            UnknownDefinitionError: There is none.
            DefinitionConflictError: It is a service that a workflow calls.
        """
        self.refresh()
        self.get(kind, name)
        if kind == SERVICE and (users := self.users(name)):
            raise DefinitionConflictError(f"service {name!r} is called by workflow {users[0]!r}")
        self._backend.define(kind, name, None)
        self.refresh()

    def first(self, kind: str, name: str, body: Json) -> Json:
        """Return what was defined first under a name, for all who ask at a time the same; define it if nothing was."""
        self.refresh()
        if not self._log.get((kind, name)):
            self._backend.define(kind, name, body)
            self.refresh()
        first = self._log[kind, name][0]
        return first.body if isinstance(first, Definition) else None


def _services(workflow: WorkflowDefinition) -> dict[str, None]:
    return dict.fromkeys(entry.service for entry in workflow.spec.services)
