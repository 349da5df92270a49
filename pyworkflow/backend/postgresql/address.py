"""Where the database is: the URL, and how the connections to it are made."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from msgspec import Struct, structs
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyworkflow.errors import InvalidRequestError
from pyworkflow.values import check_name

DEFAULT_SCHEMA = "pyworkflow"
DEFAULT_DOMAIN = "default"
NO_LISTENING = "off"

# A lost network is noticed in seconds, also where an answer to what was sent is awaited; libpq's own values are hours.
DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "3",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "application_name": "pyworkflow",
}

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Address(Struct, frozen=True):
    """What a backend object connects to.

    Attributes:
        conninfo: libpq's connection string.
        schema: The schema of the tables.
        domain: The namespace.
        listen: The connection string for LISTEN, ``off`` for none, None for the same one.
        prepare: Whether statements are prepared.
    """

    conninfo: str
    schema: str = DEFAULT_SCHEMA
    domain: str = DEFAULT_DOMAIN
    listen: str | None = None
    prepare: bool = True

    def __repr__(self) -> str:
        return f"Address({self.label}, schema={self.schema!r}, domain={self.domain!r})"

    @property
    def label(self) -> str:
        """The place, for messages: never the password."""
        given = conninfo_to_dict(self.conninfo)
        host = given.get("host") or given.get("hostaddr") or "localhost"
        return f"postgresql://{host}:{given.get('port') or 5432}/{given.get('dbname') or ''}"

    @property
    def listening(self) -> str | None:
        """The connection string for LISTEN; None if nobody listens."""
        if self.listen == NO_LISTENING:
            return None
        return self.conninfo if self.listen is None else self.listen


def checked(address: Address) -> Address:
    """Return an address with what it leaves out.

    Raises:
        InvalidRequestError: A part of it is not acceptable.
    """
    if not _SCHEMA.fullmatch(address.schema):
        raise InvalidRequestError(
            f"schema {address.schema!r}", "must be lower-case letters, digits and underscores"
        )
    check_name(address.domain, "domain")
    listen = address.listen
    if listen not in (None, NO_LISTENING):
        listen = _completed(str(listen))
    return structs.replace(address, conninfo=_completed(address.conninfo), listen=listen)


def _completed(conninfo: str) -> str:
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        # The driver's words may quote the password.
        raise InvalidRequestError("PostgreSQL address", "is no connection string") from error
    return make_conninfo("", **{**DEFAULTS, **{k: v for k, v in given.items() if v is not None}})


def parse_url(url: str) -> Address:
    """Return what a URL names: libpq's own form, with ``schema``, ``domain``, ``listen`` and ``prepare`` as further parameters.

    Raises:
        InvalidRequestError: A part of it is not acceptable.
    """
    parts = urlsplit(url)
    own: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("schema", "domain", "listen", "prepare"):
            own[name] = value
        else:
            rest.append((name, value))
    if own.get("prepare", "on") not in ("on", "off"):
        raise InvalidRequestError(f"parameter prepare={own['prepare']}", "must be on or off")
    conninfo = urlunsplit(parts._replace(query=urlencode(rest)))
    # Without a host, urlunsplit leaves out the two slashes, which libpq wants.
    if not parts.netloc:
        conninfo = conninfo.replace("postgresql:", "postgresql://", 1)
    return Address(
        conninfo,
        own.get("schema", DEFAULT_SCHEMA),
        own.get("domain", DEFAULT_DOMAIN),
        own.get("listen"),
        own.get("prepare", "on") == "on",
    )
