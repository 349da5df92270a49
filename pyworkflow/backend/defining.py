"""The log of definitions of the backends that keep their own state."""

from pyworkflow.backend.base import Definition
from pyworkflow.backend.reading import definition
from pyworkflow.backend.transactions import Transactions
from pyworkflow.backend.unit import DefinitionRow, StoredUnit
from pyworkflow.codec import Json
from pyworkflow.values import check_name, check_payload


class Defining(Transactions):
    """The part of `StoredBackend` that keeps definitions."""

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
