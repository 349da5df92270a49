"""Calling a service: one POST to where its address leads, within bounds of time and size. Needs the extra ``services``."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from types import TracebackType
from typing import Any

import httpx2

from pyworkflow import __version__
from pyworkflow.activity import ActivityFailed
from pyworkflow.codec import Json, decode, encode
from pyworkflow.errors import PayloadError
from pyworkflow.services.calling import FAILED, FORBIDDEN, REFUSED, WRONG_OUTPUT, Answer
from pyworkflow.services.definition import ServiceDefinition
from pyworkflow.services.errors import ForbiddenAddressError
from pyworkflow.services.policy import AddressPolicy

MOST_BYTES = 1024 * 1024
"""Of an answer."""
SHOWN = 500
"""Bytes of a refusal that are kept for people."""
LATER = (408, 425, 429)
"""Refusals that may be none the next time."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the IP addresses of a host."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the IP addresses of a host, as the system's resolver knows them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class ServiceClient:
    """Calls services.

    Args:
        policy: Where they may be.
        resolver: Looks names up.
    """

    def __init__(self, policy: AddressPolicy, resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._resolver = resolver

    async def call(
        self, service: ServiceDefinition, data: Mapping[str, Json], headers: Mapping[str, str]
    ) -> Answer:
        """Send data to a service and return its answer.

        Raises:
            ActivityFailed: There is no answer in time, or it is no success or no JSON object, or the address is not allowed.
        """
        who = f"service {service.name!r}"
        try:
            async with asyncio.timeout(service.timeout):
                return await self._called(service, data, headers)
        except TimeoutError:
            told = f"{who} did not answer within {service.timeout:g} s"
            raise ActivityFailed(told, None, FAILED) from None
        except httpx2.TimeoutException as error:
            told = f"{who} did not answer in time: {type(error).__name__}"
            raise ActivityFailed(told, None, FAILED) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            told = f"{who} cannot be reached: {str(error) or type(error).__name__}"
            raise ActivityFailed(told, None, FAILED) from None
        except ForbiddenAddressError as error:
            raise ActivityFailed(f"{who} is not called: {error}", None, FORBIDDEN) from None

    async def _called(
        self, service: ServiceDefinition, data: Mapping[str, Json], headers: Mapping[str, str]
    ) -> Answer:
        self._policy.check(service.address)
        timeout = httpx2.Timeout(service.read_timeout, connect=service.connect_timeout)
        told = {
            "Accept": "application/json",
            # Nothing is unpacked: what comes is as large as it seems.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"pyworkflow/{__version__}",
            **headers,
        }
        async with (
            PinnedTransport(self._policy, self._resolver) as transport,
            httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client,
            client.stream("POST", service.address, content=encode(data), headers=told) as response,
        ):
            return await _answer(service, response)


async def _answer(service: ServiceDefinition, response: httpx2.Response) -> Answer:
    who, status = f"service {service.name!r}", response.status_code
    if not 200 <= status < 300:
        final = 300 <= status < 500 and status not in LATER
        shown = (await _body(response, SHOWN))[0].decode("utf-8", "replace")
        raise ActivityFailed(f"{who} answered {status}", shown, REFUSED if final else FAILED)
    if status == 202:
        return Answer({}, later=True)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ActivityFailed(f"{who} answered compressed", None, WRONG_OUTPUT)
    body, cut = await _body(response, MOST_BYTES)
    if cut:
        raise ActivityFailed(f"{who} answered more than {MOST_BYTES} bytes", None, WRONG_OUTPUT)
    try:
        outputs: dict[str, Json] = decode(body, dict[str, Any])
    except PayloadError as error:
        told = f"{who} answered no JSON object: {error.reason}"
        raise ActivityFailed(told, None, WRONG_OUTPUT) from None
    return Answer(outputs)


async def _body(response: httpx2.Response, most: int) -> tuple[bytes, bool]:
    """Return the beginning of a body, and whether there is more."""
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            return body[:most], True
    return body, False


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Looks a name up once, refuses what it must not lead to, and connects to just these addresses.

    A name that leads elsewhere when it is looked up a second time, after the check, has no second time.

    Args:
        policy: Where services may be.
        resolver: Looks names up.
    """

    def __init__(self, policy: AddressPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._inner = httpx2.AsyncHTTPTransport(verify=_tls(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        url = request.url
        # As it is written: `host` would be told in letters that another standard reads as another name.
        host = url.raw_host.decode("ascii").lower().removesuffix(".")
        addresses = await self._resolver(host, url.port or 0)
        for address in addresses:
            self._policy.check_ip(host, ip_address(address.partition("%")[0]))
        # The certificate is the name's, whichever address it leads to; the header Host is there already.
        request.extensions = {**request.extensions, "sni_hostname": host}
        refused: httpx2.ConnectError | None = None
        for address in addresses:
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except httpx2.ConnectError as error:
                refused = error
        raise refused or httpx2.ConnectError(f"{host!r} has no address")

    async def __aenter__(self) -> "PinnedTransport":
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, traceback)


@cache
def _tls() -> ssl.SSLContext:
    # Reading the system's certificates takes longer than most calls.
    return ssl.create_default_context()
