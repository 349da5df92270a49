"""The work: compress a file and tell its hash; count what was archived."""

import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

from pyworkflow.activity import Retry, activity

SKIPPED = frozenset(
    {".git", ".venv", ".tools", ".pyworkflow", "__pycache__", "build", "dist", "node_modules"}
)
"""Folders that are made, not written."""


def is_skipped(path: Path) -> bool:
    """Tell whether a folder is left out: links, caches, and what is made by tools."""
    return path.is_symlink() or path.name in SKIPPED or path.name.endswith(("_cache", ".egg-info"))


@activity(retry=Retry(max_attempts=3, initial=0.2))
def scan(folder: str) -> dict[str, list[str]]:
    """Return the names of a folder's files and subfolders."""
    entries = sorted(path for path in Path(folder).iterdir() if not path.is_symlink())
    return {
        "files": [path.name for path in entries if path.is_file()],
        "folders": [path.name for path in entries if path.is_dir() and not is_skipped(path)],
    }


@activity(retry=Retry(max_attempts=3, initial=0.2))
def compress(source: str, target: str) -> dict[str, Any]:
    """Compress a file; return its size in bytes and its SHA-256. Doing it twice is as good as once."""
    path, archived = Path(source), Path(target)
    archived.parent.mkdir(parents=True, exist_ok=True)
    # Beside it first: a worker that is killed leaves no half file under the final name.
    unfinished = archived.with_name(f"{archived.name}.part")
    with path.open("rb") as original, gzip.open(unfinished, "wb", compresslevel=6) as compressed:
        shutil.copyfileobj(original, compressed)
    unfinished.replace(archived)
    with path.open("rb") as original:
        digest = hashlib.file_digest(original, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}
