"""The classes that job files may name: only what a decorator registered, never a path to import."""

import sys
from collections.abc import Iterator
from typing import Generic, TypeVar

from pyworkflow.jobs.errors import JobError, UnknownPluginError

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes of one kind by the name of the class.

    Registering a class again changes nothing, also when its file is imported under another name. In one OS process, two classes of a kind
    cannot have one name.
    """

    def __init__(self, kind: str, base: type[T]) -> None:
        self.kind = kind
        self.base = base
        self._classes: dict[str, type[T]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def add(self, cls: type[T]) -> type[T]:
        """Register a class under its name.

        Raises:
            TypeError: it is not a subclass of the kind's base.
            JobError: another class has the name.
        """
        if not issubclass(cls, self.base):
            raise TypeError(f"@{self.kind} is for subclasses of {self.base.__name__}, not {cls!r}")
        known = self._classes.setdefault(cls.__name__, cls)
        if _origin(known) != _origin(cls):
            raise JobError(
                f"two {self.kind} classes are named {cls.__name__!r}:"
                f" in {known.__module__} and in {cls.__module__}"
            )
        self._classes[cls.__name__] = cls
        return cls

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UnknownPluginError: none is registered.
        """
        try:
            return self._classes[name]
        except KeyError:
            known = ", ".join(self) or "none"
            raise UnknownPluginError(f"unknown {self.kind} {name!r}; known: {known}") from None


def _origin(cls: type) -> tuple[str, str]:
    """Return the file and the name of a class; its module, if that has no file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file or cls.__module__, cls.__qualname__
