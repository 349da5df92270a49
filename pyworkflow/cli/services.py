"""What `serve` and `worker` are told about HTTP services."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from pyworkflow.cli.common import needing
from pyworkflow.errors import InvalidRequestError

if TYPE_CHECKING:
    from pyworkflow.manager import Manager
    from pyworkflow.services import Services

F = TypeVar("F", bound=Callable[..., Any])

_CALLBACK = re.compile(
    r"https?://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[a-z0-9/%._~!$&'()*+,;=:@-]*)?",
    re.IGNORECASE,
)

LEASE = 10
"""Seconds after which what a server that is gone was calling is called again by the next."""
AT_ONCE = 64
"""Calls at a time of a server that works as well: each waits for an answer most of its time."""


class ServiceOptions(TypedDict):
    """The options, as commands get them."""

    services: bool
    allow_service: tuple[str, ...]
    service_port: tuple[int, ...]
    callback_url: str | None


def service_options(command: F) -> F:
    """Add the options."""
    for option in (
        click.option(
            "--callback-url",
            help="The URL of `pyworkflow serve` as services reach it, which those that answer 202 call back.",
        ),
        click.option(
            "--service-port",
            multiple=True,
            type=click.IntRange(1, 65_535),
            help="A port that services may be called at; any, if never given.",
        ),
        click.option(
            "--allow-service",
            multiple=True,
            help="A host name, IP address or network where services may be, although it is not public.",
        ),
        click.option("--services", is_flag=True, help="Work on the events of HTTP services."),
    ):
        command = option(command)
    return command


def make_services(manager: "Manager", given: ServiceOptions, address: str | None) -> "Services":
    """Return the services of a manager.

    Args:
        manager: The manager.
        given: The options.
        address: What is called back if no URL is given; None for nobody.

    Raises:
        InvalidRequestError: An option is not acceptable.
    """
    from pyworkflow.services import AddressPolicy, Services

    policy = AddressPolicy(given["allow_service"], given["service_port"])
    if given["callback_url"] is not None:
        callback_host(given["callback_url"])
    url = given["callback_url"] or address
    return Services(manager, policy, callback_url=None if url is None else url.rstrip("/"))


def callback_host(url: str) -> str:
    """Return the name by which services call the server back, as it stands in a header ``Host``.

    Raises:
        InvalidRequestError: The URL is none.
    """
    found = _CALLBACK.fullmatch(url)
    if found is None:
        raise InvalidRequestError(f"callback URL {url!r}", "must be like https://flows.example.org")
    return found["host"].rstrip(".")


def install(services: "Services") -> None:
    """Make services known to their manager.

    Raises:
        BackendUnavailableError: The extra is missing.
    """
    with needing("services", "--services"):
        services.install()


@contextmanager
def working(manager: "Manager", services: "Services") -> Generator[None]:
    """Work on the events of services in a thread until the end of the block."""
    from pyworkflow.services import CATEGORY
    from pyworkflow.worker import Worker

    install(services)
    worker = Worker(
        manager, category=CATEGORY, pool="asyncio", concurrency=AT_ONCE, lease=LEASE, grace=5
    )
    thread = Thread(target=worker.run, name="pyworkflow-services", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
