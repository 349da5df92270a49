"""What every request passes before anything else looks at it: host, origin, token; and what every answer carries."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pyworkflow.web.problems import Problem
from pyworkflow.web.sessions import session_of
from pyworkflow.web.site import Site
from pyworkflow.web.tokens import ANYBODY, Token

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Refuse = Callable[[Request, Problem], Response]

PUBLIC = ("/health", "/login")
"""Paths that answer without a token; they are compared whole."""
CALLBACKS = "/callbacks/"
"""What begins with this answers without a token, too: the end of the path is one, and is looked at before the body is read."""
STATIC = "/static/"
"""What begins with this answers without a token: style and scripts of the login page, the same for everybody."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with that, browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
RAW_HEADERS.append((b"cache-control", b"no-store"))
SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = frozenset((*SAFE, "POST", "PUT", "PATCH", "DELETE"))


class Guard:
    """Refuses what no handler shall see. Whatever is not public needs a token.

    Args:
        app: What is guarded.
        site: Knows hosts and tokens.
        refuse: Makes the answer to a request that is refused.
    """

    def __init__(self, app: App, site: Site, refuse: Refuse) -> None:
        self._app = app
        self._site = site
        self._refuse = refuse

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # No web socket is served; closing before accepting answers 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        root = scope.get("root_path", "")
        if root and scope["path"].startswith(f"{root}{root}/"):
            # uvicorn puts the root path before what came; a proxy that has left it there makes it two.
            scope["path"] = scope["path"].removeprefix(root)
        request = Request(scope, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"].extend(pair for pair in RAW_HEADERS if pair[0] not in given)
            await send(message)

        try:
            self._check_size(request)
            self._check_host(request)
            self._check_origin(request)
            scope["pyworkflow.token"] = self._token(request)
        except Problem as problem:
            # Anybody may send any word as a method: all that are none count as one.
            method = request.method if request.method in METHODS else "other"
            self._site.meters.count_request(method, "refused", problem.status, 0.0)
            await self._refuse(request, problem)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _check_size(self, request: Request) -> None:
        """Refuse a head that is too large: the server below only bounds one that comes in pieces."""
        size = len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"])
        size += sum(len(name) + len(value) for name, value in request.scope["headers"])
        if size > self._site.limits.header:
            raise Problem(
                431, f"address and headers are larger than {self._site.limits.header} bytes"
            )

    def _check_host(self, request: Request) -> None:
        """Refuse names that are not ours: a page elsewhere may have its name point here."""
        given = request.headers.getlist("host")
        if len(given) != 1:
            raise Problem(400, "there must be one Host header", "Host")
        if _name(given[0]) not in self._site.hosts:
            raise Problem(403, "this server is not called that; see --allow-host", "Host")

    def _check_origin(self, request: Request) -> None:
        """Refuse what another site's page sends and would change something."""
        if request.method in SAFE:
            return
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            raise Problem(403, "the request comes from another site", "Sec-Fetch-Site")
        if origin is not None:
            _, _, host = origin.partition("://")
            if host.lower() != request.headers["host"].lower():
                raise Problem(403, "the request comes from another site", "Origin")
        elif not _is_api(request) and site is None:
            raise Problem(403, "a form must come with its origin", "Origin")

    def _token(self, request: Request) -> Token | None:
        if self._site.tokens is None:
            return ANYBODY
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path in PUBLIC or path.startswith((STATIC, CALLBACKS)):
            return None
        if (found := bearer(self._site, request)) is None:
            told = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "a token is needed", "Authorization", told)
        return found


def bearer(site: Site, request: Request) -> Token | None:
    """Return the token that a request brings or its session stands for, if it is accepted now."""
    if site.tokens is None:
        return ANYBODY
    if not _is_api(request):
        return site.sessions.token(session_of(request))
    given = request.headers.getlist("authorization")
    kind, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return site.tokens.find(secret.strip()) if kind.lower() == "bearer" else None


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower().rstrip(".")


def _is_api(request: Request) -> bool:
    """Tell whether a request takes its token from a header only; cookies mean nothing there."""
    return is_api_path(request.scope["path"].removeprefix(request.scope.get("root_path", "")))


API = ("api", "callbacks", "e", "health", "metrics", "s", "w")
"""What the paths of the API begin with."""


def is_api_path(path: str) -> bool:
    """Tell whether a path belongs to the API, not to the dashboard."""
    return path.startswith("/") and path.split("/", 2)[1] in API
