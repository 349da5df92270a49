"""``python -m benchmarks.swf``: how many calls of Amazon SWF a process of three activities takes, ours and other clients', on one moto server.

``--peers PYTHON`` names an interpreter of an environment that has garcon and simpleflow; without it only ours is counted.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

ROOT = Path(__file__).parents[1]
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


def counted(python: str, name: str, endpoint: str, count: int) -> dict[str, int]:
    """Run a program and return its calls by name."""
    environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": endpoint}
    client = boto3.session.Session().client(
        "swf",
        endpoint_url=endpoint,
        region_name=KEYS["AWS_DEFAULT_REGION"],
        aws_access_key_id="a",
        aws_secret_access_key="b",  # noqa: S106 - moto asks for none
    )
    client.register_domain(name=name, workflowExecutionRetentionPeriodInDays="1")
    command = [python, "-m", f"benchmarks.swf_peers.{name}_program", name, str(count)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    calls: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return calls


def main() -> int:
    """Count, print a table, and return 1 if another client needs fewer calls."""
    parser = argparse.ArgumentParser(prog="benchmarks.swf", description=__doc__)
    parser.add_argument("--peers", help="Python that has garcon and simpleflow")
    parser.add_argument("--count", type=int, default=10, help="processes")
    given = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    contenders = {"ours": sys.executable}
    if given.peers:
        contenders |= {"garcon": given.peers, "simpleflow": given.peers}
    totals: dict[str, float] = {}
    print("| client | calls per process | of these |\n|---|---|---|")
    for name, python in contenders.items():
        calls = counted(python, name, f"http://{host}:{port}", given.count)
        calls.pop("idle polls", None)
        totals[name] = sum(calls.values()) / given.count
        parts = ", ".join(f"{key} {value / given.count:g}" for key, value in sorted(calls.items()))
        print(f"| {name} | {totals[name]:g} | {parts} |")
    server.stop()
    return 1 if totals["ours"] > min(totals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
