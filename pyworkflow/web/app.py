"""The application: endpoints of all modules as routes, behind the guard."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from pyworkflow.manager import Manager
from pyworkflow.services import Services
from pyworkflow.web.api import about, actions, definitions, events, looking, processes
from pyworkflow.web.endpoint import Endpoint, route
from pyworkflow.web.guard import Guard, is_api_path
from pyworkflow.web.limits import Limits
from pyworkflow.web.pages import assets, lists, login, moves, process, registered
from pyworkflow.web.pages.render import problem_page
from pyworkflow.web.problems import Problem
from pyworkflow.web.site import make_site
from pyworkflow.web.tokens import Tokens

MODULES = (
    # Routes are tried in this order: what is asked most comes first.
    events,
    processes,
    actions,
    looking,
    about,
    definitions,
    lists,
    process,
    moves,
    registered,
    login,
    assets,
)
"""The modules whose ``ENDPOINTS`` are served."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a server may always be called: nobody else's name server answers for them."""


def create_app(
    manager: Manager,
    *,
    tokens: Tokens | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    services: Services | None = None,
    modules: Iterable[Any] = MODULES,
) -> Starlette:
    """Return the ASGI application of a manager.

    Args:
        manager: Does the work; it needs no workflow classes, since workers of their own run those.
        tokens: Who may do what. Without them, everybody who reaches the application may do everything.
        hosts: Names that requests may call the server by, beside those of the loopback interface.
        limits: Bounds of requests.
        services: The services, if not those of the manager's backend with the default settings.
        modules: Modules with ``ENDPOINTS``.
    """
    named = frozenset(host.lower() for host in (*LOOPBACK, *hosts))
    site = make_site(manager, tokens, named, limits or Limits(), services or Services(manager))
    endpoints: list[Endpoint] = [e for module in modules for e in module.ENDPOINTS]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        site.hub.start()
        yield
        site.hub.close()
        site.hub.join()
        site.pool.close()

    def refuse(request: Request, problem: Problem) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        return problem.response() if is_api_path(path) else problem_page(site, request, problem)

    def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            headers = dict(error.headers or {})
            if error.status_code == 405:
                headers["Allow"] = ", ".join(_methods(request))
            error = Problem(error.status_code, _TOLD.get(error.status_code, ""), headers=headers)
        elif not isinstance(error, Problem):
            error = Problem(500, "something went wrong here; the server's log tells what")
        return refuse(request, error)

    app = Starlette(
        routes=[route(site, endpoint) for endpoint in endpoints],
        middleware=[Middleware(Guard, site=site, refuse=refuse)],
        exception_handlers={Problem: refused, HTTPException: refused, Exception: refused},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.endpoints = endpoints
    return app


def _methods(request: Request) -> list[str]:
    """Return the methods of a path: each has a route of its own."""
    there = [
        route.methods or ()
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return sorted({method for methods in there for method in methods})


_TOLD = {404: "there is nothing here", 405: "this cannot be done here"}
