"""Templates, and what they may use."""

from datetime import datetime as DateTime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pyworkflow.backend.base import MOST_COUNTED
from pyworkflow.codec import Json, to_plain
from pyworkflow.web.endpoint import Call
from pyworkflow.web.pages.assets import versions
from pyworkflow.web.problems import Problem
from pyworkflow.web.sessions import session_of, set_session
from pyworkflow.web.site import Site
from pyworkflow.web.story import pretty
from pyworkflow.web.tokens import Scope, Token

LONGEST = 20_000
"""Characters of a value that a page shows; the rest is in the API."""


@cache
def _environment() -> Environment:
    # Whatever a template is given is data: all of it is escaped.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted,
        "cut": cut,
        "duration": duration,
        "instant": instant,
        "iso": iso,
        "pretty": shown,
        "segment": segment,
        "short": short,
        "state_words": state_words,
    }
    return environment


def render(call: Call, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. A visitor without a session gets one, since forms need it."""
    return _page(call.site, call.request, template, status, values)


def problem_page(site: Site, request: Request, problem: Problem) -> Response:
    """Return a refusal as a page: the login form, where a token is missing."""
    template = "login.html" if problem.status == 401 else "problem.html"
    page = _page(site, request, template, problem.status, {"problem": problem})
    page.headers.update(problem.headers)
    if problem.status == 401:
        # Browsers would ask for a name and a password of their own accord for some schemes.
        del page.headers["WWW-Authenticate"]
    return page


def _page(
    site: Site, request: Request, template: str, status: int, values: dict[str, Any]
) -> HTMLResponse:
    token: Token | None = request.scope.get("pyworkflow.token")
    session = session_of(request)
    new = site.tokens is None and not 20 <= len(session) <= 100
    if new:
        session = site.sessions.open(token) if token is not None else ""

    def may(scope: str) -> bool:
        return token is not None and token.allows(Scope(scope))

    common = {
        "base": request.scope.get("root_path", ""),
        "csrf": site.sessions.csrf(session) if session else "",
        "path": request.url.path,
        "token": token,
        "may": may,
        "with_tokens": site.tokens is not None,
        "backend": site.manager.backend.name,
        "version": versions(),
    }
    text = _environment().get_template(template).render(common | values)
    page = HTMLResponse(text, status)
    if new and session:
        set_session(page, request, session)
    return page


def segment(text: object) -> str:
    """Return text as one segment of a path."""
    return quote(str(text), safe="")


def query(**values: object) -> str:
    """Return the parameters of a link, those that have a value."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""


def short(value: Json, length: int = 80) -> str:
    """Return text on one line, cut to a length."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shown(value: object) -> str:
    """Return a value as JSON for people, cut if it is very long."""
    return cut(pretty(to_plain(value)))


def cut(text: str) -> str:
    """Return text, cut if it is very long."""
    rest = len(text) - LONGEST
    return text if rest <= 0 else f"{text[:LONGEST]}\n… {rest:,} more characters"


def counted(number: int) -> str:
    """Return the count of a queue, which ends somewhere."""
    return f"{number:,}{'+' if number >= MOST_COUNTED else ''}"


def instant(moment: DateTime | None) -> str:
    """Return an instant to the millisecond, UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"


def iso(moment: DateTime | None) -> str:
    """Return an instant for machines."""
    return "" if moment is None else moment.isoformat()


def duration(seconds: float | None) -> str:
    """Return a duration in at most two units."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    units = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
    left, parts = int(seconds), list[str]()
    for unit, size in units:
        if left >= size or parts:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def state_words(state: str) -> str:
    """Return a state for people."""
    return {"timedout": "timed out"}.get(state, state)
