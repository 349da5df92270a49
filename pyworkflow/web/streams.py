"""Server-sent events: the feed as a stream that goes on where a client left off."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from pyworkflow.backend.base import FeedEntry
from pyworkflow.codec import encode
from pyworkflow.web.endpoint import Call
from pyworkflow.web.pool import BUSY
from pyworkflow.web.problems import Problem
from pyworkflow.web.shapes import entry_record
from pyworkflow.web.site import Site

QUIET = 15.0
"""Seconds after which a comment is sent, so that proxies do not take the stream for dead."""
RESUME = "Last-Event-ID"


class StreamQuery(Struct, forbid_unknown_fields=True):
    """Which events; ``since`` is a cursor, 0 for the beginning, and the end if left out."""

    process: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    since: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    brief: bool = False


@contextmanager
def stream_slot(site: Site) -> Generator[None]:
    """Refuse one stream or wait too many.

    Raises:
        Problem: There are as many as may be.
    """
    if site.hub.listening >= site.limits.streams:
        raise Problem(503, "too many streams are open", headers=BUSY)
    yield


async def stream(call: Call) -> Response:
    """Answer with the feed."""
    query: StreamQuery = call.query
    since = query.since
    if (last := call.request.headers.get(RESUME)) is not None:
        if not last.isascii() or not last.isdigit() or len(last) > 18:
            raise Problem(422, "must be the id of an event", RESUME)
        since = int(last)
    with stream_slot(call.site):
        pages = call.site.hub.entries(since, query.process, QUIET)
        headers = {"X-Accel-Buffering": "no"}
        body = _texts(pages, query.brief)
        return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _texts(pages: AsyncIterator[list[FeedEntry]], brief: bool) -> AsyncGenerator[bytes]:
    # A client takes the stream for open when the first bytes come: from then on it misses nothing.
    nothing = b"retry: 2000\n\n"
    async for entries in pages:
        yield (
            b"".join(
                _text(
                    entry,
                    brief,
                    last=n + 1 == len(entries) or entries[n + 1].cursor != entry.cursor,
                )
                for n, entry in enumerate(entries)
            )
            or nothing
        )
        nothing = b": quiet\n\n"


def _text(entry: FeedEntry, brief: bool, *, last: bool) -> bytes:
    """Return an event. Only the last one of a transition carries the cursor: who resumes there has had all of it."""
    data = encode(entry_record(entry, brief))
    number = f"id: {entry.cursor}\n".encode() if last else b""
    return b"".join((number, b"event: ", entry.event.type.encode(), b"\ndata: ", data, b"\n\n"))
