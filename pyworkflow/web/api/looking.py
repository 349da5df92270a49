"""Looking on: workflows, activities, categories, workers, the feed, metrics, health."""

from collections.abc import Iterable

from starlette.responses import Response

from pyworkflow.backend.base import (
    Backend,
    Poller,
    Queue,
    RegisteredActivity,
    RegisteredWorkflow,
)
from pyworkflow.backend.cursors import place_of
from pyworkflow.clock import SECOND, SystemClock, to_instant
from pyworkflow.web.endpoint import Call, Endpoint, json_response
from pyworkflow.web.meters import Family, Sample
from pyworkflow.web.shapes import Contact, Health, QueueSummary, WorkerSummary
from pyworkflow.web.streams import RESUME, StreamQuery, stream
from pyworkflow.web.tokens import Scope

_clock = SystemClock()


async def workflows(call: Call) -> Response:
    """List the registered workflows."""
    return json_response(await call.run(call.site.manager.backend.workflows))


async def activities(call: Call) -> Response:
    """List the registered activities."""
    return json_response(await call.run(call.site.manager.backend.activities))


def queue_summary(queue: Queue) -> QueueSummary:
    """Return the state of a queue with the age of its oldest task."""
    age = None
    if queue.oldest is not None:
        age = max(0.0, (_clock.now() - to_instant(queue.oldest)) / SECOND)
    return QueueSummary(
        queue.kind,
        queue.category,
        queue.waiting,
        queue.delayed,
        queue.running,
        queue.oldest,
        age,
        queue.pollers,
        queue.unclaimed,
    )


async def categories(call: Call) -> Response:
    """List the queues."""
    found = await call.run(call.site.manager.backend.queues)
    return json_response([queue_summary(queue) for queue in found])


def worker_summaries(pollers: Iterable[Poller]) -> list[WorkerSummary]:
    """Return the workers, those heard of last first."""
    found: dict[str, WorkerSummary] = {}
    for poller in pollers:
        worker = found.setdefault(poller.identity, WorkerSummary(poller.identity, poller.seen, []))
        worker.seen = max(worker.seen, poller.seen)
        worker.polls.append(Contact(poller.kind, poller.category, poller.seen, poller.names))
    return sorted(found.values(), key=lambda worker: worker.seen, reverse=True)


async def workers(call: Call) -> Response:
    """List the workers of the last day."""
    return json_response(worker_summaries(await call.run(call.site.manager.backend.pollers)))


async def metrics(call: Call) -> Response:
    """Tell figures to Prometheus."""
    families = [*call.site.meters.families(), *await call.run(_families, call.site.manager.backend)]
    text = "".join(family.text() for family in families)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _families(backend: Backend) -> list[Family]:
    depths: list[Sample] = []
    ages: list[Sample] = []
    for queue in map(queue_summary, backend.queues()):
        labels = {"kind": queue.kind, "category": queue.category}
        for state in ("waiting", "delayed", "running"):
            depths.append(("", labels | {"state": state}, getattr(queue, state)))
        ages.append(("", labels, queue.age or 0.0))
    workers = {poller.identity for poller in backend.pollers(within=60)}
    return [
        Family("pyworkflow_tasks", "gauge", "Tasks by queue and state.", depths),
        Family("pyworkflow_oldest_task_seconds", "gauge", "Age of the oldest task.", ages),
        Family("pyworkflow_workers", "gauge", "Workers that polled.", [("", {}, len(workers))]),
        Family(
            "pyworkflow_feed_cursor",
            "counter",
            "The place of the newest entry of the feed.",
            [("", {}, place_of(backend.feed_end()))],
        ),
    ]


async def health(call: Call) -> Response:
    """Tell whether the backend answers."""
    await call.run(call.site.manager.backend.feed_end)
    return json_response(Health("ok", call.site.manager.backend.name))


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/api/workflows",
        scope=Scope.READ,
        handler=workflows,
        summary="List the registered workflows.",
        returns=list[RegisteredWorkflow],
    ),
    Endpoint(
        method="GET",
        path="/api/activities",
        scope=Scope.READ,
        handler=activities,
        summary="List the registered activities.",
        returns=list[RegisteredActivity],
    ),
    Endpoint(
        method="GET",
        path="/api/categories",
        scope=Scope.READ,
        handler=categories,
        summary="List the queues: depth, age of the oldest task, who polls.",
        returns=list[QueueSummary],
    ),
    Endpoint(
        method="GET",
        path="/api/workers",
        scope=Scope.READ,
        handler=workers,
        summary="List the workers of the last day with their last contact.",
        returns=list[WorkerSummary],
    ),
    Endpoint(
        method="GET",
        path="/api/events",
        scope=Scope.READ,
        handler=stream,
        summary="Stream the events of all processes as they are recorded.",
        query=StreamQuery,
        media_type="text/event-stream",
        headers={RESUME: "Go on after this event."},
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        scope=Scope.READ,
        handler=metrics,
        summary="Tell figures to Prometheus.",
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/health",
        scope=None,
        handler=health,
        summary="Tell whether the server and its backend work.",
        returns=Health,
    ),
]
