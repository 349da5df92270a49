"""moto's own HTTP server, for tests that want an Amazon on this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@contextmanager
def serving() -> Iterator[str]:
    """Run a server in a thread; yield its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_client(endpoint: str, service: str = "swf", **config: Any) -> Any:
    """Return a client that does not ask again: what moto answers with 500 does not get better by that."""
    told = {"retries": {"mode": "standard", "max_attempts": 1}} | config
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(read_timeout=70, **told),
    )
