"""The dashboard beside a running program: the archive example, with workers as OS processes on the same SQLite file."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.archive.workflow import CONFIRMED, ArchiveWorkflow
from pyworkflow import Manager, Process
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.process import Status
from pyworkflow.testing.clock import FakeClock
from tests.web.browser import in_browser, watched
from tests.web.served import served
from tests.web.world import park

pytestmark = in_browser

ROOT = Path(__file__).parents[2]


@contextmanager
def worker(database: Path, name: str) -> Iterator[None]:
    """Have a worker OS process of the example work until the end of the block."""
    command = [sys.executable, "-m", "examples.archive.worker", f"sqlite:///{database}", name]
    running = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder to archive, with two folders in it."""
    found = tmp_path / "notes"
    for name in ("a", "b"):
        (found / name).mkdir(parents=True)
        for n in range(4):
            (found / name / f"{n}.txt").write_text(f"{name}{n} " * 500)
    (found / "top.txt").write_text("top")
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def manager(database: Path) -> Iterator[Manager]:
    with SQLiteBackend(database) as backend:
        yield Manager(backend, [ArchiveWorkflow])


@pytest.fixture
def page(browser: Browser, manager: Manager, database: Path) -> Iterator[Page]:
    with served(database) as server, watched(browser, server.address) as opened:
        yield opened


def task(folder: Path, *, confirm: bool = True) -> dict[str, object]:
    return {"source": str(folder), "target": f"{folder}.gz", "confirm": confirm}


def test_an_archive_is_started_found_confirmed_and_watched_to_its_end(
    page: Page, manager: Manager, database: Path, folder: Path, tmp_path: Path
) -> None:
    page.goto("/")
    page.get_by_role("link", name="Start a process").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Workflow").fill("Archive")
    dialog.get_by_label("Id").fill("mine")
    dialog.get_by_label("Tags").fill("notes")
    dialog.get_by_label("Input").fill(json.dumps(task(folder)))
    dialog.get_by_role("button", name="Start the process").click()
    expect(page).to_have_url(re.compile("/processes/mine$"))
    expect(page.locator(".waits")).to_contain_text(
        "no live worker has workflow 'Archive' in category 'default'"
    )

    with worker(database, "archivist"):
        # Nobody reloads: scan, files and children come, until it waits for a confirmation.
        expect(page.locator(".waits")).to_contain_text("timer ask")
        expect(page.locator(".tree > li")).to_have_count(2)
        expect(page.locator(".tree")).to_contain_text("completed")
        expect(page.locator("#timeline svg")).to_contain_text("mine.1")
        page.screenshot(path=tmp_path / "waiting.png", full_page=True)

        page.get_by_role("navigation", name="Pages").get_by_text("Queues").click()
        expect(page.locator("[data-region=workers]")).to_contain_text("archivist")

        page.get_by_role("navigation", name="Pages").get_by_text("Processes").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_label("Tag").fill("notes")
        page.get_by_role("button", name="Filter").click()
        expect(page).to_have_url(re.compile("tag=notes"))
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="mine", exact=True).click()

        page.get_by_role("link", name="Signal").click()
        dialog.get_by_label("Name").fill(CONFIRMED)
        dialog.get_by_role("button", name="Signal").click()
        expect(page.locator("h1")).to_contain_text("completed")

    expect(page.locator("#live")).to_be_hidden()
    expect(page.locator("[data-region=payloads]")).to_contain_text("top.txt.gz")
    assert (Path(f"{folder}.gz") / "b" / "3.txt.gz").is_file()
    assert manager.process_by_id("mine").status is Status.COMPLETED
    page.screenshot(path=tmp_path / "completed.png", full_page=True)
    for name in ("waiting.png", "completed.png"):
        assert (tmp_path / name).stat().st_size > 10_000


def test_an_archive_that_nobody_wants_is_canceled(
    page: Page, manager: Manager, database: Path, folder: Path
) -> None:
    manager.start_process(Process(ArchiveWorkflow, "unwanted", task(folder)))
    with worker(database, "archivist"):
        page.goto("/processes/unwanted")
        expect(page.locator(".waits")).to_contain_text("timer ask")
        page.get_by_role("link", name="Cancel", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("wrong folder")
        dialog.get_by_role("button", name="Cancel the process").click()
        expect(page.locator("h1")).to_contain_text("canceled")
        expect(page.locator("[data-region=payloads]")).to_contain_text("wrong folder")
    page.goto("/?state=canceled")
    expect(page.get_by_role("link", name="unwanted")).to_be_visible()


def test_a_parked_archive_is_retried_and_completes(
    browser: Browser, database: Path, folder: Path
) -> None:
    clock = FakeClock()
    with SQLiteBackend(database, clock=clock) as backend:
        manager = Manager(backend, [ArchiveWorkflow])
        manager.start_process(Process(ArchiveWorkflow, "stuck", task(folder, confirm=False)))
        park(manager, clock)
    with (
        served(database) as server,
        worker(database, "archivist"),
        watched(browser, server.address) as page,
    ):
        page.goto("/")
        page.get_by_role("navigation", name="States").get_by_text("parked").click()
        page.get_by_role("link", name="stuck").click()
        expect(page.locator(".bad")).to_contain_text("KeyError: 'customer'")
        page.get_by_role("link", name="Retry").click()
        page.get_by_role("dialog").get_by_role("button", name="Retry the process").click()
        # The worker that was there all the time decides it at once.
        expect(page.locator("h1")).to_contain_text("completed")
        expect(page.locator("[data-region=payloads]")).to_contain_text("top.txt.gz")
