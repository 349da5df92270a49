"""Processes: start, list, show, history, wait."""

import hashlib
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from pyworkflow.backend.base import Reuse
from pyworkflow.codec import Json
from pyworkflow.errors import InvalidRequestError, UnknownProcessError, UnknownWorkflowError
from pyworkflow.process import Process, Status
from pyworkflow.values import MAX_TAGS, check_name, check_tags
from pyworkflow.web.bodies import check_json
from pyworkflow.web.endpoint import Call, Endpoint, NoQuery, json_response
from pyworkflow.web.problems import Problem
from pyworkflow.web.shapes import (
    HistoryPage,
    ProcessDetail,
    ProcessPage,
    Started,
    detail,
    record,
    summary,
)
from pyworkflow.web.tokens import Scope
from pyworkflow.web.waiting import last_look

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Limit = Annotated[int, Meta(ge=1, le=500)]
KEY = "Idempotency-Key"


class StartBody(Struct, forbid_unknown_fields=True):
    """What to start."""

    workflow: Name
    id: Name | None = None
    input: Json = None
    tags: Annotated[list[Name], Meta(max_length=MAX_TAGS)] = []
    reuse: Reuse = Reuse.REJECT


class ListQuery(Struct, forbid_unknown_fields=True):
    """Which processes, and which page of them."""

    workflow: Name | None = None
    tag: Name | None = None
    status: Status | None = None
    parked: bool | None = None
    order: Annotated[str, Meta(pattern="^(newest|oldest)$")] = "newest"
    limit: Limit = 50
    after: Annotated[str, Meta(max_length=300)] | None = None


class HistoryQuery(Struct, forbid_unknown_fields=True):
    """Which events."""

    since: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Limit = 100


class WaitQuery(Struct, forbid_unknown_fields=True):
    """How long to wait, in seconds."""

    timeout: Annotated[float, Meta(ge=0, le=60)] = 30.0


def check_field(field: str, check: Any, *args: Any) -> None:
    """Run a check, and name the field that it refuses.

    Raises:
        Problem: It refuses the value.
    """
    try:
        check(*args)
    except InvalidRequestError as error:
        raise Problem(422, str(error), field) from None


def id_of_key(call: Call) -> str | None:
    """Return the process id that an idempotency key stands for, if the request has one.

    Raises:
        Problem: The key is empty or too long.
    """
    key = call.request.headers.get(KEY)
    if key is None:
        return None
    if not 0 < len(key) <= 256:
        raise Problem(422, "must have 1 to 256 characters", KEY)
    told = f"{call.token.name}\n{key}".encode("utf-8", "replace")
    return f"key-{hashlib.sha256(told).hexdigest()[:40]}"


async def start(call: Call) -> Response:
    """Start a process, or find the one that the same request started before."""
    body: StartBody = call.body
    check_field("workflow", check_name, body.workflow, "workflow")
    check_field("tags", check_tags, body.tags)
    check_json(body.input, "input")
    if (key := id_of_key(call)) is not None:
        if body.id is not None:
            raise Problem(422, "an id is its own idempotency key: give one of both", KEY)
        body.id = key
    if body.id is not None:
        check_field("id", check_name, body.id, "id")
    process = Process(body.workflow, body.id, body.input, body.tags)
    try:
        started = await call.run(call.site.manager.start_process, process, reuse=body.reuse)
    except UnknownWorkflowError as error:
        raise Problem(422, str(error), "workflow") from None
    return json_response(Started(started, body.workflow), 201)


def after_of(text: str | None) -> Process | None:
    """Return the process that a page begins after, given as ``id:run``.

    Raises:
        Problem: It is none.
    """
    if text is None:
        return None
    name, _, run = text.rpartition(":")
    if not name or not run.isascii() or not run.isdigit() or len(run) > 18:
        raise Problem(422, "must be the `next` of another page", "after")
    return Process("after", name, run=int(run))


async def page_of(call: Call, query: ListQuery) -> ProcessPage:
    """Return a page of the list of processes."""
    try:
        found = await call.run(
            call.site.manager.processes,
            query.workflow,
            query.tag,
            status=query.status,
            parked=query.parked,
            limit=query.limit + 1,
            after=after_of(query.after),
            newest=query.order == "newest",
        )
    except UnknownProcessError:
        raise Problem(422, "the process that the page begins after is gone", "after") from None
    shown = [summary(process) for process in found[: query.limit]]
    more = len(found) > query.limit
    return ProcessPage(shown, f"{shown[-1].id}:{shown[-1].run}" if more else None)


async def list_(call: Call) -> Response:
    """List processes."""
    return json_response(await page_of(call, call.query))


async def show(call: Call) -> Response:
    """Show a process."""
    return json_response(await _detail(call))


async def _detail(call: Call) -> ProcessDetail:
    def read() -> ProcessDetail:
        process = call.site.manager.process_by_id(call.process_id)
        return detail(process, call.site.manager.pending(f"{process.id}:{process.run}"))

    return await call.run(read)


async def history(call: Call) -> Response:
    """Return a page of a history."""
    query: HistoryQuery = call.query

    def read() -> HistoryPage:
        process = call.site.manager.process_by_id(call.process_id)
        end = query.since + query.limit
        shown = process.history[query.since : end]
        events = [record(process.run, n, event) for n, event in enumerate(shown, query.since + 1)]
        return HistoryPage(process.run, events, end if end < len(process.history) else None)

    return json_response(await call.run(read))


async def wait(call: Call) -> Response:
    """Return a process as soon as it is closed, or open as it is when the time is up."""
    query: WaitQuery = call.query
    shown = await last_look(
        call,
        call.process_id.partition(":")[0],
        query.timeout,
        lambda: _detail(call),
        lambda shown: shown.status not in ("open", "continued"),
    )
    return json_response(shown)


ENDPOINTS = [
    Endpoint(
        method="POST",
        path="/api/processes",
        scope=Scope.START,
        handler=start,
        summary="Start a process, or find the one that the same request started before.",
        body=StartBody,
        returns=Started,
        status=201,
        headers={KEY: "Stands for an id: the same request under the same key starts one process."},
    ),
    Endpoint(
        method="GET",
        path="/api/processes",
        scope=Scope.READ,
        handler=list_,
        summary="List processes.",
        query=ListQuery,
        returns=ProcessPage,
    ),
    Endpoint(
        method="GET",
        path="/api/processes/{id}",
        scope=Scope.READ,
        handler=show,
        summary="Show a process and what it waits for; the id may be id:run.",
        query=NoQuery,
        returns=ProcessDetail,
    ),
    Endpoint(
        method="GET",
        path="/api/processes/{id}/history",
        scope=Scope.READ,
        handler=history,
        summary="Return a page of the events of a process, oldest first.",
        query=HistoryQuery,
        returns=HistoryPage,
    ),
    Endpoint(
        method="GET",
        path="/api/processes/{id}/wait",
        scope=Scope.READ,
        handler=wait,
        summary="Return a process as soon as it is closed, or still open when the time is up.",
        query=WaitQuery,
        returns=ProcessDetail,
    ),
]
