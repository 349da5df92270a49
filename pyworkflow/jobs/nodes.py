"""What was read from a job file, each value with the place that it came from, through includes and aliases.

Nodes are immutable and may be shared: what an alias repeats is one node.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyworkflow.codec import Json
from pyworkflow.jobs.errors import JobDefinitionError, Problem

MAX_PROBLEMS = 100
"""Problems that are told at once: a file may have as many as it has lines."""

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something is; the first line and the first column are 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, a number, a boolean or nothing. `substituted` is told of text that came from a variable."""

    place: Place
    value: str | int | float | bool | None
    substituted: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a table; the place is that of its key."""

    place: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """Values by key."""

    place: Place
    entries: Mapping[str, Entry]

    def get(self, key: str) -> "Node | None":
        """Return the value of a key; None if it is not there, or left empty."""
        entry = self.entries.get(key)
        if entry is None or (isinstance(entry.node, Scalar) and entry.node.value is None):
            return None
        return entry.node


Node = Scalar | Items | Table


def plain(node: Node) -> Json:
    """Return a value without its places."""
    match node:
        case Scalar(value=value):
            return value
        case Items(nodes=nodes):
            return [plain(item) for item in nodes]
        case Table(entries=entries):
            return {key: plain(entry.node) for key, entry in entries.items()}


def scalars(node: Node) -> Iterator[Scalar]:
    """Yield the scalars in a value."""
    match node:
        case Scalar():
            yield node
        case Items(nodes=nodes):
            for item in nodes:
                yield from scalars(item)
        case Table(entries=entries):
            for entry in entries.values():
                yield from scalars(entry.node)


def merged(below: Table, above: Table) -> Table:
    """Return two tables as one: tables in both are merged likewise, of all else the one above stands."""
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        known = entries.get(key)
        if known is not None and isinstance(known.node, Table) and isinstance(entry.node, Table):
            entry = Entry(entry.place, merged(known.node, entry.node))
        entries[key] = entry
    return Table(above.place, entries)


def place_of(node: Node, path: Sequence[str | int], *, key: bool = False) -> Place:
    """Return the place of a value inside another, or of the innermost on the way to it that there is.

    Args:
        node: The outer value.
        path: The keys and indexes that lead to it.
        key: Ask for the place of its key instead.
    """
    place = node.place
    for number, step in enumerate(path, 1):
        if isinstance(node, Table) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node = entry.node
            # Of a table, the line that says its name tells more than the line below.
            by_key = (key and number == len(path)) or not isinstance(node, Scalar)
            place = entry.place if by_key else node.place
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.nodes):
            node = node.nodes[step]
            place = node.place
        else:
            break
    return place


def shown(path: Path) -> str:
    """Return a path as people read it: ``tasks.cleanup.dependencies[0]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Problems:
    """Collects what is wrong, so that all of it can be told at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._keys: set[tuple[object, ...]] = set()
        self._untold = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, message: str, place: Place | None = None, path: Path = ()) -> None:
        """Note a problem."""
        where = (None, None, None) if place is None else (place.file, place.line, place.column)
        self.take(Problem(message, shown(path), *where))

    def take(self, problem: Problem) -> None:
        """Note a problem that is made already. What is wrong with a value in two ways is told in one, the first."""
        place = (problem.path, problem.file, problem.line, problem.column)
        key = place if problem.line else (*place, problem.message)
        if key in self._keys:
            return
        self._keys.add(key)
        if len(self._found) < MAX_PROBLEMS:
            self._found.append(problem)
        else:
            self._untold += 1

    def error(self) -> JobDefinitionError:
        """Return all that is wrong as one error."""
        more = [f"and {self._untold} more problems"] if self._untold else []
        return JobDefinitionError(*self._found, *more)
