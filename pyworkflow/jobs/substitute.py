"""``$VAR{name}``, ``$ENV{NAME}`` and ``$SYS{APP_ROOT_DIR}`` in unquoted scalars.

Each may have a default, ``$VAR{name:default}``, which is all that follows the first colon. What is set is not looked through again.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pyworkflow.similar import similar

MAX_SUBSTITUTED = 1024 * 1024
"""Characters that all substitutions of a job may add."""

_SUBSTITUTION = re.compile(r"\$(ENV|SYS|VAR)\{(?:([A-Za-z_][A-Za-z0-9_.-]*)(?::([^{}]*))?\})?")
_ROOT = "APP_ROOT_DIR"


class Substitutions:
    """What may be put in, for the files of one job.

    Args:
        root: The root of the project.
        variables: The values of ``$VAR``.
        environment: The names of environment variables that ``$ENV`` may read.
    """

    def __init__(
        self,
        root: Path,
        variables: Mapping[str, str] | None = None,
        environment: Collection[str] = (),
    ) -> None:
        self._system = {_ROOT: str(root)}
        self._variables = dict(variables or {})
        self._allowed = frozenset(environment)
        self._left = MAX_SUBSTITUTED

    def apply(self, text: str) -> str | None:
        """Return the text with all values put in; None if it asks for none.

        Raises:
            ValueError: A substitution has no name or no end, is not allowed, or makes the job too large.
        """
        if "$" not in text:
            return None
        replaced, count = _SUBSTITUTION.subn(self._value, text)
        return replaced if count else None

    def _value(self, found: re.Match[str]) -> str:
        kind, name, default = found.groups()
        if name is None:
            raise ValueError(
                f"${kind}{{ needs a name and a closing brace, as in ${kind}{{NAME}} or ${kind}{{NAME:default}};"
                " quote the text if it is no substitution"
            )
        value = getattr(self, f"_{kind.lower()}")(name, default or "")
        self._left -= len(value)
        if self._left < 0:
            raise ValueError(f"the job's substitutions have more than {MAX_SUBSTITUTED} characters")
        return str(value)

    def _var(self, name: str, default: str) -> str:
        return self._variables.get(name, default)

    def _env(self, name: str, default: str) -> str:
        if name not in self._allowed:
            raise ValueError(
                f"the environment variable {name} may not be read: allow it with --env {name}"
            )
        return os.environ.get(name, default)

    def _sys(self, name: str, _: str) -> str:
        if name not in self._system:
            question = similar(name, self._system)
            raise ValueError(f"there is no $SYS{{{name}}}; {question or f'there is {_ROOT}'}")
        return self._system[name]
