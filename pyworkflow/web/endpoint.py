"""Endpoints: a path, what it takes and gives, who may ask, and the function that answers.

Routes, checks of scopes and the OpenAPI document are all made from these, so that they cannot disagree. A module of endpoints has a list
``ENDPOINTS``; `pyworkflow.web.app.MODULES` names the modules.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pyworkflow.codec import encode
from pyworkflow.errors import PyworkflowError
from pyworkflow.web.bodies import parse_form, parse_json, parse_query, read_body
from pyworkflow.web.problems import Problem, problem_of
from pyworkflow.web.sessions import session_of
from pyworkflow.web.site import Site
from pyworkflow.web.tokens import Scope, Token

P = ParamSpec("P")
T = TypeVar("T")

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class NoQuery(Struct, forbid_unknown_fields=True):
    """No parameters."""


class Call:
    """One request, checked, as its endpoint's function gets it.

    Attributes:
        site: What all handlers share.
        request: The request.
        query: The parameters, as the endpoint's ``query``.
        body: The JSON body, as the endpoint's ``taken`` or ``body``.
        form: The fields of a form.
    """

    def __init__(self, site: Site, request: Request) -> None:
        self.site = site
        self.request = request
        self.query: Any = None
        self.body: Any = None
        self.form: dict[str, str] = {}

    @property
    def token(self) -> Token:
        """Who asks."""
        found: Token = self.request.scope["pyworkflow.token"]
        return found

    @property
    def base(self) -> str:
        """What the paths of links begin with, behind a proxy that serves us below a path."""
        return str(self.request.scope.get("root_path", ""))

    @property
    def process_id(self) -> str:
        """The process that the path names, as ``id`` or ``id:run``.

        Raises:
            Problem: No process can be named like this.
        """
        name = str(self.request.path_params["id"])
        _, _, run = name.partition(":")
        if len(name) > 300 or (run.isdigit() and len(run) > 18):
            raise Problem(404, "there is no such process")
        return name

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a blocking call returns."""
        return await self.site.pool.run(call, *args, **kwargs)


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """What answers one method of one path.

    Attributes:
        method: ``GET``, ``POST`` or ``DELETE``.
        path: The path, with parameters in braces.
        scope: What a token must allow; None for everybody, without a token.
        handler: Answers.
        summary: What it does, in a line.
        query: The type of its parameters.
        body: The type of its JSON body.
        taken: What the body is read as, if that may have other forms besides.
        form: Whether it takes a form of the dashboard, which needs the session's secret.
        page: Whether it is a part of the dashboard, not of the API.
        returns: The type of the JSON that it answers.
        status: The status of that answer.
        also: A further status that it may have.
        check: Looks at the request before its body is read, and raises a `Problem` if that is not to be.
        media_type: The type of other answers.
        headers: Headers that it heeds, with what they mean.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler
    summary: str
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    taken: Any = None
    form: bool = False
    page: bool = False
    returns: Any = None
    status: int = 200
    also: int | None = None
    check: "Callable[[Call], Awaitable[None]] | None" = None
    media_type: str = JSON
    headers: dict[str, str] = {}


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """Return a value of the model as a JSON answer."""
    return Response(encode(value), status, headers, JSON)


def route(site: Site, endpoint: Endpoint) -> Route:
    """Return the route of an endpoint."""

    async def answer(request: Request) -> Response:
        began = time.monotonic()
        status = 500
        try:
            response = await _answered(site, endpoint, request)
            status = response.status_code
            return response
        except Problem as problem:
            status = problem.status
            raise
        finally:
            took = time.monotonic() - began
            site.meters.count_request(endpoint.method, endpoint.path, status, took)

    return Route(endpoint.path, answer, methods=[endpoint.method])


async def _answered(site: Site, endpoint: Endpoint, request: Request) -> Response:
    call = Call(site, request)
    if endpoint.scope is not None and not call.token.allows(endpoint.scope):
        raise Problem(403, f"the token {call.token.name!r} does not allow {endpoint.scope.value!r}")
    try:
        if endpoint.check is not None:
            await endpoint.check(call)
        call.query = parse_query(request, endpoint.query)
        if endpoint.body is not None:
            data = await read_body(request, site.limits, JSON)
            call.body = parse_json(data, endpoint.taken or endpoint.body)
        if endpoint.form:
            call.form = parse_form(await read_body(request, site.limits, FORM))
            _check_form(site, request, call.form)
        return await endpoint.handler(call)
    except PyworkflowError as error:
        raise problem_of(error) from error


def _check_form(site: Site, request: Request, form: dict[str, str]) -> None:
    session = session_of(request)
    if not session or not site.sessions.is_csrf(session, form.pop("csrf", "")):
        raise Problem(403, "the form is not of this session: load the page again", "csrf")
