"""The pages with lists: processes, workflows, queues and workers; and the stream that keeps pages live."""

from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import RedirectResponse, Response

from pyworkflow.process import Status
from pyworkflow.web.api.looking import queue_summary, worker_summaries
from pyworkflow.web.api.processes import ListQuery, page_of
from pyworkflow.web.endpoint import Call, Endpoint
from pyworkflow.web.pages.render import query, render, segment
from pyworkflow.web.problems import Problem
from pyworkflow.web.streams import StreamQuery, stream
from pyworkflow.web.tokens import Scope

STATES = [*(status.value for status in Status), "parked"]
Text = Annotated[str, Meta(max_length=300)]


class FilterQuery(Struct, forbid_unknown_fields=True):
    """The filters of the list, as the form sends them: empty means any."""

    workflow: Text = ""
    tag: Text = ""
    state: Text = ""
    id: Text = ""
    order: Annotated[str, Meta(pattern="^(newest|oldest)$")] = "newest"
    after: Text = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


async def processes(call: Call) -> Response:
    """Show a page of the list of processes."""
    given: FilterQuery = call.query
    if given.id.strip():
        return RedirectResponse(f"{call.base}/processes/{segment(given.id.strip())}", 303)
    if given.state not in ("", *STATES):
        raise Problem(422, f"there is no state {given.state!r}", "state")
    parked = given.state == "parked"
    # Before the list, so that nothing between both is missed.
    cursor = await call.run(call.site.manager.backend.feed_end)
    wanted = ListQuery(
        workflow=given.workflow or None,
        tag=given.tag or None,
        status=Status(given.state) if given.state and not parked else None,
        parked=True if parked else None,
        order=given.order,
        limit=given.limit,
        after=given.after or None,
    )
    page = await page_of(call, wanted)
    names = [w.name for w in await call.run(call.site.manager.backend.workflows)]
    filters = {
        "workflow": given.workflow,
        "tag": given.tag,
        "state": given.state,
        "order": given.order if given.order != "newest" else "",
        "limit": given.limit if given.limit != 50 else "",
    }
    return render(
        call,
        "processes.html",
        page=page,
        given=given,
        states=STATES,
        workflows=names[:200],
        cursor=cursor,
        first=query(**filters),
        next=query(**filters, after=page.next) if page.next else None,
        with_state={state: query(**filters | {"state": state}) for state in ("", *STATES)},
    )


async def workflows(call: Call) -> Response:
    """Show the registered workflows and activities."""
    backend = call.site.manager.backend
    found, done = await call.run(lambda: (backend.workflows(), backend.activities()))
    return render(call, "workflows.html", workflows=found, activities=done)


async def queues(call: Call) -> Response:
    """Show queues and workers."""
    backend = call.site.manager.backend
    cursor, found, pollers = await call.run(
        lambda: (backend.feed_end(), backend.queues(), backend.pollers())
    )
    workers = worker_summaries(pollers)
    return render(
        call,
        "queues.html",
        queues=[queue_summary(queue) for queue in found],
        workers=workers[:200],
        more=max(0, len(workers) - 200),
        cursor=cursor,
    )


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/",
        scope=Scope.READ,
        handler=processes,
        summary="Show processes.",
        query=FilterQuery,
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/workflows",
        scope=Scope.READ,
        handler=workflows,
        summary="Show workflows and activities.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/queues",
        scope=Scope.READ,
        handler=queues,
        summary="Show queues and workers.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/live",
        scope=Scope.READ,
        handler=stream,
        summary="Stream what happens, for pages.",
        query=StreamQuery,
        page=True,
    ),
]
