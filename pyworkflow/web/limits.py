"""What one client may ask of the server."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on everything that a request can make large or long.

    Attributes:
        body: Bytes of a request body.
        body_seconds: Seconds in which a body must have arrived.
        header: Bytes of a request line and its headers.
        header_seconds: Seconds in which they must have arrived.
        request_seconds: Seconds a call to the backend may take.
        wait_seconds: Seconds a client may wait for the end of a process in one request.
        page: Entries of one page of a list.
        threads: Calls to the backend at a time.
        queued: Calls that wait for one of these threads; more are refused.
        events: Events of services that wait to be recorded; more are refused.
        streams: Event streams and waits at a time.
        connections: Connections at a time.
    """

    body: int = 1024 * 1024
    body_seconds: float = 10
    header: int = 16 * 1024
    header_seconds: float = 10
    request_seconds: float = 30
    wait_seconds: float = 60
    page: int = 500
    threads: int = 8
    queued: int = 128
    events: int = 512
    streams: int = 128
    connections: int = 1000
