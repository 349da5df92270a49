"""A backup takes the place of the store that the server has open: its streams start over."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from pyworkflow.backend.base import FEED_START, Backend
from pyworkflow.backend.cursors import place_of
from pyworkflow.manager import Manager
from pyworkflow.web.hub import Reset
from pyworkflow.web.streams import _texts
from tests.integration.test_restored import SQLiteStore, start
from tests.web.conftest import close
from tests.web.world import make_app

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Starlette]:
    with SQLiteStore(tmp_path).open() as backend:
        backend.register_workflow("w")
        app = make_app(Manager(backend))
        yield app
        close(app)


@pytest.mark.parametrize("since", ["live", "lost"])
def test_a_stream_starts_over(run: Run, app: Starlette, tmp_path: Path, since: str) -> None:
    store = SQLiteStore(tmp_path)
    hub = app.state.site.hub

    async def call(backend: Backend) -> list[str]:
        start(backend, "kept")
        store.backup()
        start(backend, "lost-1", "lost-2")
        pages = hub.entries(None if since == "live" else backend.feed_end(), None, 60)
        if since == "live":
            assert await anext(pages) == []
        store.restore()
        texts = _texts(pages, brief=True)
        found: list[str] = []
        started = False
        async for text in texts:
            found += [block for block in text.decode().split("\n\n") if "event: " in block]
            if found and not started:
                started = True
                start(backend, "new")
            if any('"new"' in block for block in found):
                break
        await texts.aclose()
        await pages.aclose()
        return found

    with store.open() as backend:
        first, *_, last = run(lambda: call(backend))

    assert first.splitlines()[1:] == ["event: reset", "data: {}"]
    assert place_of(first.splitlines()[0].removeprefix("id: ")) == 1
    assert json.loads(last.partition("data: ")[2])["process_id"] == "new"


def test_a_reset_is_for_every_listener_of_the_hub(run: Run, app: Starlette, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path)
    hub = app.state.site.hub

    async def call(backend: Backend) -> None:
        store.backup()
        start(backend, "lost")
        streams = [hub.entries(None, name, 60) for name in (None, "lost", "other")]
        for stream in streams:
            assert await anext(stream) == []
        store.restore()
        start(backend, "new")
        for stream in streams:
            assert isinstance(await anext(stream), Reset)
            await stream.aclose()

    with store.open() as backend:
        run(lambda: call(backend))


def test_a_stream_that_has_read_further_than_the_hub_starts_over(
    run: Run, app: Starlette, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(tmp_path)
    hub = app.state.site.hub
    # The hub hears of nothing before the backup is there again.
    monkeypatch.setattr(hub, "_follow", lambda: None)

    async def call(backend: Backend) -> None:
        store.backup()
        start(backend, "lost-1", "lost-2")
        pages = hub.entries(FEED_START, None, 0.01)
        assert await anext(pages) == []
        assert [entry.process_id for entry in await anext(pages)] == ["lost-1", "lost-2"]
        # It has read to the end, and waits for the hub.
        assert await anext(pages) == []
        store.restore()
        start(backend, "new")
        hub._hand_on(backend.feed())

        while not (news := await anext(pages)):
            pass
        assert isinstance(news, Reset)
        await pages.aclose()

    with store.open() as backend:
        run(lambda: call(backend))
