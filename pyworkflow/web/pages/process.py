"""The page of one process, and the parts of it that are fetched on demand."""

import gzip
from typing import Annotated, Any

from markupsafe import Markup
from msgspec import Meta, Struct
from starlette.responses import Response

from pyworkflow.codec import encode, fields
from pyworkflow.graph.svg import svg
from pyworkflow.process import Process, Status
from pyworkflow.web.endpoint import JSON, Call, Endpoint
from pyworkflow.web.graphs import MOST_BOXES, StepRow, process_picture
from pyworkflow.web.pages.render import render, segment
from pyworkflow.web.problems import Problem
from pyworkflow.web.story import children, failures, row, rows
from pyworkflow.web.timeline import timeline
from pyworkflow.web.tokens import Scope

ROWS = 100
"""Events on one page."""
MOST_CHILDREN = 200
MOST_PENDING = 20
WORTH_PACKING = 4096


class PageQuery(Struct, forbid_unknown_fields=True):
    """Which events are shown: those after a number, and whether all kinds."""

    since: Annotated[int, Meta(ge=0, le=2**53)] = 0
    all: bool = False


async def show(call: Call) -> Response:
    """Show a process."""
    given: PageQuery = call.query
    manager = call.site.manager

    def read() -> dict[str, Any]:
        # Before the process, so that nothing between both is missed.
        cursor = manager.backend.feed_end()
        process = manager.process_by_id(call.process_id)
        pending = manager.pending(f"{process.id}:{process.run}")
        shown, more = rows(process.history, given.since, ROWS, given.all)
        family = children(process.history)
        picture, steps = process_picture(call.site.services, process)
        links = _links(call, steps)
        drawing = None
        if picture is not None and len(steps) <= MOST_BOXES:
            drawing = Markup(svg(picture, links))  # noqa: S704 - it escapes
        return {
            "cursor": cursor,
            "process": process,
            "pending": pending[:MOST_PENDING],
            "pending_more": max(0, len(pending) - MOST_PENDING),
            "rows": shown,
            "more": more,
            "last": max(0, len(process.history) - ROWS),
            "drawing": drawing,
            "steps": steps,
            "links": links,
            "failures": failures(process),
            "children": family[:MOST_CHILDREN],
            "children_more": max(0, len(family) - MOST_CHILDREN),
        }

    found = await call.run(read)
    process: Process = found["process"]
    continued = process.status is Status.CONTINUED
    later = f"{process.id}:{process.run + 1}" if continued else None
    earlier = f"{process.id}:{process.run - 1}" if process.run > 1 else None
    return render(
        call,
        "process.html",
        name=call.process_id,
        given=given,
        later=later,
        earlier=earlier,
        **found,
    )


def _links(call: Call, steps: list[StepRow]) -> dict[str, str]:
    """Return the address of the event that each step began with."""
    here = f"{call.base}/processes/{segment(call.process_id)}"
    return {
        step.box.name: f"{here}?all=true&since={step.seq - 1}#e{step.seq}"
        for step in steps
        if step.seq is not None
    }


async def graph(call: Call) -> Response:
    """Return the graph of a process as an image of its own."""

    def read() -> str:
        picture, _ = process_picture(
            call.site.services, call.site.manager.process_by_id(call.process_id)
        )
        if picture is None:
            raise Problem(404, "the graph of this process is not known here")
        return svg(picture)

    return Response(await call.run(read), media_type="image/svg+xml")


async def event(call: Call) -> Response:
    """Show one event whole."""
    seq = str(call.request.path_params["seq"])
    if not seq.isascii() or not seq.isdigit() or len(seq) > 9:
        raise Problem(404, "there is no such event")
    found = await call.run(call.site.manager.history, call.process_id, max(0, int(seq) - 1))
    if not found or int(seq) < 1:
        raise Problem(404, "there is no such event")
    told = row(int(seq), found[0])
    return render(call, "event.html", name=call.process_id, row=told, event=fields(found[0]))


async def family(call: Call) -> Response:
    """Show the children of a process."""
    process = await call.run(call.site.manager.process_by_id, call.process_id)
    found = children(process.history)
    more = max(0, len(found) - MOST_CHILDREN)
    return render(call, "children.html", children=found[:MOST_CHILDREN], children_more=more)


async def spans(call: Call) -> Response:
    """Return the timeline of a process."""

    def read() -> bytes:
        return encode(timeline(call.site.manager.process_by_id(call.process_id)))

    data, headers = await call.run(read), {"Vary": "Accept-Encoding"}
    if len(data) > WORTH_PACKING and "gzip" in call.request.headers.get("accept-encoding", ""):
        # It has no secret of the session in it, so its size may tell what it likes.
        data = await call.run(gzip.compress, data, 5)
        headers["Content-Encoding"] = "gzip"
    return Response(data, 200, headers, JSON)


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/processes/{id}",
        scope=Scope.READ,
        handler=show,
        summary="Show a process.",
        query=PageQuery,
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/processes/{id}/history/{seq}",
        scope=Scope.READ,
        handler=event,
        summary="Show one event whole.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/processes/{id}/children",
        scope=Scope.READ,
        handler=family,
        summary="Show the children of a process.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/processes/{id}/graph",
        scope=Scope.READ,
        handler=graph,
        summary="Return the graph of a process as an image.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/processes/{id}/timeline",
        scope=Scope.READ,
        handler=spans,
        summary="Return the timeline of a process.",
        page=True,
    ),
]
