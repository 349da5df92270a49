"""Reads YAML into nodes: no tags, no double keys, nothing that grows, nothing that surprises.

It walks the events of libyaml's parser, which know nothing of Python's types; PyYAML's loaders and their shared tables are left alone.
Aliases and merge keys (``<<``) may be used: what they repeat counts as often as it is repeated.
"""

import re
from collections.abc import Iterator

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pyworkflow.jobs.nodes import Entry, Items, Node, Place, Problems, Scalar, Table
from pyworkflow.jobs.nodes import Path as KeyPath
from pyworkflow.jobs.scalars import resolved
from pyworkflow.jobs.substitute import Substitutions

MAX_SIZE = 1024 * 1024
"""Bytes of one file."""

MAX_DEPTH = 64
"""Levels of lists and tables, those behind aliases included."""

MAX_NODES = 100_000
"""Values of one file, those that aliases repeat included."""

_MERGE = "<<"
_CUT_OFF = re.compile(r"\$(?:ENV|SYS|VAR)$")


def parse(text: str, file: str, substitutions: Substitutions, problems: Problems) -> Table | None:
    """Return the table that a file is; None if it cannot be read to its end. What is wrong is noted.

    Args:
        text: Of the file.
        file: Its name, for the places.
        substitutions: What unquoted scalars may ask for.
        problems: Where to note what is wrong.
    """
    return _Reader(text, file, substitutions, problems).read()


class _Stop(Exception):
    """The rest of the file is not worth reading."""


class _Reader:
    def __init__(
        self, text: str, file: str, substitutions: Substitutions, problems: Problems
    ) -> None:
        self._text = text
        self._file = file
        self._substitutions = substitutions
        self._problems = problems
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._count = 0
        self._path: KeyPath = ()
        self._start = Place(file, 1, 1)

    def read(self) -> Table | None:
        try:
            data = self._text.encode()
        except UnicodeEncodeError as error:
            self._problems.add(
                "has a lone surrogate, which UTF-8 cannot carry", self._offset(error.start)
            )
            return None
        if len(data) > MAX_SIZE:
            self._problems.add(f"is larger than {MAX_SIZE // 1024} KiB", self._start)
            return None
        try:
            return self._document()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            told = ", ".join(part for part in (error.context, error.problem) if part)
            place = self._place(error)
            before = self._text.splitlines()[place.line - 1 : place.line]
            if before and _CUT_OFF.search(before[0][: place.column - 1]):
                told = (
                    "within { } and [ ], a scalar has no braces: write $VAR{…} on a line of its own"
                )
            self._problems.add(f"is no YAML: {told}", place, self._path)
        except yaml.reader.ReaderError as error:
            place = self._offset(len(data[: error.position].decode(errors="ignore")))
            self._problems.add(f"is no YAML: {error.reason}", place)
        return None

    def _document(self) -> Table:
        events: Iterator[Event] = yaml.parse(self._text, yaml.CSafeLoader)
        node: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if node is not None:
                    self._stop("has a second document: one file is one job", self._place(event))
                node, _ = self._node(next(events), events, 0)
        if isinstance(node, Table):
            return node
        if node is not None and node != Scalar(node.place, None):
            self._stop("must be a table of keys and values", node.place)
        return Table(self._start, {})

    def _place(self, at: Event | yaml.MarkedYAMLError) -> Place:
        mark = at.start_mark if isinstance(at, Event) else at.problem_mark or at.context_mark
        # Without a mark, there is nothing better to say than the file.
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else self._start

    def _offset(self, characters: int) -> Place:
        before = self._text[:characters]
        return Place(self._file, before.count("\n") + 1, characters - before.rfind("\n"))

    def _stop(self, message: str, place: Place) -> None:
        self._problems.add(message, place, self._path)
        raise _Stop

    # -- nodes ----------------------------------------------------------------------------------------------------------------------

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> tuple[Node, int]:
        """Return a node and how many levels of lists and tables it has."""
        place = self._place(event)
        self._count_in(1, depth, place)
        before = self._count
        if isinstance(event, AliasEvent):
            return self._alias(event, depth, place)
        if not isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent):
            raise TypeError(f"{event!r} begins no node")
        if (tag := getattr(event, "tag", None)) is not None:
            self._problems.add(f"has the tag {tag!r}: tags are not allowed", place, self._path)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        match event:
            case ScalarEvent():
                node, height = self._scalar(event, place), 0
            case SequenceStartEvent():
                node, height = self._items(events, depth + 1, place)
            case MappingStartEvent():
                node, height = self._table(events, depth + 1, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = node, self._count - before, height
        return node, height

    def _count_in(self, nodes: int, depth: int, place: Place) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            self._stop(f"has more than {MAX_NODES} values, those of aliases included", place)
        if depth > MAX_DEPTH:
            self._stop(f"is nested deeper than {MAX_DEPTH} levels", place)

    def _alias(self, event: AliasEvent, depth: int, place: Place) -> tuple[Node, int]:
        # The parser knows only whether it is a name; an unknown one is its composer's affair.
        if event.anchor not in self._anchors:
            self._problems.add(f"there is no anchor &{event.anchor}", place, self._path)
            return Scalar(place, None), 0
        known = self._anchors[event.anchor]
        if known is None:
            self._problems.add(f"&{event.anchor} contains itself", place, self._path)
            return Scalar(place, None), 0
        node, count, height = known
        self._count_in(count, depth + height, place)
        return node, height

    def _items(self, events: Iterator[Event], depth: int, place: Place) -> tuple[Items, int]:
        nodes, highest, outer = list[Node](), 0, self._path
        while not isinstance(event := next(events), SequenceEndEvent):
            self._path = (*outer, len(nodes))
            node, height = self._node(event, events, depth)
            nodes.append(node)
            highest = max(highest, height)
        self._path = outer
        return Items(place, tuple(nodes)), highest + 1

    def _table(self, events: Iterator[Event], depth: int, place: Place) -> tuple[Table, int]:
        entries, merges, highest, outer = dict[str, Entry](), list[Node](), 0, self._path
        while not isinstance(event := next(events), MappingEndEvent):
            at = self._place(event)
            key = self._key(event, events, depth)
            self._path = outer if key is None else (*outer, key)
            node, height = self._node(next(events), events, depth)
            highest = max(highest, height)
            if key == _MERGE and isinstance(event, ScalarEvent) and not event.style:
                merges.append(node)
            elif key in entries:
                first = entries[key].place
                told = f"the key is there twice, first in line {first.line}"
                self._problems.add(told, at, self._path)
            elif key is not None:
                entries[key] = Entry(at, node)
            self._path = outer
        for node in merges:
            for table in self._merged(node):
                entries = {**table.entries, **entries}
        return Table(place, entries), highest + 1

    def _merged(self, node: Node) -> list[Table]:
        """Return the tables that a merge key names; the first one counts most."""
        nodes = node.nodes if isinstance(node, Items) else (node,)
        tables = [table for table in nodes if isinstance(table, Table)]
        if len(tables) < len(nodes):
            self._problems.add("<< needs a table, or a list of tables", node.place, self._path)
        return tables

    def _key(self, event: Event, events: Iterator[Event], depth: int) -> str | None:
        place = self._place(event)
        if not isinstance(event, ScalarEvent):
            self._problems.add("a key must be text", place, self._path)
            self._node(event, events, depth)
            return None
        self._count_in(1, depth, place)
        if event.anchor is not None or event.tag is not None:
            self._problems.add("a key can have no anchor and no tag", place, self._path)
        value = self._scalar(event, place).value
        if value is None or isinstance(value, bool | float):
            self._problems.add(f"a key must be text: quote {event.value!r}", place, self._path)
        # A number is kept as it is written: in JSON, all keys are text.
        return value if isinstance(value, str) else str(event.value)

    def _scalar(self, event: ScalarEvent, place: Place) -> Scalar:
        text: str = event.value
        if event.style:  # quoted, or a block of text
            return Scalar(place, self._checked(text, place))
        try:
            substituted = self._substitutions.apply(text)
            if substituted is not None:
                return Scalar(place, self._checked(substituted, place), substituted=True)
            return Scalar(place, resolved(text))
        except ValueError as error:
            self._problems.add(str(error), place, self._path)
            return Scalar(place, text)

    def _checked(self, text: str, place: Place) -> str:
        if "\0" in text:
            self._problems.add(
                "has a NUL character, which JSON of workflows cannot carry", place, self._path
            )
        elif not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            self._problems.add("has a lone surrogate, which UTF-8 cannot carry", place, self._path)
        return text
