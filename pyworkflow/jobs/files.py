"""Reads the files of a job, and merges what they include."""

import os
import stat
from pathlib import Path

from pyworkflow.jobs.nodes import Items, Node, Place, Problems, Scalar, Table, merged
from pyworkflow.jobs.substitute import Substitutions
from pyworkflow.jobs.yaml import MAX_SIZE, parse

MAX_INCLUDES = 16
"""Files that include each other in a row."""

INCLUDE = "include"


def read(path: Path, root: Path, substitutions: Substitutions, problems: Problems) -> Table | None:
    """Return what a job file and all that it includes make together; None if a file cannot be read.

    A file is merged once, where it comes first: after what it includes, in the order of the lists.

    Args:
        path: Of the job file; the operator names it, so it may be anywhere.
        root: Below it are all included files.
        substitutions: What the files may ask for.
        problems: Where to note what is wrong.
    """
    files = _Files(root.resolve(), substitutions, problems)
    try:
        found = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, or a NUL character
        problems.add(f"{str(path)!r} cannot be followed: {error}")
        return None
    files.add(found, None, ())
    if not files.complete:
        return None
    first, *others = files.tables
    for table in others:
        first = merged(first, table)
    return first


class _Files:
    """The tables of the files so far, in the order in which they are merged."""

    def __init__(self, root: Path, substitutions: Substitutions, problems: Problems) -> None:
        self.tables: list[Table] = []
        self.complete = True
        self._root = root
        self._substitutions = substitutions
        self._problems = problems
        self._done: set[Path] = set()

    def add(self, found: Path, place: Place | None, chain: tuple[Path, ...]) -> None:
        """Add a file after those that it includes.

        Args:
            found: Its path, all symbolic links followed.
            place: Where it is named.
            chain: The files that lead to it, each included by the one before.
        """
        if found in chain:
            cycle = " -> ".join(map(self._name, (*chain[chain.index(found) :], found)))
            self._refuse(f"the files include each other: {cycle}", place)
            return
        if len(chain) > MAX_INCLUDES:
            self._refuse(f"more than {MAX_INCLUDES} files include each other in a row", place)
            return
        if found in self._done:
            return
        self._done.add(found)
        try:
            text = read_text(found)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._refuse(f"{self._name(found)} cannot be read: {reason}", place)
            return
        table = parse(text, self._name(found), self._substitutions, self._problems)
        if table is None:
            self.complete = False
            return
        for node in self._included(table):
            target = self._target(node)
            if target is not None:
                self.add(target, node.place, (*chain, found))
        entries = {key: entry for key, entry in table.entries.items() if key != INCLUDE}
        self.tables.append(Table(table.place, entries))

    def _included(self, table: Table) -> tuple[Node, ...]:
        node = table.get(INCLUDE)
        if node is None:
            return ()
        if not isinstance(node, Items):
            self._refuse("must be a list of files", node.place)
            return ()
        return node.nodes

    def _target(self, node: Node) -> Path | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
            self._refuse("must name a file", node.place)
            return None
        try:
            return within(self._root, node.value)
        except ValueError as error:
            self._refuse(str(error), node.place)
            return None

    def _refuse(self, message: str, place: Place | None) -> None:
        self._problems.add(message, place, () if place is None else (INCLUDE,))
        self.complete = False

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)


def within(root: Path, given: str) -> Path:
    """Return the path that an include names, all symbolic links followed.

    Raises:
        ValueError: It is not below the root, or might be read as being elsewhere.
    """
    told = f"{given!r} is not below the root of the project"
    if "://" in given:
        raise ValueError(
            f"{given!r} is a URL: only files below the root of the project are included"
        )
    if "\\" in given:
        raise ValueError(f"{given!r} has a backslash: write / between folders")
    path = Path(given)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(told)
    try:
        found = (root / path).resolve()
    except (OSError, RuntimeError) as error:  # symbolic links that lead in a circle
        raise ValueError(f"{given!r} cannot be followed: {error}") from None
    if not found.is_relative_to(root):
        raise ValueError(f"{told}: it leads to {found}")
    return found


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, is too large, or is no UTF-8.
    """
    # Without blocking, because a pipe that nobody writes to would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is no UTF-8") from None
