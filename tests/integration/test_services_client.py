"""Calling services over real sockets: where a call may lead, and how long and large an answer may be."""

import asyncio
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from pyworkflow.activity import ActivityFailed
from pyworkflow.services import AddressPolicy
from pyworkflow.services.calling import FAILED, FORBIDDEN, REFUSED, WRONG_OUTPUT, Answer
from pyworkflow.services.client import MOST_BYTES, Resolver, ServiceClient, resolve
from pyworkflow.services.definition import ServiceDefinition
from tests.services_kit import LOOPBACK, listening, raw_service


def call(
    address: str,
    policy: AddressPolicy = LOOPBACK,
    resolver: Resolver = resolve,
    **settings: Any,
) -> Answer:
    service = ServiceDefinition("one", address, **settings)
    return asyncio.run(ServiceClient(policy, resolver).call(service, {"n": 1}, {}))


def refusal(address: str, *given: Any, **settings: Any) -> ActivityFailed:
    with pytest.raises(ActivityFailed) as caught:
        call(address, *given, **settings)
    return caught.value


def leading_to(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """Return a resolver that gives one answer after the other, and what it was asked."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolver, asked


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "a.localhost",
        "user:pass@127.0.0.1",
        "example.org@127.0.0.1",
    ],
)
def test_nothing_on_this_machine_is_reached_by_default(host: str) -> None:
    with listening((200, {})) as one:
        for scheme in ("http", "file", "gopher"):
            failed = refusal(f"{scheme}://{host}:{one.port}/", AddressPolicy())
            assert failed.type_name == FORBIDDEN
            assert failed.reason is not None
            assert failed.reason.startswith("service 'one' is not called: ")

        assert one.connections == 0


def test_a_name_that_leads_to_this_machine_is_not_called() -> None:
    with listening((200, {})) as one:
        for answer in (
            ["127.0.0.1"],
            ["::1"],
            ["::ffff:127.0.0.1"],
            ["93.184.216.34", "127.0.0.1"],
            ["fe80::1%eth0"],
            ["169.254.169.254"],
        ):
            resolver, _ = leading_to(answer)
            failed = refusal(f"http://public.example.org:{one.port}/", AddressPolicy(), resolver)
            assert failed.type_name == FORBIDDEN

        assert one.connections == 0


def test_a_name_is_looked_up_once_and_only_what_was_checked_is_connected_to() -> None:
    # What is checked is allowed, and leads nowhere; a second look would lead to the service.
    resolver, asked = leading_to(["127.0.0.2"], ["127.0.0.1"])
    with listening((200, {})) as one:
        failed = refusal(
            f"http://rebinding.example.org:{one.port}/", AddressPolicy(["127.0.0.2"]), resolver
        )

        assert one.connections == 0
    assert asked == ["rebinding.example.org"]
    assert failed.type_name == FAILED


@pytest.mark.parametrize("host", ["xn--strae-oqa.example.org", "xn--exmple-cua.example.org"])
def test_a_name_is_looked_up_as_it_is_written(host: str) -> None:
    resolver, asked = leading_to(["127.0.0.1"])
    with listening((200, {})) as one:
        # Told in letters, the first would be that of another host.
        call(f"http://{host}:{one.port}/", AddressPolicy([host]), resolver)

        assert one.header("Host") == [f"{host}:{one.port}"]
    assert asked == [host]


def test_the_name_stays_in_the_header_and_the_address_is_pinned() -> None:
    resolver, asked = leading_to(["127.0.0.1"])
    with listening((200, {"n": 2})) as one:
        answer = call(f"http://Name.example.org:{one.port}/x", LOOPBACK, resolver)

        assert one.calls[0].headers["host"] == f"name.example.org:{one.port}"
    assert answer.outputs == {"n": 2}
    assert asked == ["name.example.org"]


def test_a_name_with_several_addresses_is_called_at_one_that_answers() -> None:
    resolver, _ = leading_to(["127.0.0.3", "127.0.0.1"])
    with listening((200, {})) as one:
        call(f"http://name.example.org:{one.port}/", LOOPBACK, resolver)

        assert len(one.calls) == 1


def test_a_name_that_is_none_is_told() -> None:
    failed = refusal("http://nobody.invalid/", LOOPBACK)

    assert failed.type_name == FAILED
    assert failed.reason is not None
    assert failed.reason.startswith("service 'one' cannot be reached: ")


def test_a_redirect_is_not_followed() -> None:
    with (
        listening((200, {})) as inner,
        listening(lambda c: (307, b"", {"Location": inner.address})) as one,
    ):
        failed = refusal(one.address)

        assert inner.connections == 0
    assert (failed.reason, failed.type_name) == ("service 'one' answered 307", REFUSED)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening((200, {"proxy": True})) as proxy, listening((200, {"proxy": False})) as one:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)

        assert call(one.address).outputs == {"proxy": False}
        assert proxy.connections == 0


def test_a_tls_service_without_a_known_certificate_is_not_called() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(connection.recv(5))

    with raw_service(serve) as address:
        failed = refusal(address.replace("http://", "https://"), timeout=30)

    assert failed.type_name == FAILED
    # It began with TLS, and nothing of the call was sent.
    assert seen
    assert seen[0][:1] == b"\x16"
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


# -- time and size -----------------------------------------------------------------------------------------------------------------


def drip(*parts: bytes, every: float = 0.02) -> Any:
    """Return what sends some parts, then the last for ever, until it is hung up on."""
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        for part in parts[:-1]:
            connection.sendall(part)
        while not stop.wait(every):
            connection.sendall(parts[-1])

    return serve


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"H",),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["status", "headers", "body", "chunks"],
)
def test_an_answer_that_drips_in_is_waited_for_only_so_long(parts: tuple[bytes, ...]) -> None:
    with raw_service(drip(*parts)) as address:
        failed = refusal(address, timeout=0.5)

    assert failed.type_name == FAILED
    assert failed.reason is not None
    assert "service 'one'" in failed.reason


def test_a_service_that_says_nothing_is_waited_for_only_so_long() -> None:
    release = threading.Event()
    with raw_service(lambda connection: (release.wait(60), None)[1]) as address:
        whole = refusal(address, timeout=0.2)
        part = refusal(address, timeout=30, read_timeout=0.2)
        release.set()

    assert whole.reason == "service 'one' did not answer within 0.2 s"
    assert part.reason == "service 'one' did not answer in time: ReadTimeout"


def test_an_answer_that_never_ends_is_cut_off() -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    with raw_service(drip(head, chunk, every=0)) as address:
        failed = refusal(address)

    assert failed.reason == f"service 'one' answered more than {MOST_BYTES} bytes"
    assert failed.type_name == WRONG_OUTPUT


@pytest.mark.parametrize("more", [0, 1])
def test_an_answer_may_be_as_large_as_it_may_be(more: int) -> None:
    body = json.dumps({"s": ""}).encode()
    body = body.replace(b'""', b'"' + b"x" * (MOST_BYTES - len(body) + more) + b'"')
    with listening((200, body)) as one:
        if more:
            assert refusal(one.address).type_name == WRONG_OUTPUT
        else:
            assert len(str(call(one.address).outputs["s"])) > MOST_BYTES - 100


def test_a_packed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with listening((200, bomb, {"Content-Encoding": "gzip"})) as one:
        failed = refusal(one.address)

        assert one.header("Accept-Encoding") == ["identity"]
    assert failed.reason == "service 'one' answered compressed"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 9 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_a_failure_like_any_other(answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    with raw_service(serve) as address:
        failed = refusal(address, timeout=30)

    assert failed.type_name in (FAILED, WRONG_OUTPUT)


def test_a_refusal_is_shown_in_part() -> None:
    with listening((500, b"x" * 5000)) as one:
        failed = refusal(one.address)

    assert failed.details == "x" * 500
