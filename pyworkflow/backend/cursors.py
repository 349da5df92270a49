"""Cursors of the feed: a place, and a checksum of what is recorded there.

A restored backup goes on at the same places with other events. The checksum says whether a cursor is of the present events or of the lost
ones: `docs/architecture/feed-order.md`.
"""

import re
from zlib import crc32

from pyworkflow.backend.unit import FeedBatch, StoredUnit
from pyworkflow.errors import InvalidRequestError, StaleCursorError

MOST = 2**62
"""The largest limit that a store understands."""

_CURSOR = re.compile(r"([0-9]{1,19})(?:-([0-9a-f]{8}))?", re.ASCII)


def cursor_of(batch: FeedBatch) -> str:
    """Return the cursor that stands for a batch and all before it."""
    return f"{batch.place}-{_checksum(batch):08x}"


def place_of(cursor: str) -> int:
    """Return the place of a cursor: a later entry of the same feed has a larger one.

    Raises:
        InvalidRequestError: The text is no cursor.
    """
    return _parse(cursor)[0]


def batches_after(unit: StoredUnit, cursor: str, limit: int) -> list[FeedBatch]:
    """Return the batches after a cursor, at most as many as the limit.

    A cursor without a checksum is a bare place: that of an older release, or the beginning. Nothing of it can be checked.

    Raises:
        InvalidRequestError: The text is no cursor.
        StaleCursorError: The store does not hold the events that the cursor stands for.
    """
    place, checksum = _parse(cursor)
    if checksum is None:
        return unit.feed(place, limit)
    batches = unit.feed(place - 1, min(limit, MOST) + 1)
    if batches and batches[0].place == place:
        if _checksum(batches.pop(0)) != checksum:
            raise _stale(cursor)
    elif place > unit.feed_purged():
        raise _stale(cursor)
    return batches[:limit]


def _parse(cursor: object) -> tuple[int, int | None]:
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is None:
        raise InvalidRequestError(
            f"cursor {cursor!r}", "must be the text that an entry of the feed has"
        )
    place, checksum = match.groups()
    return int(place), None if checksum is None else int(checksum, 16)


def _stale(cursor: str) -> StaleCursorError:
    return StaleCursorError(
        f"cursor {cursor!r} stands for events that the store does not hold: a backup was restored, or this is another store."
        " Read the processes again, and follow from feed_end(); or follow from the beginning, cursor '0'"
    )


def _checksum(batch: FeedBatch) -> int:
    return crc32(batch.body, crc32(f"{batch.first_seq}:{batch.run}:{batch.process_id}".encode()))
