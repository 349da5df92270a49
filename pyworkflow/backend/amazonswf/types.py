"""Registering types and domains. Types on SWF never change, so what is there is compared, and a difference explained."""

import logging
from typing import Any

from pyworkflow.backend.amazonswf.client import Calls, Fault
from pyworkflow.errors import InvalidRequestError
from pyworkflow.swf.settings import ActivityType, WorkflowType

log = logging.getLogger("pyworkflow.amazonswf")


def register_type(
    calls: Calls, kind: str, wanted: ActivityType | WorkflowType, strict: bool
) -> None:
    """Make a type known to SWF, or compare it with what SWF knows.

    Args:
        calls: Calls SWF.
        kind: ``workflow`` or ``activity``.
        wanted: The type.
        strict: Whether a difference is an error.

    Raises:
        InvalidRequestError: The type is deprecated, or differs and must not.
    """
    name = {"name": wanted.name, "version": wanted.version}
    try:
        known = calls(f"describe_{kind}_type", **{f"{kind}Type": name})
    except Fault as fault:
        if fault.code != "UnknownResourceFault":
            raise
        try:
            calls(f"register_{kind}_type", **name, **wanted.defaults())
            return
        except Fault as raced:
            if raced.code != "TypeAlreadyExistsFault":
                raise
        known = calls(f"describe_{kind}_type", **{f"{kind}Type": name})
    _compare(kind, wanted, known, strict)


def _compare(
    kind: str, wanted: ActivityType | WorkflowType, known: dict[str, Any], strict: bool
) -> None:
    what = f"{kind} type {wanted.name!r}, version {wanted.version!r},"
    if known.get("typeInfo", {}).get("status") == "DEPRECATED":
        raise InvalidRequestError(
            what, "is deprecated on Amazon SWF: undeprecate it or use another version"
        )
    there = known.get("configuration", {})
    differences = [
        f"{key} is {_shown(there.get(key))}, not {_shown(value)}"
        for key, value in wanted.defaults().items()
        if there.get(key) != value
    ]
    if not differences:
        return
    reason = (
        f"is registered with other defaults ({'; '.join(differences)}), and a type on Amazon SWF never changes."
        " What this program starts and schedules has its own values all the same; other clients get the registered ones."
        " Another version would settle it"
    )
    if strict:
        raise InvalidRequestError(what, reason)
    log.warning("%s %s", what, reason)


def _shown(value: Any) -> str:
    return repr(value["name"] if isinstance(value, dict) else value)
