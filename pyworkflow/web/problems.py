"""Refusals: what is answered instead of a result, as ``application/problem+json`` (RFC 9457)."""

from http import HTTPStatus

from msgspec import Struct
from starlette.responses import Response

from pyworkflow.codec import encode
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    NondeterminismError,
    ProcessAlreadyExistsError,
    ProcessClosedError,
    PyworkflowError,
    StaleCursorError,
    StaleTaskError,
    TimedOutError,
    UnknownResourceError,
    UnsupportedByBackendError,
)
from pyworkflow.services.errors import CallbackError, DefinitionConflictError, FieldError

STATUSES: list[tuple[type[PyworkflowError], int]] = [
    (StaleCursorError, 409),
    (StaleTaskError, 409),
    (ProcessAlreadyExistsError, 409),
    (ProcessClosedError, 409),
    (DefinitionConflictError, 409),
    (NondeterminismError, 409),
    (UnknownResourceError, 404),
    (CallbackError, 403),
    (InvalidRequestError, 422),
    (UnsupportedByBackendError, 501),
    (BackendUnavailableError, 503),
    (TimedOutError, 503),
    (PyworkflowError, 500),
]
"""The first class that fits an error decides the status."""


class ProblemBody(Struct, omit_defaults=True):
    """Why a request was refused.

    Attributes:
        title: The status in words.
        status: The HTTP status.
        detail: What is wrong, for people.
        field: The field of the body, the parameter or the header that is wrong, such as ``tags[0]``.
    """

    title: str
    status: int
    detail: str
    field: str | None = None


class Problem(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        detail: What is wrong, for people.
        field: What part of the request is wrong.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, field, headers)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def response(self) -> Response:
        """Return the refusal as an answer."""
        body = ProblemBody(self.title, self.status, self.detail, self.field)
        return Response(encode(body), self.status, self.headers, "application/problem+json")


def problem_of(error: PyworkflowError, field: str | None = None) -> Problem:
    """Return how an error of the backend is told."""
    status = next(code for kind, code in STATUSES if isinstance(error, kind))
    if status == 503:
        # What the store says of its files is for its operator, not for a client.
        return Problem(503, "the backend cannot be used now", headers={"Retry-After": "1"})
    named = error.field if isinstance(error, FieldError) else field
    return Problem(status, str(error), named)
