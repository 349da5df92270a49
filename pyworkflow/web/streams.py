"""Server-sent events: the feed as a stream that goes on where a client left off."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pyworkflow.backend.base import FeedEntry
from pyworkflow.backend.cursors import place_of
from pyworkflow.codec import encode
from pyworkflow.errors import InvalidRequestError
from pyworkflow.web.endpoint import Call
from pyworkflow.web.guard import bearer
from pyworkflow.web.hub import Reset
from pyworkflow.web.problems import Problem
from pyworkflow.web.shapes import entry_record
from pyworkflow.web.tokens import Scope as Allowed

QUIET = 15.0
"""Seconds after which a comment is sent, so that proxies do not take the stream for dead."""
RESUME = "Last-Event-ID"
MEDIA_TYPE = "text/event-stream"


class StreamQuery(Struct, forbid_unknown_fields=True):
    """Which events; ``since`` is a cursor, 0 for the beginning, and the end if left out."""

    process: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    since: Annotated[str, Meta(max_length=40)] | None = None
    brief: bool = False


class _Stream(StreamingResponse):
    """A stream that gives its place among the listeners back, however it ends."""

    def __init__(self, body: AsyncIterator[bytes], place: ExitStack) -> None:
        super().__init__(body, headers={"X-Accel-Buffering": "no"}, media_type=MEDIA_TYPE)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


async def stream(call: Call) -> Response:
    """Answer with the feed."""
    query: StreamQuery = call.query
    since, name = query.since, "since"
    if (last := call.request.headers.get(RESUME)) is not None:
        since, name = last, RESUME
    if since is not None:
        try:
            place_of(since)
        except InvalidRequestError as error:
            raise Problem(422, "must be the id of an event", name) from error
    if call.request.method == "HEAD":
        return Response(media_type=MEDIA_TYPE)
    place = ExitStack()
    place.enter_context(call.site.hub.place())
    return _Stream(_texts(_while_allowed(call, since), query.brief), place)


async def _while_allowed(call: Call, since: str | None) -> AsyncGenerator[list[FeedEntry] | Reset]:
    """Yield entries as long as the token with which the stream began is accepted."""
    query: StreamQuery = call.query
    async with aclosing(call.site.hub.entries(since, query.process, QUIET)) as pages:
        async for entries in pages:
            token = bearer(call.site, call.request)
            if token is None or not token.allows(Allowed.READ):
                return
            yield entries


async def _texts(
    pages: AsyncGenerator[list[FeedEntry] | Reset], brief: bool
) -> AsyncGenerator[bytes]:
    # A client takes the stream for open when the first bytes come: from then on it misses nothing.
    nothing = b"retry: 2000\n\n"
    async with aclosing(pages):
        async for entries in pages:
            if isinstance(entries, Reset):
                yield f"id: {entries.cursor}\nevent: reset\ndata: {{}}\n\n".encode()
                continue
            texts = (
                _text(
                    entry,
                    brief,
                    last=n + 1 == len(entries) or entries[n + 1].cursor != entry.cursor,
                )
                for n, entry in enumerate(entries)
            )
            yield b"".join(texts) or nothing
            nothing = b": quiet\n\n"


def _text(entry: FeedEntry, brief: bool, *, last: bool) -> bytes:
    """Return an event. Only the last one of a transition carries the cursor: who resumes there has had all of it."""
    data = encode(entry_record(entry, brief))
    number = f"id: {entry.cursor}\n".encode() if last else b""
    return b"".join((number, b"event: ", entry.event.type.encode(), b"\ndata: ", data, b"\n\n"))
