"""A load generator for HTTP that costs little itself: one request, made once, sent again and again over connections that stay."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct


class Load(Struct, frozen=True):
    """What was measured.

    Attributes:
        per_second: Answers per second.
        p50: Milliseconds in which half of them came.
        p99: Milliseconds in which 99 of 100 came.
        statuses: How often which status was answered.
    """

    per_second: float
    p50: float
    p99: float
    statuses: dict[str, int]


def request(host: str, path: str, body: bytes) -> bytes:
    """Return a POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is there."""

    def __init__(self, sent: bytes, again: Callable[[], bool]) -> None:
        self.latencies: list[float] = []
        self.statuses: dict[str, int] = {}
        self.over = asyncio.get_running_loop().create_future()
        self._sent = sent
        self._again = again
        self._buffer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._sent)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        place = lower.index(b"content-length:") + 15
        if len(body) < int(lower[place:].split(b"\r\n", 1)[0]):
            return
        self.latencies.append(time.perf_counter() - self._began)
        status = head[9:12].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._buffer = b""
        if self._again():
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def _run(host: str, port: int, sent: bytes, connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    end = time.perf_counter() + seconds
    made = [
        await loop.create_connection(
            lambda: _Client(sent, lambda: time.perf_counter() < end), host, port
        )
        for _ in range(connections)
    ]
    began = time.perf_counter()
    clients = [client for _, client in made]
    await asyncio.gather(*(client.over for client in clients))
    took = time.perf_counter() - began
    latencies = sorted(each for client in clients for each in client.latencies)
    statuses: dict[str, int] = {}
    for client in clients:
        for status, count in client.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    count = len(latencies)
    return Load(
        count / took,
        latencies[count // 2] * 1000,
        latencies[min(count - 1, count * 99 // 100)] * 1000,
        statuses,
    )


def load(host: str, port: int, sent: bytes, connections: int, seconds: float) -> Load:
    """Send a request over some connections for some seconds, each as soon as the one before is answered."""
    return asyncio.run(_run(host, port, sent, connections, seconds))
