"""The pages of services and their workflows."""

from markupsafe import Markup
from starlette.responses import Response

from pyworkflow.services.definition import SERVICE, WORKFLOW
from pyworkflow.services.errors import DefinitionConflictError
from pyworkflow.services.workflow import EVENT
from pyworkflow.web.api.definitions import all_of, one_of
from pyworkflow.web.endpoint import Call, Endpoint
from pyworkflow.web.pages.render import render
from pyworkflow.web.tokens import Scope

EVENTS = 50
"""Of the newest events that a page shows."""


async def services(call: Call) -> Response:
    """Show all services and workflows."""
    registry = call.site.services.registry
    workflows = await all_of(call, WORKFLOW)
    found = registry.all(SERVICE)
    users = {kept.definition.name: registry.users(kept.definition.name) for kept in found}
    return render(call, "services.html", services=found, workflows=workflows, users=users)


async def workflow(call: Call) -> Response:
    """Show one workflow: its picture, what goes in and out, its newest events."""
    kept = await one_of(call, WORKFLOW)
    name = kept.definition.name
    manager, registry = call.site.manager, call.site.services.registry
    try:
        # Made here, with all names escaped.
        picture, conflict = Markup(registry.flow(name).picture.to_svg()), None  # noqa: S704
    except DefinitionConflictError as error:
        picture, conflict = None, str(error)
    events = await call.run(manager.processes, EVENT, name, status=None, limit=EVENTS, newest=True)
    return render(
        call,
        "service_workflow.html",
        kept=kept,
        picture=picture,
        conflict=conflict,
        events=events,
    )


ENDPOINTS = [
    Endpoint(
        method="GET",
        path="/services",
        scope=Scope.READ,
        handler=services,
        summary="Show services and their workflows.",
        page=True,
    ),
    Endpoint(
        method="GET",
        path="/services/{name}",
        scope=Scope.READ,
        handler=workflow,
        summary="Show a workflow of services.",
        page=True,
    ),
]
