"""Sessions of the dashboard: a cookie instead of a header, since browsers send no headers of ours."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from threading import Lock

from starlette.requests import HTTPConnection
from starlette.responses import Response

from pyworkflow.web.tokens import ANYBODY, Token, Tokens

COOKIE = "pyworkflow_session"
LIFETIME = 12 * 3600
"""Seconds until somebody has to show the token again."""
MOST = 10_000
"""Sessions at a time; the oldest ends for one more."""


class Sessions:
    """Knows which cookie stands for which token, until the server ends.

    Args:
        tokens: The tokens; None where anybody may do everything.
    """

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = Lock()

    def open(self, token: Token) -> str:
        """Return the cookie of a new session."""
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._known[_hashed(session)] = token.digest, time.monotonic() + LIFETIME
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return session

    def close(self, session: str) -> None:
        """Forget a session."""
        with self._lock:
            self._known.pop(_hashed(session), None)

    def token(self, session: str) -> Token | None:
        """Return whose session it is; None if it ended, or its token is accepted no more."""
        if self._tokens is None:
            return ANYBODY
        with self._lock:
            digest, end = self._known.get(_hashed(session), ("", 0.0))
        return self._tokens.find_digest(digest) if time.monotonic() < end else None

    def csrf(self, session: str) -> str:
        """Return what the forms of a session must carry: nobody else's page can know it."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, session: str, sent: str) -> bool:
        """Tell whether a form comes from a page of this session."""
        return hmac.compare_digest(self.csrf(session).encode(), sent.encode())


def session_of(connection: HTTPConnection) -> str:
    """Return the cookie that a client sent, empty if none."""
    return connection.cookies.get(COOKIE, "")


def set_session(response: Response, connection: HTTPConnection, session: str) -> None:
    """Have a browser keep a session, and send it with requests of our own pages only."""
    response.set_cookie(
        COOKIE,
        session,
        max_age=LIFETIME,
        path=connection.scope.get("root_path") or "/",
        secure=connection.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _hashed(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()
