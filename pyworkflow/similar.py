"""What somebody may have meant who misspelt a name."""

from collections.abc import Iterable


def similar(name: str, names: Iterable[str]) -> str:
    """Return a question that names what comes closest, or the empty text.

    What begins with the name comes first: people type the beginning of a long id.
    """
    from difflib import get_close_matches

    known = [other for other in dict.fromkeys(names) if other]
    begun = [other for other in known if name and other.startswith(name)]
    close = begun or get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
