"""What there is to say about a database file, for whoever looks after it."""

from pathlib import Path

import apsw

from pyworkflow.backend.sqlite.queries import migrations

LOCKS = Path("/proc/locks")
"""The locks of the machine, each with the number of its OS process; Linux only."""


def file_facts(connection: apsw.Connection) -> dict[str, str]:
    """Return the facts about the file of a connection; of a database in memory, its schema alone."""
    version = connection.execute("pragma user_version").get
    facts = {"schema": f"version {version} of {len(migrations())}"}
    if not connection.filename:
        return facts
    path = Path(connection.filename)
    status = path.stat()
    wal = Path(f"{path}-wal")
    return facts | {
        "file": str(path),
        "identity": f"device {status.st_dev}, inode {status.st_ino}",
        "names": "one" if status.st_nlink == 1 else f"{status.st_nlink} (hard links): keep one",
        "size": _size(path),
        "write-ahead log": _size(wal) if wal.exists() else "none",
        "locked by": _holders(path),
    }


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MB"


def _holders(path: Path) -> str:
    """Return the OS processes that hold a lock of the database, of its index, or the turn to write."""
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return "unknown: this system does not say"
    files = [Path(f"{path}{end}") for end in ("", "-shm", "-lock")]
    inodes = {str(file.stat().st_ino) for file in files if file.exists()}
    held = [line.split() for line in lines if "->" not in line]
    processes = {int(words[4]) for words in held if words[5].rpartition(":")[2] in inodes}
    return ", ".join(f"process {number}" for number in sorted(processes)) or "nobody"
