"""Rows of one table that a transaction has read or changed, until it writes them down."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class Staged(Generic[K, R]):
    """An identity map with a record of what has to be written.

    What is added and dropped in the same transaction is never written.
    """

    __slots__ = ("changed", "dropped", "new", "rows")

    def __init__(self) -> None:
        self.rows: dict[K, R | None] = {}
        self.new: dict[K, None] = {}
        self.changed: dict[K, None] = {}
        self.dropped: dict[K, None] = {}

    def get(self, key: K, load: Callable[[], R | None]) -> R | None:
        """Return a row, loading it the first time."""
        if key in self.rows:
            return self.rows[key]
        row = self.rows[key] = load()
        return row

    def loaded(self, key: K, row: R) -> R | None:
        """Return the row of this transaction for one that was just read; None if it has been dropped."""
        return self.rows.setdefault(key, row)

    def add(self, key: K, row: R) -> None:
        """Keep a new row."""
        self.rows[key] = row
        if key in self.dropped:
            del self.dropped[key]
            self.changed[key] = None
        else:
            self.new[key] = None

    def change(self, key: K) -> None:
        """Have a row written down again."""
        if key not in self.new:
            self.changed[key] = None

    def drop(self, key: K) -> None:
        """Forget a row."""
        self.rows[key] = None
        if key in self.new:
            del self.new[key]
        else:
            self.changed.pop(key, None)
            self.dropped[key] = None

    def written(self, keys: dict[K, None]) -> list[R]:
        """Return the rows of some keys."""
        return [row for key in keys if (row := self.rows[key]) is not None]
