"""Names of jobs and tasks as names of files."""

from hashlib import sha256
from urllib.parse import quote

LONGEST = 200
"""Characters: file systems take 255 bytes with what comes behind, backends an id of 256."""


def file_name(name: str) -> str:
    """Return a name with what no file can hold written as ``%2F``; if it is too long then, its beginning and a hash."""
    quoted = quote(name, safe=" !#$&'()+,;=@[]")
    if len(quoted) <= LONGEST:
        return quoted
    return f"{quoted[:LONGEST]}~{sha256(name.encode()).hexdigest()[:16]}"
