"""Callbacks: the address at which a service that took its work on finishes it later, once."""

import base64
import binascii
import hmac
import secrets
from hashlib import sha256
from typing import Any

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import SECOND, Clock
from pyworkflow.codec import Json, decode, encode
from pyworkflow.errors import PayloadError
from pyworkflow.services.errors import CallbackError
from pyworkflow.services.flow import CALL
from pyworkflow.task import ActivityTask

LONGEST = 4000
"""Characters of a token."""


class _Ticket(Struct, frozen=True, array_like=True):
    """What a token says: one attempt of one call, by its lease, and the instant in seconds until which it holds."""

    process_id: str
    execution: str
    attempt: int
    context: dict[str, Any]
    expires: int


class Callbacks:
    """Makes tokens that stand for a task, and knows them again.

    A token is signed, so that nobody can make or change one; it says when it ends. That it counts once, and for its attempt only, is the
    lease's doing: the store ends that in the same write as the task.

    Args:
        key: The secret of all who share a store.
        clock: Tells the time.
        url: What the addresses begin with; None if nobody can be called back.
    """

    def __init__(self, key: bytes, clock: Clock, url: str | None) -> None:
        self._key = key
        self._clock = clock
        self._url = url

    def address(self, task: ActivityTask, seconds: float) -> str | None:
        """Return the address at which a task can be finished for so many seconds, if there is one."""
        return None if self._url is None else f"{self._url}/callbacks/{self.token(task, seconds)}"

    def token(self, task: ActivityTask, seconds: float) -> str:
        """Return the token of a task, good for so many seconds."""
        expires = self._clock.now() // SECOND + int(seconds) + 1
        ticket = _Ticket(
            task.process_id or "",
            task.activity_execution.id,
            task.attempt,
            task.context,
            expires,
        )
        body = encode(ticket)
        return f"{_text(body)}.{_text(self._signature(body))}"

    def task(self, token: str) -> ActivityTask:
        """Return the task that a token stands for.

        Raises:
            CallbackError: The token is none of ours, or has ended.
        """
        told, _, signature = token.partition(".")
        try:
            if len(token) > LONGEST:
                raise ValueError("longer than any of ours")
            body, given = _bytes(told), _bytes(signature)
        except (ValueError, binascii.Error):
            raise CallbackError("callback", "is none of ours") from None
        if not hmac.compare_digest(self._signature(body), given):
            raise CallbackError("callback", "is none of ours")
        ticket: _Ticket = decode(body, _Ticket)
        if ticket.expires < self._clock.now() // SECOND:
            raise CallbackError("callback", "came too late")
        execution = ActivityExecution(CALL, ticket.execution)
        return ActivityTask(execution, ticket.process_id, ticket.context, ticket.attempt)

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, sha256)


def new_key() -> Json:
    """Return a new secret, as it is kept."""
    return secrets.token_urlsafe(32)


def key_of(kept: Json) -> bytes:
    """Return a secret from what is kept.

    Raises:
        PayloadError: That is none.
    """
    if not isinstance(kept, str) or len(kept) < 40:
        raise PayloadError("key of the callbacks", "is not as it was kept")
    return kept.encode()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _text(data) != text:
        # Two ways of writing one token would be two tokens.
        raise ValueError("not as it was written")
    return data
