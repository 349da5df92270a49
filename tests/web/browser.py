"""A real Chromium for the tests of the dashboard, and pages that fail a test for anything that a browser complains of."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect

from tests.programs import needs

CHROMIUM = os.environ.get("PYWORKFLOW_CHROMIUM") or shutil.which("chromium") or ""

in_browser = [
    needs(
        CHROMIUM if Path(CHROMIUM).is_file() else None,
        "Chromium",
        "apt-get install chromium, or name it in PYWORKFLOW_CHROMIUM",
    ),
    # One browser at a time: each is larger than all the rest together.
    pytest.mark.xdist_group("browser"),
]

PATIENCE = 60_000
"""Milliseconds that a page may take to come to what is expected of it, on the slowest of machines."""

expect.set_options(timeout=PATIENCE)


@contextmanager
def watched(browser: Browser, address: str, **settings: Any) -> Iterator[Page]:
    """Open a page; at the end of the block nothing may have gone wrong in it: errors, dialogs, requests to elsewhere."""
    context = browser.new_context(base_url=address, **settings)
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        # A form that is refused comes back with status 422, which the console tells.
        if message.type == "error" and "422" not in message.text:
            wrong.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith(address):
            wrong.append(request.url)

    def stopped(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", stopped)
    opened.on("console", said)
    opened.on("request", asked)
    yield opened
    context.close()
    assert not wrong, f"the page complained: {wrong}"
