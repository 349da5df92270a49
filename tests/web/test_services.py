"""Services over HTTP: registering, sending events, looking at them, callbacks, pages."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from pyworkflow import Manager
from pyworkflow.backend.base import Definition
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.errors import UnsupportedByBackendError
from pyworkflow.services import Services
from pyworkflow.web import Limits, create_app
from pyworkflow.worker import Worker
from tests.services_kit import (
    LOOPBACK,
    STRING,
    SUNRISE,
    TEXT_WORKFLOW,
    TEXTS,
    Listener,
    listening,
    text_service,
)
from tests.web.conftest import close
from tests.web.test_api import get, post, refused
from tests.web.world import client, histories, make_tokens

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
CALLBACKS = "http://127.0.0.1:8765"


@pytest.fixture
def services(manager: Manager) -> Services:
    return Services(manager, LOOPBACK, callback_url=CALLBACKS)


@pytest.fixture
def app(manager: Manager, services: Services) -> Iterator[Starlette]:
    made = create_app(manager, services=services)
    yield made
    close(made)


@pytest.fixture
def listeners() -> Iterator[dict[str, Listener]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(listening(answer)) for name, answer in TEXTS.items()}


@pytest.fixture
def texts(run: Run, app: Starlette, listeners: dict[str, Listener]) -> dict[str, Listener]:
    """The seed's services and workflow, registered."""
    for name, listener in listeners.items():
        assert post(run, app, "/s", text_service(name, listener.address)).status_code == 201
    assert post(run, app, "/w", TEXT_WORKFLOW).status_code == 201
    return listeners


@pytest.fixture
def worker(manager: Manager, services: Services) -> Iterator[None]:
    services.install()
    works = Worker(manager, category="services", pool="asyncio")
    thread = threading.Thread(target=works.run)
    thread.start()
    yield
    works.stop()
    thread.join()


def delete(run: Run, app: Starlette, path: str) -> httpx2.Response:
    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.delete(path)

    answer: httpx2.Response = run(call)
    return answer


def defined(services: Services) -> list[Any]:
    return services.manager.backend.definitions()


# -- definitions -------------------------------------------------------------------------------------------------------------------


def test_a_service_is_registered_listed_shown_replaced_and_removed(
    run: Run, app: Starlette
) -> None:
    given = text_service("upper", "http://my-service:5000/")

    first = post(run, app, "/s", given)
    again = post(run, app, "/s", given)
    second = post(run, app, "/s", given | {"timeout": 5})

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.json()["service_id"] == "upper"
    assert first.json()["ack_date"].endswith("Z")
    assert datetime.fromisoformat(first.json()["ack_date"]).utcoffset() == timedelta(0)
    assert (first.json()["version"], second.json()["version"]) == (1, 2)
    shown = get(run, app, "/s/upper").json()
    assert shown["definition"] == given | {"timeout": 5}
    assert get(run, app, "/s").json() == {"services": [shown]}
    assert delete(run, app, "/s/upper").status_code == 200
    refused(get(run, app, "/s/upper"), 404)
    refused(delete(run, app, "/s/upper"), 404)
    assert get(run, app, "/s").json() == {"services": []}


def test_a_workflow_is_registered_listed_shown_drawn_and_removed(
    run: Run, app: Starlette, texts: dict[str, Listener]
) -> None:
    shown = get(run, app, "/w/process-text").json()

    assert shown["workflow_id"] == "process-text"
    names = [entry["name"] for entry in shown["definition"]["spec"]["services"]]
    assert names == ["upper", "reverse", "space-counter"]
    assert get(run, app, "/w").json() == {"workflows": [shown]}
    picture = get(run, app, "/w/process-text.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.text.startswith("<svg")
    assert picture.text.count("<rect") == 3
    told = refused(delete(run, app, "/s/upper"), 409)
    assert "process-text" in told
    assert delete(run, app, "/w/process-text").status_code == 200
    assert delete(run, app, "/s/upper").status_code == 200
    refused(get(run, app, "/w/process-text.svg"), 404)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/s", {}, "name"),
        ("/s", {"name": "a"}, "address"),
        ("/s", {"name": "a/b", "address": "http://a.org"}, "name"),
        ("/s", {"name": "a", "address": "http://a.org", "colour": 1}, "colour"),
        ("/s", {"name": "a", "address": "ftp://a.org"}, "address"),
        ("/s", {"name": "a", "address": "http://u:p@a.org"}, "address"),
        ("/s", {"name": "a", "address": "http://10.0.0.1"}, "address"),
        ("/s", {"name": "a", "address": "http://a.org", "timeout": "1"}, "timeout"),
        ("/s", {"name": "a", "address": "http://a.org", "retry": {"max_attempts": 0}}, "retry"),
        (
            "/s",
            {"name": "a", "address": "http://a.org", "spec": {"inputs": {"m": {}}}},
            "spec.inputs[...].type",
        ),
        (
            "/s",
            {"name": "a", "address": "http://a.org", "inputs": [{"name": "m", "type": "text"}]},
            "inputs[0].type",
        ),
        ("/w", {"name": "w"}, "services"),
        ("/w", {"name": "w", "services": []}, "services"),
        ("/w", {"name": "w", "spec": {}}, "spec.services"),
        ("/w", {"name": "w.svg", "services": ["upper"]}, "name"),
    ],
)
def test_a_definition_that_is_none_is_refused_by_field(
    run: Run, app: Starlette, services: Services, path: str, body: Any, field: str
) -> None:
    refused(post(run, app, path, body), 422, field)

    assert defined(services) == []


def test_a_workflow_of_services_that_are_not_there_is_a_conflict(
    run: Run, app: Starlette, services: Services
) -> None:
    told = refused(post(run, app, "/w", {"name": "w", "services": ["nobody"]}), 409)

    assert told == "service 'nobody' of workflow 'w' is not there"
    assert defined(services) == []


@pytest.mark.parametrize("path", ["/s", "/w", "/e/process-text"])
def test_what_is_no_json_object_is_refused(
    run: Run, app: Starlette, texts: dict[str, Listener], path: str
) -> None:
    given = {"Content-Type": "application/json"}
    for content in (b"", b"{", b'{"name": NaN}', b'{"name": "a", "name": "b"}', b"[" * 100_000):
        refused(post(run, app, path, content=content, headers=given), 400)
    refused(post(run, app, path, [1]), 422)
    refused(post(run, app, path, content=b" " * 1_048_577, headers=given), 413)
    plain = {"Content-Type": "text/plain"}
    refused(post(run, app, path, content=b"{}", headers=plain), 415, "Content-Type")


def test_other_methods_are_told_of(run: Run, app: Starlette) -> None:
    async def allowed(method: str, path: str) -> str:
        async with client(app) as http:
            answer = await http.request(method, path)
            assert answer.status_code == 405
            return answer.headers["Allow"]

    for method, path, there in (
        ("OPTIONS", "/s", "GET, HEAD, POST"),
        ("PUT", "/w/one", "DELETE, GET, HEAD"),
        ("OPTIONS", "/e/one", "GET, HEAD, POST"),
        ("HEAD", "/callbacks/x.y", "POST"),
    ):
        assert run(partial(allowed, method, path)) == there
    refused(delete(run, app, "/s"), 405)
    refused(delete(run, app, "/e/one"), 405)
    refused(post(run, app, "/s/one", {}), 405)
    refused(get(run, app, "/callbacks/x.y"), 405)
    refused(get(run, app, "/e"), 404)


def test_registering_needs_the_scope_admin(manager: Manager, run: Run) -> None:
    tokens, secrets = make_tokens(boss="admin", starter="start,read,work")
    app = create_app(manager, tokens=tokens, services=Services(manager, LOOPBACK))
    given = text_service("upper", "http://127.0.0.1:1/")

    async def call() -> None:
        async with client(app, secrets["starter"]) as http:
            for method, path in (
                ("POST", "/s"),
                ("POST", "/w"),
                ("DELETE", "/s/upper"),
                ("DELETE", "/w/upper"),
            ):
                answer = await http.request(method, path, json=given)
                assert answer.status_code == 403
            assert (await http.get("/s")).status_code == 200
        async with client(app, secrets["boss"]) as http:
            assert (await http.post("/s", json=given)).status_code == 201

    run(call)
    close(app)


# -- events ------------------------------------------------------------------------------------------------------------------------


def test_an_event_is_acknowledged_and_can_be_followed(
    run: Run, app: Starlette, texts: dict[str, Listener], manager: Manager
) -> None:
    answer = post(run, app, "/e/process-text", {"data": {"message": SUNRISE}})

    assert answer.status_code == 202
    ack = answer.json()
    assert set(ack) == {"event_id", "ack_date", "status"}
    assert ack["status"] == "open"
    assert datetime.fromisoformat(ack["ack_date"]).utcoffset() == timedelta(0)
    shown = get(run, app, f"/e/{ack['event_id']}").json()
    assert shown["workflow"] == "process-text"
    assert shown["ack_date"] == ack["ack_date"]
    assert [call["status"] for call in shown["services"]] == ["waiting"] * 3
    process = manager.process_by_id(ack["event_id"])
    assert process.tags == ("process-text",)
    picture = get(run, app, f"/e/{ack['event_id']}.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.text.count(">waiting<") == 3
    drawn = get(run, app, f"/processes/{ack['event_id']}/graph")
    assert drawn.text.count(">waiting<") == 3


def test_who_waits_gets_the_outputs(
    run: Run, app: Starlette, texts: dict[str, Listener], worker: None
) -> None:
    answer = post(run, app, "/e/process-text?wait=60", {"data": {"message": SUNRISE}})

    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "completed"
    outputs = {"message": "! GNINROM EHT NI ESIR LLIW NUS EHT", "space_count": 7}
    assert told["outputs"] == outputs
    shown = get(run, app, f"/e/{told['event_id']}").json()
    assert shown["outputs"] == outputs
    assert [call["status"] for call in shown["services"]] == ["completed"] * 3
    assert shown["services"][0]["outputs"] == {"message": SUNRISE.upper()}
    assert [len(listener.calls) for listener in texts.values()] == [1, 1, 1]


def test_an_event_that_fails_tells_which_service(run: Run, app: Starlette, worker: None) -> None:
    with listening((503, {})) as one:
        post(run, app, "/s", {"name": "one", "address": one.address})
        post(run, app, "/w", {"name": "single", "services": ["one"]})
        told = post(run, app, "/e/single?wait=60", {"data": {}}).json()

    assert told["status"] == "failed"
    assert told["reason"] == "step 'one' failed: service 'one' answered 503"
    assert "outputs" not in told


def test_who_waits_too_short_is_told_so(
    run: Run, app: Starlette, texts: dict[str, Listener]
) -> None:
    answer = post(run, app, "/e/process-text?wait=0.01", {"data": {"message": "a"}})

    assert answer.status_code == 202
    assert answer.json()["status"] == "open"


def test_an_event_is_acknowledged_though_nobody_more_may_wait(
    run: Run, manager: Manager, texts: dict[str, Listener]
) -> None:
    full = create_app(manager, services=Services(manager, LOOPBACK), limits=Limits(streams=0))

    answer = post(run, full, "/e/process-text?wait=9", {"data": {"message": "a"}})

    assert answer.status_code == 202
    assert answer.json()["status"] == "open"
    assert manager.process_by_id(answer.json()["event_id"]).is_open
    close(full)


def test_an_idempotency_key_is_one_event(
    run: Run, app: Starlette, texts: dict[str, Listener], manager: Manager
) -> None:
    key = {"Idempotency-Key": "order 7"}
    body = {"data": {"message": "a"}}
    before = len(manager.processes(status=None))

    first = post(run, app, "/e/process-text", body, headers=key)
    # Whatever is registered meanwhile.
    post(run, app, "/s", text_service("upper", texts["upper"].address, timeout=3))
    again = post(run, app, "/e/process-text", body, headers=key)
    other = post(run, app, "/e/process-text", {"data": {"message": "b"}}, headers=key)

    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    refused(other, 409)
    refused(post(run, app, "/e/process-text", body, headers={"Idempotency-Key": ""}), 422, "Idempotency-Key")  # fmt: skip
    assert len(manager.processes(status=None)) == before + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "data"),
        ({"data": {}}, "data.message"),
        ({"data": {"message": 1}}, "data.message"),
        ({"data": {"message": None}}, "data.message"),
        ({"data": {"message": "a\0b"}}, "data"),
        ({"data": [1]}, "data"),
        ({"data": {"message": "a"}, "more": 1}, "more"),
        ({"message": 1}, "data"),
        ({"text": "a"}, "data"),
        ({"message": "a\0b"}, "data"),
    ],
)
def test_an_event_that_does_not_match_is_refused_by_field(
    run: Run,
    app: Starlette,
    texts: dict[str, Listener],
    manager: Manager,
    body: Any,
    field: str,
) -> None:
    before = histories(manager)
    answer = post(run, app, "/e/process-text", body)

    refused(answer, 422, field)
    assert histories(manager) == before
    assert sum(listener.connections for listener in texts.values()) == 0


def test_data_without_its_envelope_is_taken_if_it_is_what_the_workflow_takes(
    run: Run, app: Starlette, texts: dict[str, Listener], manager: Manager
) -> None:
    assert post(run, app, "/w", {"name": "any", "services": ["upper"]}).status_code == 201
    answer = post(run, app, "/e/process-text", {"message": "a", "more": 1})

    assert answer.status_code == 202
    process = manager.process_by_id(answer.json()["event_id"])
    assert process.input["data"] == {"message": "a"}
    # Of a workflow that takes anything, this may be a mistake.
    refused(post(run, app, "/e/any", {"message": "a"}), 422, "data")


def test_what_is_not_there_is_not_found(run: Run, app: Starlette, manager: Manager) -> None:
    refused(post(run, app, "/e/nobody", {"data": {}}), 404)
    refused(get(run, app, "/e/nobody"), 404)
    refused(get(run, app, "/e/nobody.svg"), 404)
    # A process of another workflow is no event.
    refused(get(run, app, "/e/done"), 404)
    refused(get(run, app, "/w/nobody"), 404)


def test_events_that_come_together_are_recorded_together(
    run: Run, app: Starlette, texts: dict[str, Listener], manager: Manager
) -> None:
    async def call() -> list[int]:
        async with client(app) as http:
            data: list[dict[str, str]] = [{"message": "a"} if n % 3 else {} for n in range(60)]
            sent = [http.post("/e/process-text", json={"data": each}) for each in data]
            return [answer.status_code for answer in await asyncio.gather(*sent)]

    statuses = run(call)

    assert statuses == [202 if n % 3 else 422 for n in range(60)]
    assert len(manager.processes("services.event")) == 40


def test_a_burst_of_events_is_refused_instead_of_kept_waiting(
    run: Run, manager: Manager, texts: dict[str, Listener]
) -> None:
    small = create_app(
        manager, services=Services(manager, LOOPBACK), limits=Limits(threads=1, events=3)
    )
    pool = small.state.site.pool

    async def call() -> list[int]:
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()
        # The only thread is busy.
        held = asyncio.create_task(
            pool.run(lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
        )
        async with client(small) as http:
            body = {"data": {"message": "a"}}
            asked = [asyncio.create_task(http.post("/e/process-text", json=body)) for _ in range(9)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result().status_code for task in done} == {503}
            assert all(task.result().headers["Retry-After"] for task in done)
            gate.set()
            await held
            return [(await task).status_code for task in asked]

    statuses = run(call)

    assert set(statuses) == {202, 503}
    assert len(manager.processes("services.event")) == statuses.count(202) <= 4
    close(small)


# -- callbacks ---------------------------------------------------------------------------------------------------------------------


def test_a_service_calls_back_without_a_token_of_the_server(
    run: Run, manager: Manager, services: Services, worker: None
) -> None:
    tokens, secrets = make_tokens(boss="admin")
    app = create_app(manager, tokens=tokens, services=services)
    called = threading.Event()

    def answer(call: Any) -> Any:
        called.set()
        return 202, {}

    async def ask(method: str, path: str, body: Any, token: str | None) -> httpx2.Response:
        async with client(app, token) as http:
            return await http.request(method, path, json=body)

    with listening(answer) as slow:
        boss = secrets["boss"]
        spec = {"outputs": {"message": STRING}}
        given = {"name": "slow", "address": slow.address, "spec": spec}
        run(lambda: ask("POST", "/s", given, boss))
        run(lambda: ask("POST", "/w", {"name": "flow", "services": ["slow"]}, boss))
        sent = run(lambda: ask("POST", "/e/flow", {"data": {}}, boss)).json()
        assert called.wait(60)
        address = slow.calls[0].headers["callback-url"]
        assert address.startswith(f"{CALLBACKS}/callbacks/")
        path = address.removeprefix(CALLBACKS)

        for wrong in (path[:-2], path + "A", "/callbacks/x.y", "/callbacks/x"):
            refused(run(partial(ask, "POST", wrong, {"data": {}}, None)), 403)
        refused(run(lambda: ask("POST", path, {"data": {}}, None)), 422, "data.message")
        refused(run(lambda: ask("POST", path, {"data": {"message": 1}}, None)), 422, "data.message")
        refused(run(lambda: ask("POST", path, {}, None)), 422, "data")
        done = run(lambda: ask("POST", path, {"data": {"message": "late"}}, None))
        assert done.status_code == 200
        assert done.json() == {"action": "callback", "id": "slow"}
        refused(run(lambda: ask("POST", path, {"data": {"message": "late"}}, None)), 409)
    manager.wait_for_process(sent["event_id"], 60)
    shown = run(lambda: ask("GET", f"/e/{sent['event_id']}", None, boss)).json()
    assert shown["outputs"] == {"message": "late"}
    close(app)


# -- pages -------------------------------------------------------------------------------------------------------------------------


def test_the_pages_show_services_workflows_and_events(
    run: Run, app: Starlette, texts: dict[str, Listener]
) -> None:
    empty = get(run, app, "/services/process-text").text
    sent = post(run, app, "/e/process-text", {"data": {"message": "a"}}).json()

    both = get(run, app, "/services").text
    one = get(run, app, "/services/process-text").text

    for name, listener in texts.items():
        assert f"<b>{name}</b>" in both
        assert listener.address in both
    assert 'href="/services/process-text"' in both
    assert 'href="/services"' in get(run, app, "/").text
    assert "<svg" in one
    assert "No event was sent yet" in empty
    assert f'href="/processes/{sent["event_id"]}"' in one
    assert get(run, app, "/services/nobody").status_code == 404


def test_pages_escape_what_was_registered(run: Run, app: Starlette, services: Services) -> None:
    payload = "<img src=x onerror=alert(1)>\"'`"
    spec = {"inputs": {payload: {"type": "string", "description": payload}}}
    address = "http://example.org/?q='onerror='"
    assert (
        post(run, app, "/s", {"name": "one", "address": address, "spec": spec}).status_code == 201
    )
    flow = {"name": "flow", "spec": {"services": ["one"], **spec}}
    assert post(run, app, "/w", flow).status_code == 201

    for path in ("/services", "/services/flow", "/w/flow.svg"):
        page = get(run, app, path).text
        assert "<img src=x" not in page
        assert "'onerror='" not in page
    assert "&lt;img src=x" in get(run, app, "/services/flow").text


def test_a_workflow_that_lost_its_service_says_so(
    run: Run, app: Starlette, texts: dict[str, Listener], services: Services
) -> None:
    services.manager.backend.define("service", "upper", None)

    page = get(run, app, "/services/process-text").text

    assert "takes no events" in page
    refused(post(run, app, "/e/process-text", {"data": {"message": "a"}}), 409)


def test_a_backend_that_keeps_no_definitions_says_so(run: Run, manager: Manager) -> None:
    class Forgetful(Wrapper):
        def definitions(self, since: int = 0) -> list[Definition]:
            raise UnsupportedByBackendError("the forgetful backend has no definitions")

    app = create_app(Manager(Forgetful(manager.backend)))

    refused(get(run, app, "/s"), 501)
    refused(post(run, app, "/e/x", {"data": {}}), 501)
    assert get(run, app, "/services").status_code == 501
    close(app)
