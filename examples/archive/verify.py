"""Does the archive hold what the folder held?"""

import gzip
import hashlib
from pathlib import Path
from typing import Any


def damaged(files: list[dict[str, Any]]) -> list[str]:
    """Return the files whose archived copy is not what was compressed, or is missing."""
    wrong: list[str] = []
    for file in files:
        try:
            with gzip.GzipFile(file["target"], "rb") as archived:
                digest = hashlib.file_digest(archived, "sha256").hexdigest()
        except OSError as error:
            wrong.append(f"{file['target']}: {error}")
            continue
        if digest != file["sha256"]:
            wrong.append(f"{file['target']}: holds something else than {file['source']}")
    return wrong


def forgotten(source: Path, files: list[dict[str, Any]]) -> list[str]:
    """Return the files of a folder that were not archived."""
    from examples.archive.activities import is_skipped

    archived = {file["source"] for file in files}
    missing: list[str] = []
    folders = [source]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_symlink():
                continue
            if path.is_dir() and not is_skipped(path):
                folders.append(path)
            elif path.is_file() and str(path) not in archived:
                missing.append(str(path))
    return missing
