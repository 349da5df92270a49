"""The benchmark of the dashboard runs, tiny: so that it never rots."""

import subprocess
import sys

import pytest

from benchmarks.paint import PAGES
from tests.web.browser import CHROMIUM, in_browser

pytestmark = [*in_browser, pytest.mark.slow]


def test_each_page_gives_its_figures() -> None:
    words = ["--processes", "60", "--events", "30", "--runs", "1", "--chromium", CHROMIUM]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.paint", *words], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0].startswith("60 processes in ")
    rows = [line.split() for line in told[2:]]
    assert [row[0] for row in rows] == list(PAGES)
    assert all(float(figure) > 0 for row in rows for figure in row[1:])
