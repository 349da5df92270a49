"""Making the tables, and bringing them up to date."""

from typing import Any

from psycopg import sql

from pyworkflow.backend.postgresql.address import Address
from pyworkflow.backend.postgresql.connections import Connection
from pyworkflow.backend.postgresql.session import own_text, statements
from pyworkflow.backend.statements import migrations
from pyworkflow.errors import BackendVersionError


def set_up(connection: Connection, address: Address) -> tuple[int, int]:
    """Make sure that the schema is there and is ours; return the number of the domain, and the identity of the schema.

    Any number of programs may do so at once. A program whose role may not write can open what another has made.

    Raises:
        BackendVersionError: The schema was made by a newer pyworkflow, or the database cannot hold our text.
    """
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise BackendVersionError(f"the encoding of {address.label} must be UTF8")
    boot = _Boot(connection, address)
    if boot.version() != boot.known:
        boot.migrate()
    if boot.one("lag"):
        boot.catch_up()
    return boot.domain(), boot.identity()


class _Boot:
    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address
        self._statements = statements(address.schema)
        self._scripts = migrations(__package__)
        self.known = len(self._scripts)

    def one(self, statement: str, /, **values: Any) -> Any:
        """Return the one value that a statement finds."""
        found = self._connection.execute(self._statements[statement], values).fetchone()
        return None if found is None else found[0]

    def _run(self, statement: str, /, **values: Any) -> None:
        self._connection.execute(self._statements[statement], values)

    def version(self) -> int:
        """Return the version of the schema, 0 if there is none."""
        if not self.one("schema_is_there"):
            return 0
        version = int(self.one("schema_version") or 0)
        if version > self.known:
            raise BackendVersionError(
                f"{self._address.label} has schema {version}; this pyworkflow knows {self.known}: upgrade it"
            )
        return version

    def migrate(self) -> None:
        """Apply the scripts that are missing, all or none."""
        with self._connection.transaction():
            self._run("schema_lock", name=self._address.schema)
            if not self.one("schema_is_there"):
                self._run("schema_begin")
                self._run("schema_meta")
                self._run("schema_values")
            # Another starter may have done it meanwhile.
            for script in self._scripts[self.version() :]:
                text = own_text(script).format(schema=sql.Identifier(self._address.schema))
                self._connection.execute(text)
            self._run("set_version", version=self.known)
            self._run("server_returned", hold=0)

    def catch_up(self) -> None:
        """Have new events follow the old ones on a server that counts its transactions anew."""
        with self._connection.transaction():
            self._run("schema_lock", name=self._address.schema)
            if lag := self.one("lag"):
                self._run("catch_up", lag=lag)

    def domain(self) -> int:
        """Return the number of the domain, which is made if it is new."""
        name = self._address.domain
        number = self.one("get_domain", name=name)
        if number is None:
            self._run("add_domain", name=name)
            number = self.one("get_domain", name=name)
        return int(number)

    def identity(self) -> int:
        """Return what tells the schema from one of the same name in another database."""
        found = self._connection.execute(self._statements["store"]).fetchone()
        return 0 if found is None else int(found[1])
