"""The HTTP door: a JSON API over a manager, and the dashboard. Needs the extra ``web``.

``create_app`` makes the ASGI application, ``pyworkflow serve`` runs it.
"""

from pyworkflow.web.app import create_app
from pyworkflow.web.limits import Limits
from pyworkflow.web.tokens import Scope, Token, TokenFile, Tokens, new_token

__all__ = ["Limits", "Scope", "Token", "TokenFile", "Tokens", "create_app", "new_token"]
