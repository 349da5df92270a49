"""What the stored backends know by name, beside processes: types of workflows and activities, and the log of definitions."""

from pyworkflow.backend import requests
from pyworkflow.backend.base import (
    DEFAULT_CATEGORY,
    Definition,
    RegisteredActivity,
    RegisteredWorkflow,
)
from pyworkflow.backend.reading import definition, registered_activity, registered_workflow
from pyworkflow.backend.transactions import Transactions
from pyworkflow.backend.unit import DefinitionRow, StoredUnit
from pyworkflow.codec import Json
from pyworkflow.ledger.rows import ActivityTypeRow, WorkflowRow
from pyworkflow.retry import Retry
from pyworkflow.values import check_name, check_payload


class KnownTypes(Transactions):
    """The part of `StoredBackend` that registers and defines."""

    def register_workflow(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        timeout: float = 365 * 86_400,
        decision_timeout: float = 60,
        *,
        handles_cancel: bool = False,
        graph: Json = None,
    ) -> None:
        """Make a workflow known."""
        row = WorkflowRow(
            check_name(name, "workflow"),
            check_name(category, "category"),
            requests.duration(timeout, "timeout"),
            requests.duration(decision_timeout, "decision_timeout"),
            handles_cancel,
            graph,
        )
        if self._snapshot(lambda unit: unit.workflow(row.name)) != row:
            self._do(lambda unit: unit.set_workflow(row))

    def register_activity(
        self,
        name: str,
        category: str = DEFAULT_CATEGORY,
        scheduled_timeout: float = 60,
        execution_timeout: float = 365 * 86_400,
        heartbeat_timeout: float = 365 * 86_400,
        *,
        retry: Retry | None = None,
        at_most_once: bool = False,
    ) -> None:
        """Make an activity known."""
        row = ActivityTypeRow(
            check_name(name, "activity"),
            check_name(category, "category"),
            requests.duration(scheduled_timeout, "scheduled_timeout"),
            requests.duration(execution_timeout, "execution_timeout"),
            requests.duration(heartbeat_timeout, "heartbeat_timeout"),
            retry,
            at_most_once,
        )
        if self._snapshot(lambda unit: unit.activity_type(row.name)) != row:
            self._do(lambda unit: unit.set_activity_type(row))

    def workflows(self) -> list[RegisteredWorkflow]:
        """Return the workflows that are registered."""
        return self._snapshot(lambda unit: [registered_workflow(r) for r in unit.workflows()])

    def activities(self) -> list[RegisteredActivity]:
        """Return the activities that are registered."""
        return self._snapshot(lambda unit: [registered_activity(r) for r in unit.activity_types()])

    def define(self, kind: str, name: str, body: Json) -> Definition:
        """Add an entry to the log of definitions."""
        check_name(kind, "kind of definition")
        check_name(name, f"name of a {kind}")
        data = check_payload(body, f"definition of {name!r}")

        def work(unit: StoredUnit) -> DefinitionRow:
            return DefinitionRow(unit.define(kind, name, data), kind, name, data, unit.now)

        return definition(self._do(work))

    def definitions(self, since: int = 0) -> list[Definition]:
        """Return the entries of the log of definitions after a revision."""
        rows = self._snapshot(lambda unit: unit.definitions(since))
        return [definition(row) for row in rows]
