"""Describes exceptions of users' code for the history and for logs. Nothing that an exception is made of can make this fail."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

MAX_TEXT = 32_768
"""Characters of a reason or of details that are recorded; longer ones are cut."""

MAX_KIND = 256
"""Characters of the name of a class."""

_CUT = "\n[… {} characters …]\n"


class Description(NamedTuple):
    """What is recorded of an exception; every text can be stored on every backend.

    Attributes:
        reason: What the exception says of itself; the name of its class if it says nothing.
        details: Its traceback, with causes and groups.
        kind: The name of its class.

    For a group, reason and kind are those of the exceptions in it, each once.
    """

    reason: str
    details: str
    kind: str

    @property
    def line(self) -> str:
        """The reason with the name of the class before it."""
        return self.kind if self.reason == self.kind else f"{self.kind}: {self.reason}"


def describe(error: BaseException) -> Description:
    """Return what is recorded of an exception. Raises nothing, whatever the exception's own methods do."""
    each = list(leaves(error))
    kind = storable(", ".join(dict.fromkeys(map(_kind, each))), MAX_KIND)
    reason = storable("; ".join(dict.fromkeys(text_of(leaf) or _kind(leaf) for leaf in each)))
    fallback = f"{kind}: {reason}"
    details = _attempt(lambda: "".join(traceback.format_exception(error)), fallback)
    return Description(reason, details, kind)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group and in the groups in it; an exception that is no group is its own leaf. Raises nothing."""
    waiting = [error]
    while waiting:
        part = waiting.pop()
        if inner := members(part):
            waiting += reversed(inner)
        else:
            yield part


def members(group: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions in a group, whatever its class makes of its attributes; none of an exception that is no group."""
    if not issubclass(type(group), BaseExceptionGroup):
        return ()
    exceptions: Any = BaseExceptionGroup.exceptions
    return cast("tuple[BaseException, ...]", exceptions.__get__(group))


def text_of(value: object) -> str:
    """Return a value as text that can be stored, cut to `MAX_TEXT`. Raises nothing."""
    return _attempt(lambda: str(value), f"<str() of {_kind(value)} failed>")


def repr_of(value: object, length: int = MAX_TEXT) -> str:
    """Return the `repr` of a value as text that can be stored, cut to a length. Raises nothing."""
    return _attempt(lambda: repr(value), f"<repr() of {_kind(value)} failed>", length)


def storable(text: str, length: int = MAX_TEXT) -> str:
    """Return a text without NUL and lone surrogates; of one that is too long, its beginning and its end."""
    if len(text) > length:
        # A traceback tells the cause first and the place last.
        cut = _CUT.format(len(text) - length)
        room = max(0, length - len(cut))
        text = (text[: room - room // 2] + cut + text[len(text) - room // 2 :])[:length]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")[:length]
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _kind(value: object) -> str:
    return _attempt(lambda: type(value).__name__, "object", MAX_KIND)


def _attempt(call: Callable[[], str], fallback: str, length: int = MAX_TEXT) -> str:
    try:
        # A subclass of str could fail later: the join makes it plain.
        return storable("".join([call(), ""]), length)
    except (
        BaseException
    ):  # users' methods may raise anything, RecursionError and SystemExit included
        return fallback
