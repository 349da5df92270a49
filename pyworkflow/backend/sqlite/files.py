"""Which files a path stands for: a database that was deleted, replaced or truncated since must not be written to as if it were there."""

from pathlib import Path

from pyworkflow.errors import BackendReplacedError

SIDE_FILES = ("-wal", "-shm")
"""What SQLite writes beside a database, and removes only with its last connection."""

IN_USE_BY_PARENT = "was in use by the thread that forked: use it in the parent, or in a new program"

FileId = tuple[int, int]
"""Device and inode."""

_left_to_parent: set[FileId] = set()
"""Databases that this OS process has inherited open: SQLite would take the parent's locks for locks of ours."""


class FileIdentity:
    """The identity of a database file and of SQLite's files beside it, as they were when connections were opened.

    Args:
        path: The database, without symbolic links in it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = Path(path)
        self._database: FileId | None = None
        self._size = 0
        self._sides: dict[Path, FileId] = {}

    def admit(self) -> None:
        """Let a connection be opened.

        Raises:
            BackendReplacedError: The path has become another database, or has several names, or is left to the parent.
        """
        self.check()
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return
        if (status.st_dev, status.st_ino) in _left_to_parent:
            raise BackendReplacedError(f"{self._path} {IN_USE_BY_PARENT}")
        if status.st_nlink > 1:
            # SQLite names the WAL after the database: with two names it would have two, and lose what is in one of them.
            raise BackendReplacedError(
                f"{self._path} has {status.st_nlink} names (hard links): remove the others, then open it again"
            )

    def record(self) -> None:
        """Take the files for those of a connection that has just been opened.

        Raises:
            BackendReplacedError: The path has become another database.
        """
        self.check()
        status = self._file.stat()
        self._database, self._size = (status.st_dev, status.st_ino), status.st_size
        for end in SIDE_FILES:
            side = Path(self._path + end)
            if (identity := _identity(side)) is not None:
                self._sides[side] = identity

    def leave_to_parent(self) -> None:
        """Never open the database in this OS process again."""
        if self._database is not None:
            _left_to_parent.add(self._database)

    def forget_sides(self) -> None:
        """Expect other files beside the database: the last connection has been closed."""
        self._sides.clear()

    def check(self) -> int:
        """Return how long the database was at the last call if it has become shorter, else 0: it was compacted, or truncated.

        Raises:
            BackendReplacedError: A file is not the one that was opened.
        """
        if self._database is None:
            return 0
        try:
            status = self._file.stat()
        except FileNotFoundError:
            raise BackendReplacedError(
                f"{self._path} was deleted while it was in use: restore it, then start this program again"
            ) from None
        if (status.st_dev, status.st_ino) != self._database:
            raise BackendReplacedError(
                f"{self._path} was replaced while it was in use: open it again"
            )
        for side, identity in self._sides.items():
            if _identity(side) != identity:
                raise BackendReplacedError(
                    f"{side} was deleted or replaced while it was in use: open {self._path} again"
                )
        before, self._size = self._size, status.st_size
        return before if status.st_size < before else 0


def _identity(path: Path) -> FileId | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
