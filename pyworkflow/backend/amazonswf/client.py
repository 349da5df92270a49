"""Calls to Amazon SWF: clients that wait long enough, errors in our own words, and a count of both."""

from collections import Counter
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any

from pyworkflow.backend.exchange import Poll
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError
from pyworkflow.swf.typenames import TypeNames
from pyworkflow.swf.words import MAX_ID

POLL_SECONDS = 60
"""Seconds that SWF holds a long poll."""

OUTAGE_PAUSE = 60.0
"""Seconds after which a task is handed out again whose payload could not be fetched: each round adds events to a history."""

READ_TIMEOUT = 75
"""Seconds that a client waits for an answer: more than SWF holds a long poll."""

FAULTS = frozenset(
    {
        "DefaultUndefinedFault",
        "DomainAlreadyExistsFault",
        "DomainDeprecatedFault",
        "SerializationException",
        "TypeAlreadyExistsFault",
        "TypeDeprecatedFault",
        "UnknownResourceFault",
        "ValidationError",
        "ValidationException",
        "WorkflowExecutionAlreadyStartedFault",
    }
)
"""What is wrong with a request. Anything else is wrong with the service, the credentials or the way there, and may pass."""


class Fault(InvalidRequestError):
    """SWF refused a request.

    Attributes:
        code: The name of the fault.
        message: What SWF says of it.
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(operation, f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.code, self.message)


class Calls:
    """Calls operations of one domain.

    Args:
        make: Makes the client when it is needed; importing boto3 takes longer than most programs.
        domain: The domain that every request is about.
        names: The types whose versions Amazon keeps apart from their names.
    """

    def __init__(self, make: Callable[[], Any], domain: str, names: TypeNames) -> None:
        self.domain = domain
        self._names = names
        self.made: Counter[str] = Counter()
        self.retried = 0
        self._make = make
        self._client: Any = None
        self._lock = RLock()

    @property
    def client(self) -> Any:
        """The client."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def drop(self) -> None:
        """Leave the client's connections to the parent, in a child. A client of the caller's makes others when it is called."""
        if self._client is not None:
            self._client.close()

    def __call__(self, operation: str, **given: Any) -> dict[str, Any]:
        """Call an operation by its name in snake case; what is None is left out.

        Raises:
            Fault: SWF refuses the request.
            BackendUnavailableError: The call may be tried again.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        told = {key: value for key, value in given.items() if value is not None}
        # Tasks are known by their tokens, and a domain about to be made has only a name.
        if operation == "register_domain":
            told["name"] = self.domain
        elif "taskToken" not in given:
            told["domain"] = self.domain
        self.made[operation] += 1
        try:
            call = getattr(self.client, operation)
            answer: dict[str, Any] = call(**self._names.to_swf(operation, told))
        except ParamValidationError as error:
            raise Fault(operation, "ValidationException", str(error)) from error
        except ClientError as error:
            refusal: dict[str, Any] = error.response
            raise self._refused(operation, refusal) from error
        except BotoCoreError as error:
            raise BackendUnavailableError(f"Amazon SWF, {operation}: {error}") from error
        self._count(answer)
        return self._names.from_swf(answer)

    def _count(self, answer: dict[str, Any]) -> None:
        self.retried += int(answer.get("ResponseMetadata", {}).get("RetryAttempts", 0))

    def _refused(self, operation: str, answer: dict[str, Any]) -> Exception:
        self._count(answer)
        error = answer.get("Error", {})
        code = str(error.get("Code", "")).rpartition("#")[2]
        message = str(error.get("Message", ""))
        if code not in FAULTS:
            return BackendUnavailableError(f"Amazon SWF, {operation}: {code}: {message}")
        if code == "UnknownResourceFault" and "domain" in message.lower():
            return InvalidRequestError(
                f"domain {self.domain!r}", "is not registered: see AmazonSWFBackend.register_domain"
            )
        return Fault(operation, code, message)

    def register_domain(self, retention_days: str, description: str | None) -> None:
        """Make the domain, if there is none of its name."""
        try:
            self(
                "register_domain",
                workflowExecutionRetentionPeriodInDays=retention_days,
                description=description,
            )
        except Fault as fault:
            if fault.code != "DomainAlreadyExistsFault":
                raise

    def pages(self, operation: str, key: str, **given: Any) -> Iterator[dict[str, Any]]:
        """Return the items of all pages of an operation.

        Raises:
            Fault: SWF refuses the request.
            BackendUnavailableError: The call may be tried again.
        """
        token: str | None = None
        while True:
            page = self(operation, nextPageToken=token, **given)
            yield from page.get(key, ())
            token = page.get("nextPageToken")
            if token is None:
                return


def identity_of(poll: Poll) -> str | None:
    """Return who polls, as far as SWF takes it."""
    return None if poll.identity is None else poll.identity[:MAX_ID]


def check_client(client: Any) -> None:
    """Refuse a client that gives up a long poll before SWF answers it.

    Raises:
        InvalidRequestError: Its read timeout is too short.
    """
    timeout = client.meta.config.read_timeout
    if timeout is not None and timeout <= POLL_SECONDS:
        raise InvalidRequestError(
            "client",
            f"its read timeout of {timeout} s is not above the {POLL_SECONDS} s of a long poll:"
            f" make it with botocore.config.Config(read_timeout={READ_TIMEOUT})",
        )


def make_client(
    service: str, access_key_id: str | None, secret_access_key: str | None, region: str
) -> Any:
    """Return a client of boto3 that retries what is throttled or lost, more patiently the more it is.

    Raises:
        BackendUnavailableError: Credentials or configuration cannot be used.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=10,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "adaptive", "max_attempts": 8},
        max_pool_connections=50,
        tcp_keepalive=True,
    )
    try:
        session: Any = boto3.Session(
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            region_name=region,
        )
        return session.client(service, config=config)
    except BotoCoreError as error:
        raise BackendUnavailableError(f"Amazon {service}: {error}") from error
