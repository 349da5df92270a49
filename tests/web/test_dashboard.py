"""The dashboard in a real Chromium, against a real server: filters, live pages, actions, hostile texts, large histories."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pyworkflow import Manager, Process, Signal
from pyworkflow import graph as pyflow
from pyworkflow.backend.base import Poll
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import (
    CompleteProcess,
    FailProcess,
    RecordMarker,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.graph.model import ActivityWork, SignalWork
from pyworkflow.graph.shape import shape_of
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.services import Services, Wanted
from pyworkflow.services.definition import SERVICE, WORKFLOW
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.web.pages.render import segment
from tests.web.browser import in_browser, watched
from tests.web.served import Served, served
from tests.web.world import Invoice, Order, decide, make_manager, park, populate

pytestmark = in_browser

HOSTILE = (
    "<script>window.__xss=1</script>",
    "<img src=x onerror=window.__xss=1>",
    '"><svg onload=window.__xss=1>',
    "'-alert(1)-'",
    "{{7*7}}${7*7}",
    "javascript:window.__xss=1",
    "</textarea></pre><iframe srcdoc='<script>parent.__xss=1</script>'>",
    "&lt;b onclick=window.__xss=1&gt;",
    "</script><script>window.__xss=1</script>",
    "</title><script>window.__xss=1</script>",
    "</style><script>window.__xss=1</script>",
    "<!--><img src=x onerror=window.__xss=1>-->",
    "<![CDATA[><script>window.__xss=1</script>]]>",
    "' onfocus=window.__xss=1 autofocus '",
    '" onmouseover="window.__xss=1" x="',
    "` onclick=window.__xss=1 `",
    "<a href=javascript:window.__xss=1>x</a>",
    "<a xlink:href=javascript:window.__xss=1>x</a>",
    "<math><mtext></mtext><script>window.__xss=1</script></math>",
    "<svg><animate onbegin=window.__xss=1 attributeName=x>",
    "<svg><foreignObject><iframe srcdoc=x></iframe></foreignObject></svg>",
    "<details open ontoggle=window.__xss=1>",
    "<video><source onerror=window.__xss=1></video>",
    "<base href=//evil.test>",
    "<meta http-equiv=refresh content=0;url=//evil.test>",
    "<link rel=stylesheet href=//evil.test>",
    "<form action=//evil.test><button>x</button></form>",
    "<style>*{background:url(//evil.test)}</style>",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "\u2028window.__xss=1\u2029",
)
"""Texts that are code to whoever takes them for more than text."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        yield make_manager(backend)


@pytest.fixture
def server(manager: Manager, tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "x.db") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    with watched(browser, server.address) as opened:
        yield opened


def test_filters_live_in_the_address(page: Page, manager: Manager) -> None:
    populate(manager)
    page.goto("/")
    page.get_by_label("Workflow").fill("order")
    page.get_by_label("Tag").fill("eu")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("workflow=order&tag=eu"))
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("navigation", name="States").get_by_role("link", name="failed").click()
    expect(page).to_have_url(re.compile("workflow=order.*state=failed"))
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Tag")).to_have_value("eu")
    page.get_by_role("link", name="broken").click()
    expect(page.locator(".trace").first).to_contain_text("ValueError: no money")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_process_is_watched_to_its_end(page: Page, manager: Manager) -> None:
    manager.start_process(Process(Order, "one", {"n": 1}))
    page.goto("/processes/one")
    expect(page.locator("h1")).to_contain_text("open")
    expect(page.locator("#live")).to_be_visible()

    decide(manager, ScheduleActivity("charge", id="c1"))
    expect(page.locator(".waits")).to_contain_text("charge")
    expect(page.locator("#timeline svg")).to_contain_text("charge")
    task = manager.next_activity("worker-7")
    assert task is not None
    expect(page.locator(".waits")).to_contain_text("worker-7")
    manager.complete_task(task, ActivityCompleted("paid"))
    decide(manager, CompleteProcess({"total": 42}))

    expect(page.locator("h1")).to_contain_text("completed")
    expect(page.locator("#live")).to_be_hidden()
    expect(page.locator("[data-region=payloads]")).to_contain_text('"total": 42')
    expect(page.locator(".row").last).to_contain_text("complete process")


def test_the_graph_of_a_process_is_live(
    page: Page, browser: Browser, server: Served, manager: Manager
) -> None:
    graph = pyflow.Workflow("Parcel")
    pack = graph.add(pyflow.ActivityTask("pack", "charge", depends_on=[graph.start_task]))
    graph.add(pyflow.ActivityTask("send", "charge", depends_on=[pack]))
    program = Manager(manager.backend, graph.workflows())

    def decide_graph() -> None:
        task = program.backend.poll_decision_task(identity="d")
        assert task is not None
        decisions = program.workflow_for_task(task).decide(task.process)
        program.complete_task(task, decisions)

    program.start_process(Process("Parcel", "p1"))
    decide_graph()
    page.goto("/processes/p1")
    pack_box = page.locator(".graph a").filter(has_text="pack")
    expect(page.locator(".graph .s-running")).to_contain_text("pack")
    expect(page.locator(".graph .s-waiting")).to_contain_text("send")
    pack_box.focus()
    page.get_by_text("The steps in words").click()

    task = program.backend.poll_activity_task(identity="w")
    assert task is not None
    program.complete_task(task, ActivityCompleted("packed"))
    decide_graph()

    # What was unfolded stays so while the picture and the words are put in place of the old ones.
    expect(page.locator(".graph .s-completed")).to_contain_text(["start", "pack"])
    expect(page.locator(".graph .s-running")).to_contain_text("send")
    expect(page.locator("[data-region=steps] li").nth(1)).to_contain_text("completed")
    expect(page.locator("[data-region=steps] details")).to_have_attribute("open", "")
    # Each state has a colour of its own, in light and dark, and is written in its box as well.
    for scheme in ("light", "dark"):
        with watched(browser, server.address, color_scheme=scheme) as other:
            other.goto("/processes/p1")
            lines = other.eval_on_selector_all(
                ".graph .step rect", "all => all.map(rect => getComputedStyle(rect).stroke)"
            )
            assert len(lines) == 3
            assert lines[0] == lines[1] != lines[2]
    # From the keyboard, a step leads to its event.
    pack_box.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#e3$"))
    expect(page.locator("#e3")).to_have_attribute("open", "")
    expect(page.locator("#e3 pre")).to_contain_text("pack#1.1")


def test_new_processes_come_into_the_list_by_themselves(page: Page, manager: Manager) -> None:
    page.goto("/")
    expect(page.locator(".empty")).to_be_visible()

    manager.start_process(Process(Order, "fresh"))

    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="fresh")).to_be_visible()


def test_a_process_is_started_signaled_and_canceled(page: Page, manager: Manager) -> None:
    page.goto("/")
    page.get_by_role("link", name="Start a process").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Workflow").fill("order")
    dialog.get_by_label("Id").fill("mine")
    dialog.get_by_label("Input").fill('{"n": 1}')
    dialog.get_by_role("button", name="Start the process").click()
    expect(page).to_have_url(re.compile("/processes/mine$"))
    page.get_by_role("link", name="Signal").click()
    dialog.get_by_label("Name").fill("hurry")
    dialog.get_by_label("Data").fill("[1, 2]")
    dialog.get_by_role("button", name="Signal").click()
    expect(page.locator(".rows")).to_contain_text("hurry")
    assert manager.process_by_id("mine").input == {"n": 1}
    [told] = [e.signal for e in manager.history("mine") if e.type == "signal"]  # type: ignore[attr-defined]
    assert (told.name, told.data) == ("hurry", [1, 2])
    page.get_by_role("link", name="Cancel", exact=True).click()
    page.get_by_role("link", name="Not now").click()
    expect(dialog).to_be_hidden()
    assert manager.process_by_id("mine").is_open
    page.get_by_role("link", name="Cancel", exact=True).click()
    dialog.get_by_role("button", name="Cancel the process").click()
    expect(page.locator("h1")).to_contain_text("canceled")
    assert not manager.process_by_id("mine").is_open


def test_wrong_input_is_told_beside_the_form(page: Page, manager: Manager) -> None:
    page.goto("/start?workflow=order")
    page.get_by_label("Input").fill("{")
    page.get_by_role("button", name="Start the process").click()
    expect(page.get_by_role("alert")).to_contain_text("input: it is no JSON")
    expect(page.get_by_label("Input")).to_have_value("{")
    assert manager.processes(status=None) == []


def test_a_parked_process_is_retried(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "y.db"
    clock = FakeClock()
    with SQLiteBackend(path, clock=clock) as backend:
        manager = make_manager(backend)
        manager.start_process(Process(Order, "stuck"))
        park(manager, clock)
    with served(path) as server, SQLiteBackend(path) as backend:
        page = browser.new_page(base_url=server.address)
        page.goto("/?state=parked")
        page.get_by_role("link", name="stuck").click()
        expect(page.locator(".bad")).to_contain_text("KeyError: 'customer'")
        page.get_by_role("link", name="Retry").click()
        page.get_by_role("dialog").get_by_role("button", name="Retry the process").click()
        expect(page.locator("h1")).to_contain_text("open")
        assert not backend.process_by_id("stuck").parked
        page.close()


def test_everything_is_reached_with_the_keyboard(page: Page, manager: Manager) -> None:
    populate(manager)
    page.goto("/")
    page.keyboard.press("/")
    expect(page.get_by_label("Go to id")).to_be_focused()
    page.keyboard.type("done")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/processes/done$"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".row[open] pre")).to_be_visible()
    page.locator("#timeline").focus()
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("g")
    expect(page.get_by_role("heading", name="Processes")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()


def test_children_are_a_tree(page: Page, manager: Manager) -> None:
    manager.start_process(Process(Order, "root"))
    decide(manager, StartChildProcess(Process(Invoice, id="kid")))
    decide(manager, StartChildProcess(Process(Invoice, id="grandkid")))
    page.goto("/processes/root")
    page.locator(".tree summary").first.click(position={"x": 4, "y": 10})
    expect(page.locator(".tree .tree")).to_contain_text("grandkid")
    page.locator(".tree .tree a").click()
    expect(page.locator(".crumbs")).to_contain_text("kid")


def test_hostile_texts_are_only_texts(page: Page, manager: Manager) -> None:
    names: list[str] = []
    for number, text in enumerate(HOSTILE):
        name = text.translate(dict.fromkeys(map(ord, "/:|\u2028\u2029")))
        names.append(name)
        step = pyflow.Step(name=name, work=SignalWork(signal=name), title=text)
        after = pyflow.Step(
            name="x", work=ActivityWork(activity=name), depends_on=(name,), title=text
        )
        manager.backend.register_workflow(
            name, name, graph=shape_of(pyflow.Graph(text, [step, after]))
        )
        manager.backend.register_activity(name, name)
        given = {text: [text]}
        manager.start_process(Process(name, name, given, [text]))
        task = manager.backend.poll_decision_task(name, text)
        assert task is not None
        kid = Process(name, f"kid{number}{name}", given)
        decisions = [
            ScheduleActivity(name, id=name, input=given),
            StartChildProcess(kid),
            Timer(60, given, name),
            RecordMarker(name, given),
        ]
        manager.complete_task(task, decisions)
        work = manager.backend.poll_activity_task(name, text)
        assert work is not None
        manager.heartbeat(work, given)
        manager.complete_task(work, ActivityFailed(text, f"Traceback\n{text}"))
        manager.signal_process(name, Signal(name, given))
        if number % 3 == 0:
            manager.terminate_process(name, text, given)
        elif number % 3 == 1:
            while (task := manager.backend.poll_decision_task(name, text)) is not None:
                close = task.process.id == name
                manager.complete_task(task, FailProcess(text, f"x\n{text}") if close else [])
        else:
            task = manager.backend.poll_decision_task(name, text)
            assert task is not None
            manager.backend.fail_decision_task(task, text, f"Traceback\n{text}")
    page.goto("/")
    page.goto("/?limit=200")
    addresses = page.eval_on_selector_all("tbody a[data-row]", "links => links.map(a => a.href)")
    assert len(addresses) == 2 * len(HOSTILE)
    own = [address for address in addresses if "/processes/kid" not in address]
    for address in ["/", "/queues", "/workflows", "/start", *own]:
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(part => (part.open = true))")
        waits = page.locator(".row .fetched, .tree .fetched").filter(
            has_not=page.locator("pre, ul, p")
        )
        expect(waits).to_have_count(0)
        if "/processes/" in address:
            page.wait_for_selector("#timeline[data-drawn]")
            assert page.locator(".graph svg a, .graph svg .step").count() == 2
        assert page.evaluate("window.__xss") is None
        assert page.locator("iframe, object, embed, main script, main img").count() == 0
    for name in names[:8]:
        page.goto("/?workflow=" + page.evaluate("encodeURIComponent", name))
        assert page.locator("tbody tr").count() >= 1
        assert page.get_by_label("Workflow").input_value() == name


def test_hostile_definitions_are_only_texts(page: Page, manager: Manager) -> None:
    services = Services(manager)
    names = [text.translate(dict.fromkeys(map(ord, "/:|\u2028\u2029"))) for text in HOSTILE]
    for name, text in zip(names, HOSTILE, strict=True):
        # Past the rules for names and addresses, as by somebody who writes to the store.
        parameters = {text: {"type": "string", "description": text}}
        spec = {"inputs": parameters, "outputs": parameters}
        service = {"name": name, "address": text, "spec": spec}
        manager.backend.define(SERVICE, name, service)
        call = {"name": name, "service": name}
        flow = {"name": name, "spec": {**spec, "services": [call], "operations": {text: text}}}
        manager.backend.define(WORKFLOW, name, flow)
        gone = {"name": f"gone {name}", "spec": {"services": [call | {"service": f"no {name}"}]}}
        manager.backend.define(WORKFLOW, f"gone {name}", gone)
        [event] = services.send([Wanted(name, {text: text}, f"event {name}")])
        assert isinstance(event, Process)

    page.goto("/services")
    links = page.eval_on_selector_all("tbody a[data-row]", "links => links.map(a => a.href)")
    assert len(links) == 2 * len(HOSTILE)
    for address in ["/services", *links]:
        page.goto(address)
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("window.__xss") is None
        assert page.locator("iframe, object, embed, main script, main img").count() == 0
    for name in names:
        page.goto(f"/services/{segment(name)}")
        assert page.locator(".card svg rect").count() == 1
        expect(page.locator("tbody a[data-row]")).to_have_text(f"event {name}")


def large(manager: Manager) -> int:
    """Make a process with more than 10,000 events."""
    backend = manager.backend
    manager.start_process(Process(Order, "large"))
    names = [f"a{n}" for n in range(3400)]
    decide(manager, *(ScheduleActivity("charge", id=name) for name in names))
    done = 0
    while done < len(names):
        tasks = backend.turn(polls=[Poll(ActivityTask, limit=200, identity="w")]).tasks
        assert tasks
        for number, task in enumerate(tasks):
            assert isinstance(task, ActivityTask)
            failed = number % 50 == 7
            result = ActivityFailed("no") if failed else ActivityCompleted(done)
            manager.complete_task(task, result)
        done += len(tasks)
    return len(manager.history("large"))


def transferred(page: Page) -> int:
    """Return the bytes that a page and all that it brings along took."""
    sizes: list[int] = page.evaluate(
        "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind)).map(e => e.encodedBodySize)"
    )
    assert len(sizes) >= 4
    return sum(sizes)


@pytest.mark.slow
def test_ten_thousand_events_are_drawn_and_looked_through(page: Page, manager: Manager) -> None:
    assert large(manager) > 10_000
    page.goto("/processes/large")
    page.wait_for_selector("#timeline[data-drawn]")
    # All in one row, until it is unfolded; then only those in view are drawn.
    assert page.locator("#timeline").get_attribute("data-drawn") == "1"
    page.locator("#timeline text.group").click()
    expect(page.locator("#timeline")).to_have_attribute("data-drawn", "3401")
    assert page.locator("#timeline svg *").count() < 600
    page.locator("#timeline").evaluate("box => box.scrollTop = box.scrollHeight")
    expect(page.locator("#timeline svg")).to_contain_text("a3399")
    assert page.locator(".row").count() <= 100
    page.get_by_role("link", name="Last").click()
    expect(page.locator(".row").last.locator(".title")).to_contain_text("activity")
    assert transferred(page) < 200_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_in_light_and_dark(
    browser: Browser, server: Served, manager: Manager, scheme: Any
) -> None:
    populate(manager)
    context = browser.new_context(
        base_url=server.address, viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    page = context.new_page()
    for address in ("/", "/queues", "/workflows", "/start", "/processes/done", "/processes/broken"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 27)"
        assert dark is (scheme == "dark")
    context.close()


def test_pages_are_small_and_bring_everything_along(page: Page, manager: Manager) -> None:
    populate(manager)
    for n in range(60):
        manager.start_process(Process(Order, f"p{n}", tags=["some tag"]))
    for address in ("/", "/processes/done"):
        page.goto(address, wait_until="load")
        expect(page.locator("#live, #timeline[data-drawn]").first).to_be_attached()
        assert 10_000 < transferred(page) < 200_000, address
