"""The benchmark of events: it measures a real server, beside the ceiling."""

import subprocess
import sys
from pathlib import Path

from benchmarks.load import request

ROOT = Path(__file__).parents[2]


def test_both_servers_are_measured() -> None:
    words = ["--seconds", "0.2", "--rounds", "1", "--connections", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.events", *words, "--goal", "0.001"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    _, _, ceiling, ours = done.stdout.splitlines()
    for name, row in (("ceiling", ceiling), ("pyworkflow", ours)):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[:2] == [name, "2"]
        assert all(float(cell.replace(",", "")) > 0 for cell in cells[2:])


def test_a_request_is_whole() -> None:
    sent = request("127.0.0.1:1", "/e/x", b"{}")

    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /e/x HTTP/1.1"
    assert b"Content-Length: 2" in head
    assert body == b"{}"
