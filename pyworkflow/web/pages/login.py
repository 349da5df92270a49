"""Logging in with a token, and out."""

from starlette.responses import RedirectResponse, Response

from pyworkflow.web.bodies import parse_form, read_body
from pyworkflow.web.endpoint import FORM, Call, Endpoint
from pyworkflow.web.pages.render import render
from pyworkflow.web.problems import Problem
from pyworkflow.web.sessions import COOKIE, session_of, set_session
from pyworkflow.web.tokens import Scope


async def login(call: Call) -> Response:
    """Open a session for a token."""
    form = parse_form(await read_body(call.request, call.site.limits, FORM))
    tokens = call.site.tokens
    token = None if tokens is None else tokens.find(form.get("token", "").strip())
    if token is None or not token.allows(Scope.READ):
        problem = Problem(401, "the token is unknown, or does not allow to read")
        return render(call, "login.html", 401, problem=problem)
    call.site.sessions.close(session_of(call.request))
    answer = RedirectResponse(f"{call.base}/", 303)
    set_session(answer, call.request, call.site.sessions.open(token))
    return answer


async def logout(call: Call) -> Response:
    """End the session."""
    call.site.sessions.close(session_of(call.request))
    answer = RedirectResponse(f"{call.base}/", 303)
    answer.delete_cookie(COOKIE, path=call.base or "/", httponly=True, samesite="strict")
    return answer


ENDPOINTS = [
    Endpoint(
        method="POST",
        path="/login",
        # A visitor has no token yet, and no session whose secret the form could carry.
        scope=None,
        handler=login,
        summary="Open a session for a token.",
        page=True,
    ),
    Endpoint(
        method="POST",
        path="/logout",
        scope=Scope.READ,
        handler=logout,
        summary="End the session.",
        form=True,
        page=True,
    ),
]
