"""Places in the users' code, for messages."""

import inspect
from types import FrameType

_OURS = ("pyworkflow.replay", "asyncio")


def place() -> str:
    """Return the file and line of the users' code that asks."""
    frame = inspect.currentframe()
    while frame is not None:
        if found := place_of(frame):
            return found
        frame = frame.f_back
    return ""


def place_of(frame: FrameType | None) -> str:
    """Return the file and line of a frame, or nothing if it is not of the users' code."""
    if frame is None or frame.f_globals.get("__name__", "").startswith(_OURS):
        return ""
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
