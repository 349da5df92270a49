"""The JSON API, through the application itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from pyworkflow import Manager, Process, Status
from pyworkflow.backend.base import FEED_START, FeedEntry
from pyworkflow.backend.cursors import place_of
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess, ContinueProcess, ScheduleActivity
from pyworkflow.testing.clock import FakeClock
from pyworkflow.web.limits import Limits
from tests.web.conftest import close
from tests.web.world import HOST, Order, client, decide, histories, make_app, make_manager, park

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def get(run: Run, app: Starlette, path: str, **more: Any) -> httpx2.Response:
    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.get(path, **more)

    answer: httpx2.Response = run(call)
    return answer


def post(run: Run, app: Starlette, path: str, body: Any = None, **more: Any) -> httpx2.Response:
    given = {"json": body} if "content" not in more else {}

    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.post(path, **given, **more)

    answer: httpx2.Response = run(call)
    return answer


def refused(answer: httpx2.Response, status: int, field: str | None = None) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told.get("field") == field
    return str(told["detail"])


# -- starting ----------------------------------------------------------------------------------------------------------------------


def test_a_process_is_started_and_shown(run: Run, app: Starlette, manager: Manager) -> None:
    body = {"workflow": "order", "id": "new", "input": {"n": 0}, "tags": ["t"]}

    answer = post(run, app, "/api/processes", body)

    assert answer.status_code == 201
    assert answer.json() == {"id": "new", "workflow": "order"}
    shown = get(run, app, "/api/processes/new").json()
    assert shown["input"] == {"n": 0}
    assert shown["tags"] == ["t"]
    assert shown["status"] == "open"
    assert [w["kind"] for w in shown["pending"]] == ["decision"]
    assert manager.process_by_id("new").input == {"n": 0}


def test_an_idempotency_key_starts_one_process(run: Run, app: Starlette, manager: Manager) -> None:
    key = {"Idempotency-Key": "order 7/8"}
    before = len(manager.processes(status=None))
    body = {"workflow": "order", "input": [1]}

    first, again = (post(run, app, "/api/processes", body, headers=key) for _ in range(2))
    other = post(run, app, "/api/processes", body | {"input": [2]}, headers=key)
    both = post(run, app, "/api/processes", body | {"id": "x"}, headers=key)

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    refused(other, 409)
    refused(both, 422, "Idempotency-Key")
    assert len(manager.processes(status=None)) == before + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "workflow"),
        ({"workflow": 1}, "workflow"),
        ({"workflow": ""}, "workflow"),
        ({"workflow": "nobody"}, "workflow"),
        ({"workflow": "order", "id": "a:b"}, "id"),
        ({"workflow": "order", "id": "x" * 257}, "id"),
        ({"workflow": "order", "tags": "t"}, "tags"),
        ({"workflow": "order", "tags": ["a", 2]}, "tags[1]"),
        ({"workflow": "order", "tags": ["a", "b", "c", "d", "e", "f"]}, "tags"),
        ({"workflow": "order", "tags": ["a\x01"]}, "tags"),
        ({"workflow": "order", "reuse": "perhaps"}, "reuse"),
        ({"workflow": "order", "input": "\0"}, "input"),
        ({"workflow": "order", "input": 2**63}, "input"),
        ({"workflow": "order", "colour": "red"}, "colour"),
        ([], None),
    ],
)
def test_what_cannot_be_started_is_refused_by_field(
    run: Run, app: Starlette, manager: Manager, body: Any, field: str | None
) -> None:
    before = histories(manager)

    refused(post(run, app, "/api/processes", body), 422, field)

    assert histories(manager) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"workflow": NaN}',
        b'{"workflow": Infinity}',
        b'{"workflow": "order", "workflow": "order"}',
        b'{"workflow": "\xff"}',
        b"[" * 100_000,
        b'{"workflow": "order", "input": ' + b"1" * 5000 + b"}",
    ],
    ids=["empty", "cut", "nan", "infinity", "twice", "no utf-8", "deep", "long number"],
)
def test_what_is_no_json_is_a_bad_request(run: Run, app: Starlette, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    refused(post(run, app, "/api/processes", content=content, headers=headers), 400)


def test_a_deep_or_escaped_payload_is_refused_by_field(run: Run, app: Starlette) -> None:
    headers = {"Content-Type": "application/json"}
    for payload in ("[" * 101 + "]" * 101, '"\\ud800"'):
        content = b'{"workflow": "order", "input": ' + payload.encode() + b"}"
        refused(post(run, app, "/api/processes", content=content, headers=headers), 422, "input")
    deepest = b'{"workflow": "order", "input": ' + b"[" * 100 + b"]" * 100 + b"}"
    assert post(run, app, "/api/processes", content=deepest, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {},
    ],
)
def test_another_type_of_body_is_refused(run: Run, app: Starlette, headers: dict[str, str]) -> None:
    answer = post(run, app, "/api/processes", content=b'{"workflow": "order"}', headers=headers)

    refused(answer, 415, "Content-Type")


def test_a_compressed_body_is_refused(run: Run, app: Starlette) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    refused(
        post(run, app, "/api/processes", content=b"x", headers=headers), 415, "Content-Encoding"
    )


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(run: Run, manager: Manager) -> None:
    app = make_app(manager, body=1000)
    headers = {"Content-Type": "application/json"}
    begin, end = b'{"workflow": "order", "input": "', b'"}'
    fits = begin + b"x" * (1000 - len(begin) - len(end)) + end

    assert post(run, app, "/api/processes", content=fits, headers=headers).status_code == 201
    before = histories(manager)
    refused(post(run, app, "/api/processes", content=fits + b" ", headers=headers), 413)

    async def chunked() -> httpx2.Response:
        async def parts() -> Any:
            for _ in range(20):
                yield b" " * 100

        async with client(app) as http:
            return await http.post("/api/processes", content=parts(), headers=headers)

    refused(run(chunked), 413)
    assert histories(manager) == before
    close(app)


# -- looking -----------------------------------------------------------------------------------------------------------------------


def test_the_list_comes_in_pages_of_every_filter(
    run: Run, app: Starlette, manager: Manager
) -> None:
    for n in range(7):
        manager.start_process(Process(Order, f"p{n}", tags=["odd" if n % 2 else "even"]))
    names: list[str] = []
    after = ""
    while True:
        page = get(run, app, f"/api/processes?limit=3&status=open&workflow=order{after}").json()
        names += [p["id"] for p in page["processes"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    wanted = [p.id for p in manager.processes("order")]
    assert names == wanted[::-1]
    assert "input" not in page["processes"][0]
    odd = get(run, app, "/api/processes?tag=odd&order=oldest").json()["processes"]
    assert [p["id"] for p in odd] == ["p1", "p3", "p5"]
    failed = get(run, app, "/api/processes?status=failed").json()["processes"]
    assert [p["id"] for p in failed] == ["broken"]
    assert get(run, app, "/api/processes?parked=true").json() == {"processes": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("status=odd", "status"),
        ("after=x", "after"),
        ("after=gone:1", "after"),
        (f"after=x:{'9' * 30}", "after"),
        ("order=up", "order"),
        ("colour=red", "colour"),
        ("tag=a&tag=b", "tag"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(
    run: Run, app: Starlette, query: str, field: str
) -> None:
    refused(get(run, app, f"/api/processes?{query}"), 422, field)


def test_text_in_a_filter_is_only_text(run: Run, app: Starlette) -> None:
    for text in ("' or 1=1 --", '"; drop table process; --', "%", "_", "\0", "*"):
        for name in ("workflow", "tag"):
            answer = get(run, app, "/api/processes", params={name: text})
            assert answer.json()["processes"] == []


@pytest.mark.parametrize(
    "name", ["nobody", "done:7", f"done:{'9' * 40}", "a:b:c", "%00", "x" * 400]
)
@pytest.mark.parametrize("part", ["", "/history", "/wait"])
def test_an_unknown_process_is_not_found(run: Run, app: Starlette, name: str, part: str) -> None:
    refused(get(run, app, f"/api/processes/{name}{part}"), 404)


def test_a_history_comes_in_pages(run: Run, app: Starlette, manager: Manager) -> None:
    events: list[Any] = []
    since: int | None = 0
    while since is not None:
        page = get(run, app, f"/api/processes/done/history?limit=4&since={since}").json()
        events += page["events"]
        since = page["next"]

    whole = manager.history("done")
    assert [e["type"] for e in events] == [e.type for e in whole]
    assert [e["seq"] for e in events] == list(range(1, len(whole) + 1))
    assert next(e for e in events if e["type"] == "activity")["result"] == {
        "type": "completed",
        "result": {"charged": 12},
    }


def test_an_earlier_run_is_shown_by_its_number(run: Run, app: Starlette, manager: Manager) -> None:
    manager.start_process(Process(Order, "again", 1))
    decide(manager, ContinueProcess(2))

    assert get(run, app, "/api/processes/again").json()["input"] == 2
    assert get(run, app, "/api/processes/again:1").json()["status"] == "continued"


def test_types_queues_and_workers_are_told(run: Run, app: Starlette, manager: Manager) -> None:
    manager.start_process(Process(Order, "queued"))

    assert [w["name"] for w in get(run, app, "/api/workflows").json()] == ["invoice", "order"]
    assert [a["name"] for a in get(run, app, "/api/activities").json()] == ["charge"]
    [queue] = [q for q in get(run, app, "/api/categories").json() if q["kind"] == "decision"]
    assert queue["waiting"] == 1
    assert queue["age"] >= 0
    workers = {w["identity"]: w for w in get(run, app, "/api/workers").json()}
    assert set(workers) == {"decider-1", "worker-1"}
    assert workers["worker-1"]["polls"][0]["category"] == "default"
    assert workers["worker-1"]["polls"][0]["names"] == ["charge"]


def test_what_no_live_worker_has_is_told(run: Run, app: Starlette, manager: Manager) -> None:
    backend = manager.backend
    backend.register_activity("ship")
    manager.start_process(Process(Order, "lonely"))
    while (task := manager.next_decision("decider-1")) is not None:
        ships = [ScheduleActivity("ship")] if task.process.id == "lonely" else []
        manager.complete_task(task, ships)
    words = "no live worker has activity 'ship' in category 'default'"

    [pending] = get(run, app, "/api/processes/lonely").json()["pending"]
    queues = {queue["kind"]: queue for queue in get(run, app, "/api/categories").json()}

    assert (pending["unclaimed"], queues["activity"]["unclaimed"]) == (words, ["ship"])
    assert words in get(run, app, "/processes/lonely").text.replace("&#39;", "'")
    page = get(run, app, "/queues").text
    assert "no live worker has activity ship" in page
    assert "charge" in page


def test_metrics_are_in_the_form_of_prometheus(run: Run, app: Starlette) -> None:
    get(run, app, "/api/processes/nobody")

    answer = get(run, app, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    route = 'method="GET",route="/api/processes/{id}",status="404"'
    assert samples[f"pyworkflow_http_requests_total{{{route}}}"] == "1"
    assert samples["pyworkflow_workers"] == "2"
    assert 'pyworkflow_tasks{kind="decision",category="default",state="waiting"}' in samples
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert all(name.partition("{")[0].startswith("pyworkflow_") for name in samples)
    assert len(names) == sum(line.startswith("# HELP") for line in lines)


def test_health_is_told(run: Run, app: Starlette, manager: Manager) -> None:
    assert get(run, app, "/health").json() == {"status": "ok", "backend": manager.backend.name}
    manager.backend.close()

    answer = get(run, app, "/health")

    assert "cannot be used" in refused(answer, 503)
    assert answer.headers["retry-after"] == "1"


# -- moving ------------------------------------------------------------------------------------------------------------------------


def test_a_signal_is_told_once_under_its_id(run: Run, app: Starlette, manager: Manager) -> None:
    for _ in range(2):
        body = {"name": "hurry", "data": 0, "id": "one"}
        assert post(run, app, "/api/processes/waiting/signal", body).status_code == 200
    for _ in range(2):
        key = {"Idempotency-Key": "two"}
        post(run, app, "/api/processes/waiting/signal", {"name": "hurry"}, headers=key)

    told = [e.signal for e in manager.history("waiting") if e.type == "signal"]  # type: ignore[attr-defined]
    assert [(s.name, s.data, s.id) for s in told] == [("hurry", 0, "one"), ("hurry", {}, "two")]


def test_a_process_is_canceled_terminated_retried(
    run: Run, app: Starlette, manager: Manager
) -> None:
    manager.start_process(Process(Order, "other"))

    assert post(run, app, "/api/processes/waiting/cancel", {"details": "why"}).status_code == 200
    assert post(run, app, "/api/processes/other/terminate", {"reason": "no"}).status_code == 200

    assert manager.process_by_id("waiting").status is Status.CANCELED
    assert manager.process_by_id("other").status is Status.TERMINATED
    for action, body in (
        ("signal", {"name": "x"}),
        ("cancel", {}),
        ("terminate", {}),
        ("retry", {}),
    ):
        refused(post(run, app, f"/api/processes/done/{action}", body), 409)
        refused(post(run, app, f"/api/processes/nobody/{action}", body), 404)


def test_a_parked_process_is_retried(run: Run) -> None:
    clock = FakeClock()
    manager = make_manager(MemoryBackend(clock=clock))
    manager.start_process(Process(Order, "stuck"))
    park(manager, clock)
    app = make_app(manager)
    [found] = get(run, app, "/api/processes?parked=true").json()["processes"]
    assert found["parked"] == "KeyError: 'customer'"

    assert post(run, app, "/api/processes/stuck/retry", {}).status_code == 200

    assert not manager.process_by_id("stuck").parked
    close(app)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_method_is_not_allowed(run: Run, app: Starlette, method: str) -> None:
    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.request(method, "/api/processes/done")

    refused(run(call), 405)


def test_what_is_not_there_is_not_found(run: Run, app: Starlette) -> None:
    for path in ("/api", "/api/", "/api/nothing", "/api/processes/", "/api/processes/a/b"):
        refused(get(run, app, path), 404)


# -- waiting and listening -----------------------------------------------------------------------------------------------------------


def test_waiting_ends_with_the_process(run: Run, app: Starlette, manager: Manager) -> None:
    manager.start_process(Process(Order, "soon"))

    async def call() -> httpx2.Response:
        async with client(app) as http:
            waits = asyncio.create_task(http.get("/api/processes/soon/wait?timeout=50"))
            while not app.state.site.hub.listening:
                await asyncio.sleep(0)
            await asyncio.to_thread(decide, manager, CompleteProcess("done"))
            return await waits

    answer = run(call).json()
    assert answer["status"] == "completed"
    assert answer["result"] == {"type": "completed", "result": "done"}
    assert app.state.site.hub.listening == 0


def test_waiting_ends_with_the_time(run: Run, app: Starlette) -> None:
    assert get(run, app, "/api/processes/waiting/wait?timeout=0").json()["status"] == "open"
    refused(get(run, app, "/api/processes/waiting/wait?timeout=61"), 422, "timeout")


def test_many_waits_do_not_use_up_the_threads(run: Run, manager: Manager) -> None:
    app = make_app(manager, threads=2, queued=4, streams=40)

    async def call() -> tuple[int, int, list[int]]:
        async with client(app) as http:
            path = "/api/processes/waiting/wait?timeout=50"
            waits = []
            for n in range(40):
                waits.append(asyncio.create_task(http.get(path)))
                while app.state.site.hub.listening <= n:
                    await asyncio.sleep(0)
            one_more = await http.get(path)
            look = await http.get("/api/processes/done")
            manager.terminate_process("waiting")
            ended = await asyncio.gather(*waits)
            return look.status_code, one_more.status_code, [a.status_code for a in ended]

    look, one_more, ended = run(call)
    assert look == 200
    assert one_more == 503
    # All look at once when the process ends; those for whom no thread was left are told to come back.
    assert set(ended) <= {200, 503}
    assert 200 in ended
    close(app)


def test_who_hangs_up_is_not_waited_for(run: Run, app: Starlette) -> None:
    hub = app.state.site.hub

    async def call() -> list[str]:
        gone = asyncio.Event()
        sent: list[str] = []
        parts = iter([{"type": "http.request", "body": b"", "more_body": False}])
        path = "/api/processes/waiting/wait"
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"timeout=50",
            "root_path": "",
            "headers": [(b"host", HOST.encode())],
        }

        async def receive() -> Any:
            if (part := next(parts, None)) is not None:
                return part
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        waits = asyncio.create_task(app(scope, receive, send))
        while not hub.listening:
            await asyncio.sleep(0)
        gone.set()
        async with asyncio.timeout(30):
            await waits
        return sent

    run(call)
    assert hub.listening == 0


def test_places_hold_for_those_who_come_at_once(run: Run, manager: Manager) -> None:
    app = make_app(manager, streams=3)

    async def call() -> list[int]:
        async with client(app) as http:
            path = "/api/processes/waiting/wait?timeout=50"
            waits = [asyncio.create_task(http.get(path)) for _ in range(10)]
            while sum(task.done() for task in waits) < 7:
                await asyncio.sleep(0)
            manager.terminate_process("waiting")
            ended = [answer.status_code for answer in await asyncio.gather(*waits)]
            assert (await http.get(path)).status_code == 200
            return ended

    assert sorted(run(call)) == [200] * 3 + [503] * 7
    close(app)


def test_a_call_that_a_stop_overtakes_is_refused(run: Run, manager: Manager) -> None:
    app = make_app(manager, threads=1)
    pool = app.state.site.pool

    async def call() -> httpx2.Response:
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()
        held = loop.run_in_executor(
            pool._threads, lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        )
        async with client(app) as http:
            asked = asyncio.create_task(http.get("/api/processes/done"))
            while not pool._asked:
                await asyncio.sleep(0)
            pool.close()
            answer = await asked
        gate.set()
        await held
        return answer

    assert "being stopped" in refused(run(call), 503)


def test_too_many_calls_are_refused_at_once(run: Run, manager: Manager) -> None:
    app = make_app(manager, threads=1, queued=2)
    pool = app.state.site.pool

    async def call() -> list[int]:
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()

        def block() -> None:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

        async with client(app) as http:
            held = asyncio.create_task(pool.run(block))
            await asyncio.sleep(0)
            asked = [asyncio.create_task(http.get("/api/processes/done")) for _ in range(3)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            first = [task.result().status_code for task in done]
            gate.set()
            await held
            rest = [(await task).status_code for task in asked]
            return first + sorted(rest)

    assert run(call) == [503, 200, 200, 503]
    close(app)


def test_a_call_that_takes_too_long_is_given_up(run: Run, manager: Manager) -> None:
    app = make_app(manager, threads=1, request_seconds=0.05)
    pool = app.state.site.pool

    async def call() -> httpx2.Response:
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()
        held = loop.run_in_executor(
            pool._threads, lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        )
        async with client(app) as http:
            answer = await http.get("/api/processes/done")
        gate.set()
        await held
        return answer

    assert "too long" in refused(run(call), 503)
    close(app)


def entries(text: str) -> list[dict[str, str]]:
    """Return the fields of the server-sent events in a text."""
    blocks = [block for block in text.split("\n\n") if block.startswith(("id:", "event:"))]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_the_stream_goes_on_after_any_event_and_loses_none(
    run: Run, app: Starlette, manager: Manager
) -> None:
    wanted = manager.backend.feed()

    async def page(since: str, process: str | None = None) -> str:
        hub = app.state.site.hub
        from pyworkflow.web.streams import _texts

        pages = hub.entries(since, process, 5)
        texts = _texts(pages, False)
        found = b""
        last = wanted[-1].cursor if process is None else own[-1].cursor
        async for text in texts:
            found += text
            if f"id: {last}\n".encode() in found:
                break
        await texts.aclose()
        await pages.aclose()
        return found.decode()

    own: list[FeedEntry] = [e for e in wanted if e.process_id == "done"]

    async def call() -> None:
        assert told(await page(FEED_START)) == [(e.process_id, e.seq) for e in wanted]
        for cursor in {e.cursor for e in wanted[:-1]} - {wanted[-1].cursor}:
            assert told(await page(cursor)) == [
                (e.process_id, e.seq) for e in wanted if place_of(e.cursor) > place_of(cursor)
            ]
        assert told(await page(FEED_START, "done")) == [(e.process_id, e.seq) for e in own]

    def told(text: str) -> list[tuple[str, int]]:
        data = [json.loads(entry["data"]) for entry in entries(text)]
        return [(entry["process_id"], entry["seq"]) for entry in data]

    run(call)
    assert app.state.site.hub.listening == 0


def test_only_the_last_event_of_a_transition_carries_the_cursor(
    run: Run, app: Starlette, manager: Manager
) -> None:
    from pyworkflow.web.streams import _text

    feed = manager.backend.feed()
    groups = [e for e in feed if sum(o.cursor == e.cursor for o in feed) > 1]

    assert groups
    for entry in groups:
        assert b"id: " not in _text(entry, True, last=False)
        assert _text(entry, True, last=True).startswith(f"id: {entry.cursor}\n".encode())


def test_a_listener_that_is_slow_misses_nothing(
    run: Run, app: Starlette, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyworkflow.web.hub.MOST_KEPT", 3)

    async def call() -> list[int]:
        hub = app.state.site.hub
        pages = hub.entries(None, "waiting", 50)
        first = asyncio.create_task(anext(pages))
        while not hub.listening:
            await asyncio.sleep(0)
        manager.signal_process("waiting", "s")
        seen = [entry.seq for entry in await first]
        for _ in range(20):
            await asyncio.to_thread(manager.signal_process, "waiting", "s")
        while len(seen) < 21:
            seen += [entry.seq for entry in await anext(pages)]
        await pages.aclose()
        return seen

    seen = run(call)
    assert seen == list(range(seen[0], seen[0] + 21))


@pytest.mark.parametrize("last", ["x", "-1", "9" * 40])
def test_a_wrong_last_event_id_is_refused(run: Run, app: Starlette, last: str) -> None:
    answer = get(run, app, "/api/events", headers={"Last-Event-ID": last})

    refused(answer, 422, "Last-Event-ID")


def test_the_limits_of_the_document_are_those_of_the_server(run: Run, app: Starlette) -> None:
    document = get(run, app, "/api/openapi.json").json()
    listing = document["paths"]["/api/processes"]["get"]["parameters"]

    limit = next(p["schema"] for p in listing if p["name"] == "limit")
    assert limit["maximum"] == Limits().page
