"""Running the application: uvicorn, with bounds on what it bears from slow clients."""

import asyncio
import socket
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pyworkflow.errors import BackendUnavailableError, InvalidRequestError
from pyworkflow.web.limits import Limits
from pyworkflow.web.site import Site
from pyworkflow.web.tokens import Tokens

GRACE = 5
"""Seconds that answers under way have when the server is stopped."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections whose request head does not arrive in time.

    uvicorn counts the idle time between requests only: a client that sends a byte now and then would keep its connection for ever.
    """

    header_seconds = Limits().header_seconds
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request head in time."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take what came, and see whether a head is complete."""
        if self._deadline is None and self._idle():
            self._expect()
        super().data_received(data)
        if not self._idle():
            self._relax()

    def on_response_complete(self) -> None:
        """Expect the next head only from its first byte on: until then, uvicorn's own limit for idle connections holds."""
        self._relax()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._relax()
        super().connection_lost(exc)

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        # uvicorn has None in it at first, and does not say so.
        return cycle is None or cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._late)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self._idle() and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """A server that ends its streams when it is told to stop, so that it need not wait for them.

    Args:
        config: uvicorn's.
        site: Of the application.
    """

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; the second time at once. A stop that was asked for is no failure, so the signal is not raised again."""
        self._site.hub.close()
        self.force_exit = self.should_exit
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Tell whether an address to listen at stands for all that this machine has."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host


def check_bind(host: str, tokens: Tokens | None) -> None:
    """Refuse to serve others than this machine without tokens.

    Raises:
        InvalidRequestError: The address can be reached from elsewhere, and there are no tokens.
    """
    if not is_loopback(host) and (tokens is None or not tokens.tokens):
        reason = "can be reached from other machines: that needs tokens (--token-file)"
        raise InvalidRequestError(f"host {host!r}", reason)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        BackendUnavailableError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay (TCP_NODELAY) only where the protocol is named: else each answer waits 40 ms for the client's ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        # From here on clients are kept waiting instead of refused, until the server is up.
        bound.listen(128)
    except OSError as error:
        bound.close()
        told = f"{host}:{port} cannot be listened at: {error.strerror}"
        raise BackendUnavailableError(told) from error
    return bound


def make_server(app: Starlette, *, root_path: str = "", **more: Any) -> Server:
    """Return a server of an application made by `create_app`, to be run with `Server.run`."""
    site: Site = app.state.site
    limits = site.limits
    protocol = type("Protocol", (PatientProtocol,), {"header_seconds": limits.header_seconds})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        loop="asyncio",
        root_path=root_path,
        h11_max_incomplete_event_size=limits.header,
        limit_concurrency=limits.connections,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=GRACE,
        access_log=False,
        server_header=False,
        # Whoever stands before us may say what it likes: addresses are not what we go by.
        proxy_headers=False,
        log_level="warning",
        **more,
    )
    return Server(config, site)
