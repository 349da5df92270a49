"""What the tests of the web door share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette

from pyworkflow import Manager
from pyworkflow.backend.sqlite import SQLiteBackend
from tests.web.browser import CHROMIUM
from tests.web.world import make_app, make_manager, populate

T = TypeVar("T")


# Not for the whole session: while it is there, its event loop is in the way of those of other tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Without its sandbox: root may have none, and only our own pages are loaded.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        made = make_manager(backend)
        populate(made)
        yield made


@pytest.fixture
def app(manager: Manager) -> Iterator[Starlette]:
    made = make_app(manager)
    yield made
    close(made)


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[T]]], T]:
    """Run a coroutine function to its end."""

    async def awaited(call: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(60):
            return await call()

    return lambda call: asyncio.run(awaited(call))


def close(app: Starlette) -> None:
    """End what the application's own threads do."""
    app.state.site.hub.close()
    app.state.site.hub.join()
    app.state.site.pool.close()
