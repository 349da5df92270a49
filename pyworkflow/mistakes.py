"""Tells mistakes in the code from outcomes of the work. Every catch that treats the two differently asks here.

A mistake abandons the decision that it interrupts: nothing of it is recorded, and the repaired code takes the same decision. Any other
exception is an outcome, which is recorded and acted upon.
"""

import asyncio
from collections.abc import Iterator

from pyworkflow.errors import PyworkflowError, is_outage
from pyworkflow.failure import members

MISTAKES: tuple[type[BaseException], ...] = (
    PyworkflowError,
    NameError,
    AttributeError,
    ImportError,
    TypeError,
    AssertionError,
)
"""Exceptions that are mistakes where nobody says otherwise."""


class ControlFlow(BaseException):
    """Leaves users' code, and is neither an outcome nor a mistake. No `Exception`, so that error handling does not swallow it."""


_OUTCOMES = (Exception, BaseExceptionGroup, asyncio.CancelledError, GeneratorExit, ControlFlow)


def parts(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, those in it if it is a group, and those that it was raised from (``raise … from``), to any depth."""
    waiting, seen = [error], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if part.__cause__ is not None:
            waiting.append(part.__cause__)
        waiting += reversed(members(part))


def is_mistake(error: BaseException, kinds: tuple[type[BaseException], ...] = MISTAKES) -> bool:
    """Tell whether an exception is a mistake, holds one in a group, or was raised from one.

    An outage of the store and what would end the interpreter count as mistakes: they say nothing of the work.

    Args:
        error: The exception.
        kinds: The classes of mistakes.
    """
    return any(_is_one(part, kinds) for part in parts(error))


def _is_one(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    if isinstance(error, kinds) or is_outage(error):
        return True
    return not isinstance(error, _OUTCOMES)
