"""Services and their workflows: register, list, show, remove, draw."""

from datetime import datetime as DateTime

from msgspec import Struct
from starlette.responses import Response

from pyworkflow.services.definition import SERVICE, WORKFLOW, ServiceDefinition, WorkflowDefinition
from pyworkflow.services.given import GivenService, GivenWorkflow
from pyworkflow.services.registry import Registered
from pyworkflow.web.endpoint import Call, Endpoint, Handler, json_response
from pyworkflow.web.shapes import Done
from pyworkflow.web.tokens import Scope

SVG = "image/svg+xml"


class ServiceAck(Struct):
    """A service that is registered; its id is its name."""

    service_id: str
    version: int
    ack_date: DateTime


class WorkflowAck(Struct):
    """A workflow that is registered; its id is its name."""

    workflow_id: str
    version: int
    ack_date: DateTime


class ServiceDetail(ServiceAck):
    """A service as it is registered."""

    definition: ServiceDefinition


class WorkflowDetail(WorkflowAck):
    """A workflow as it is registered."""

    definition: WorkflowDefinition


class ServiceList(Struct):
    """All services, in the order of their names."""

    services: list[ServiceDetail]


class WorkflowList(Struct):
    """All workflows of services, in the order of their names."""

    workflows: list[WorkflowDetail]


async def put_service(call: Call) -> Response:
    """Register a service."""
    body: GivenService = call.body
    kept = await call.run(call.site.services.put_service, body)
    return json_response(ServiceAck(body.name, kept.version, kept.defined), 201)


async def put_workflow(call: Call) -> Response:
    """Register a workflow."""
    body: GivenWorkflow = call.body
    kept = await call.run(call.site.services.put_workflow, body)
    return json_response(WorkflowAck(body.name, kept.version, kept.defined), 201)


async def list_services(call: Call) -> Response:
    """List the services."""
    return json_response(ServiceList([_service(kept) for kept in await all_of(call, SERVICE)]))


async def list_workflows(call: Call) -> Response:
    """List the workflows."""
    return json_response(WorkflowList([_workflow(kept) for kept in await all_of(call, WORKFLOW)]))


async def show_service(call: Call) -> Response:
    """Show a service."""
    return json_response(_service(await one_of(call, SERVICE)))


async def show_workflow(call: Call) -> Response:
    """Show a workflow."""
    return json_response(_workflow(await one_of(call, WORKFLOW)))


def remover(kind: str) -> Handler:
    """Return what removes a definition of a kind."""

    async def remove(call: Call) -> Response:
        name = str(call.request.path_params["name"])
        await call.run(call.site.services.registry.remove, kind, name)
        return json_response(Done("remove", name))

    return remove


async def draw_workflow(call: Call) -> Response:
    """Draw a workflow."""
    registry, name = call.site.services.registry, str(call.request.path_params["name"])

    def drawn() -> str:
        registry.refresh()
        return registry.flow(name).picture.to_svg()

    return Response(await call.run(drawn), 200, media_type=SVG)


async def all_of(call: Call, kind: str) -> list[Registered]:
    """Return the definitions of a kind."""
    registry = call.site.services.registry
    await call.run(registry.refresh)
    return registry.all(kind)


async def one_of(call: Call, kind: str) -> Registered:
    """Return the definition that the path names."""
    registry = call.site.services.registry
    await call.run(registry.refresh)
    return registry.get(kind, str(call.request.path_params["name"]))


def _service(kept: Registered) -> ServiceDetail:
    return ServiceDetail(kept.definition.name, kept.version, kept.defined, kept.definition)


def _workflow(kept: Registered) -> WorkflowDetail:
    return WorkflowDetail(kept.definition.name, kept.version, kept.defined, kept.definition)


def _endpoints(
    path: str,
    what: str,
    kind: str,
    *,
    put: Handler,
    given: type[Struct],
    ack: type[Struct],
    listed: Handler,
    page: type[Struct],
    show: Handler,
    detail: type[Struct],
) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path=path,
            scope=Scope.ADMIN,
            handler=put,
            summary=f"Register a {what}, in place of an earlier one of its name.",
            body=given,
            returns=ack,
            status=201,
        ),
        Endpoint(
            method="GET",
            path=path,
            scope=Scope.READ,
            handler=listed,
            summary=f"List the {what}s.",
            returns=page,
        ),
        Endpoint(
            method="GET",
            path=f"{path}/{{name}}",
            scope=Scope.READ,
            handler=show,
            summary=f"Show a {what}.",
            returns=detail,
        ),
        Endpoint(
            method="DELETE",
            path=f"{path}/{{name}}",
            scope=Scope.ADMIN,
            handler=remover(kind),
            summary=f"Remove a {what}; events that have begun go on with it.",
            returns=Done,
        ),
    ]


ENDPOINTS = [
    # Before those whose name takes everything.
    Endpoint(
        method="GET",
        path="/w/{name}.svg",
        scope=Scope.READ,
        handler=draw_workflow,
        summary="Draw a workflow of services.",
        media_type=SVG,
    ),
    *_endpoints(
        "/s",
        "service",
        SERVICE,
        put=put_service,
        given=GivenService,
        ack=ServiceAck,
        listed=list_services,
        page=ServiceList,
        show=show_service,
        detail=ServiceDetail,
    ),
    *_endpoints(
        "/w",
        "workflow of services",
        WORKFLOW,
        put=put_workflow,
        given=GivenWorkflow,
        ack=WorkflowAck,
        listed=list_workflows,
        page=WorkflowList,
        show=show_workflow,
        detail=WorkflowDetail,
    ),
]
