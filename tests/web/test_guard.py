"""Who is let in: tokens and scopes over the whole route table, hosts, origins, forms."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from pyworkflow import Manager
from pyworkflow.cli.services import callback_host
from pyworkflow.errors import InvalidRequestError
from pyworkflow.web import Scope, TokenFile, Tokens, create_app, new_token
from pyworkflow.web.endpoint import Endpoint
from pyworkflow.web.server import check_bind, is_everywhere, is_loopback
from pyworkflow.web.sessions import COOKIE
from pyworkflow.web.tokens import digest, of_environment
from tests.web.conftest import close
from tests.web.world import HOST, URL, WRITES, client, histories, make_app, make_tokens

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
SAMPLE = {"id": "waiting", "seq": "1", "name": "style.css", "token": "x.y"}
BODIES: dict[str, Any] = {
    "/api/processes": {"workflow": "order"},
    "/api/processes/{id}/signal": {"name": "s"},
}
OPEN = {("GET", "/health"), ("POST", "/login"), ("GET", "/static/{name}")}
"""What answers without a token: health, and what the form that asks for one needs."""


@pytest.fixture
def guarded(manager: Manager) -> Any:
    tokens, secrets = make_tokens(reader="read", starter="start", worker="work", boss="admin")
    app = make_app(manager, tokens)
    yield app, secrets
    close(app)


def endpoints(app: Starlette) -> list[Endpoint]:
    found: list[Endpoint] = app.state.endpoints
    return found


def path_of(endpoint: Endpoint) -> str:
    return re.sub(r"{(\w+)}", lambda found: SAMPLE[found[1]], endpoint.path)


def body_of(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.method == "GET":
        return {}
    if endpoint.page:
        return {"data": {"name": "s", "workflow": "order"}}
    return {"json": BODIES.get(endpoint.path, {})}


async def ask(http: httpx2.AsyncClient, endpoint: Endpoint, path: str | None = None) -> int:
    """Return the status of an answer."""
    answer = await http.request(
        endpoint.method,
        path or path_of(endpoint),
        params=query_of(endpoint),
        **body_of(endpoint),
    )
    return answer.status_code


def query_of(endpoint: Endpoint) -> dict[str, str]:
    # The stream has no end, and this client waits for that: a wrong cursor ends it before it begins, past the check of the scope.
    if endpoint.path in ("/api/events", "/live"):
        return {"since": "x"}
    return {"timeout": "0"} if endpoint.path.endswith("/wait") else {}


def test_every_route_is_an_endpoint(guarded: Any) -> None:
    app, _ = guarded
    routes = {(m, r.path) for r in app.routes for m in r.methods if isinstance(r, Route)}

    assert all(isinstance(route, Route) for route in app.routes)
    assert routes - {("HEAD", path) for _, path in routes} == {
        (e.method, e.path) for e in endpoints(app)
    }


def test_without_a_token_only_health_and_the_login_answer(
    run: Run, guarded: Any, manager: Manager
) -> None:
    app, secrets = guarded
    before = histories(manager)
    senders = [
        {},
        {"Authorization": "Bearer nobody"},
        {"Authorization": f"Basic {secrets['boss']}"},
    ]
    senders += [{"Cookie": f"{COOKIE}={secrets['boss']}"}, {"Cookie": f"{COOKIE}=x"}]

    async def call() -> set[tuple[str, str]]:
        answered: set[tuple[str, str]] = set()
        for headers in senders:
            async with client(app, headers=headers | {"Origin": URL}) as http:
                for endpoint in endpoints(app):
                    if await ask(http, endpoint) not in (401, 403):
                        answered.add((endpoint.method, endpoint.path))
        return answered

    # A wrong token is answered by the login with 401 as well.
    assert run(call) == OPEN - {("POST", "/login")}
    assert histories(manager) == before


FOREIGN_ORIGINS = (
    f"{URL}.evil.example",
    f"{URL}@evil.example",
    f"{URL}/",
    f"{URL}0",
    "http://evil.example",
    f"http://evil.example/?{URL}",
    "null",
    "",
)


def test_only_our_own_origin_may_change_anything(run: Run, guarded: Any, manager: Manager) -> None:
    app, secrets = guarded
    before = histories(manager)
    token = {"Authorization": f"Bearer {secrets['boss']}"}

    async def call() -> list[int]:
        statuses: list[int] = []
        for origin in FOREIGN_ORIGINS:
            async with client(app, headers=token | {"Origin": origin}) as http:
                response = await http.post("/api/processes", json={"workflow": "Order"})
                statuses.append(response.status_code)
        async with client(app, headers=token | {"Origin": URL}) as http:
            response = await http.post("/api/processes", json={"workflow": "Nothing"})
            statuses.append(response.status_code)
        return statuses

    *refused, ours = run(call)
    assert set(refused) == {403}
    assert ours != 403
    assert histories(manager) == before


VARIANTS = (
    "{}/",
    "/{}",
    "{}/health",
    "{}?x=/health",
    "{}/../health",
    "/health/..{}",
    "/static/..{}",
    "/static/%2e%2e{}",
    "/callbacks/..{}",
    "/callbacks/%2e%2e{}",
    "/callbacks{}",
    "{}%2fhealth",
    "{};/health",
    "{}%00",
    "//health{}",
)


def test_no_way_of_writing_a_path_passes_the_guard(
    run: Run, guarded: Any, manager: Manager
) -> None:
    app, _ = guarded
    before = histories(manager)

    async def call() -> list[Any]:
        passed: list[Any] = []
        for endpoint in endpoints(app):
            if (endpoint.method, endpoint.path) in OPEN:
                continue
            for variant in VARIANTS:
                path = variant.format(path_of(endpoint))
                for method in (endpoint.method, "HEAD", "OPTIONS"):
                    status = await raw(app, method, path)
                    if status < 400:
                        passed.append((method, path, status))
        return passed

    assert run(call) == []
    assert histories(manager) == before


async def raw(app: Starlette, method: str, target: str) -> int:
    """Return the status of a request whose path no client has tidied up; decoded as uvicorn does."""
    path, _, query = target.partition("?")
    sent = [
        ("host", HOST),
        ("origin", URL),
        ("content-type", "application/json"),
        ("x-http-method-override", "GET"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-url", "/health"),
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


def test_each_endpoint_wants_its_scope(run: Run, guarded: Any) -> None:
    app, secrets = guarded
    wants = {"reader": Scope.READ, "starter": Scope.START, "worker": Scope.WORK}

    async def call() -> None:
        for name, scope in wants.items():
            async with client(app, secrets[name]) as http:
                for endpoint in endpoints(app):
                    if endpoint.page or endpoint.scope is None:
                        continue
                    allowed = endpoint.scope is scope
                    assert (await ask(http, endpoint) != 403) is allowed, (name, endpoint.path)

    run(call)


def test_with_a_read_token_nothing_changes(run: Run, guarded: Any, manager: Manager) -> None:
    app, secrets = guarded
    before = histories(manager)

    async def call() -> None:
        async with client(app, secrets["reader"], {"Origin": URL}) as http:
            await log_in(http, secrets["reader"])
            for endpoint in endpoints(app):
                if endpoint.path == "/logout":
                    continue
                for method in {*WRITES, endpoint.method}:
                    if endpoint.path == "/login" and method == "POST":
                        continue
                    given = {"csrf": await csrf_of(http)} if endpoint.form else None
                    answer = await http.request(
                        method,
                        path_of(endpoint),
                        params=query_of(endpoint),
                        data=given,
                        json=None if given else {"workflow": "order", "name": "s"},
                    )
                    assert answer.status_code in (200, 303, 403, 404, 405, 415, 422), endpoint.path
                    if method in WRITES and endpoint.method == method:
                        assert answer.status_code in (403, 415), endpoint.path

    run(call)
    assert histories(manager) == before


async def log_in(http: httpx2.AsyncClient, secret: str) -> httpx2.Response:
    return await http.post("/login", data={"token": secret}, headers={"Origin": URL})


async def csrf_of(http: httpx2.AsyncClient, path: str = "/") -> str:
    page = await http.get(path)
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


# -- the dashboard's sessions ----------------------------------------------------------------------------------------------------------


def test_a_token_opens_a_session_and_logging_out_ends_it(run: Run, guarded: Any) -> None:
    app, secrets = guarded

    async def call() -> None:
        async with client(app) as http:
            page = await http.get("/processes/done")
            assert page.status_code == 401
            assert "Log in" in page.text
            assert "charge" not in page.text
            assert (await log_in(http, "nobody")).status_code == 401
            entered = await log_in(http, secrets["reader"])
            assert entered.status_code == 303
            cookie = entered.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert secrets["reader"].lower() not in cookie
            assert (await http.get("/processes/done")).status_code == 200
            kept = dict(http.cookies)
            # The cookie means nothing to the API.
            assert (await http.get("/api/processes")).status_code == 401
            left = await http.post(
                "/logout", data={"csrf": await csrf_of(http)}, headers={"Origin": URL}
            )
            assert left.status_code == 303
        async with client(app, headers={"Cookie": f"{COOKIE}={kept[COOKIE]}"}) as http:
            assert (await http.get("/")).status_code == 401

    run(call)


def test_a_session_ends_with_its_token(run: Run, manager: Manager, tmp_path: Path) -> None:
    secret, token = new_token("me", [Scope.READ])
    path = tmp_path / "tokens"
    path.write_text(f"# who may\n\n{token.line()}")
    app = make_app(manager, TokenFile(path))

    async def call() -> None:
        async with client(app) as http:
            await log_in(http, secret)
            assert (await http.get("/")).status_code == 200
            path.write_text("# nobody any more\n")
            assert (await http.get("/")).status_code == 401
            path.write_text("what is this\n")
            assert (await http.get("/")).status_code == 401
            path.write_text(token.line())
            assert (await http.get("/")).status_code == 200

    run(call)
    close(app)


FORMS = ("signal", "cancel", "terminate", "retry")


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"Origin": URL}, {}),
        ({"Origin": URL}, {"csrf": "0" * 64}),
        ({"Origin": URL}, {"csrf": "é"}),
        ({"Origin": "https://evil.test"}, None),
        ({"Origin": "null"}, None),
        ({"Origin": "http://127.0.0.1:9999"}, None),
        ({}, None),
        ({"Origin": URL, "Sec-Fetch-Site": "cross-site"}, None),
        ({"Sec-Fetch-Site": "same-site"}, None),
    ],
)
def test_a_form_of_another_site_changes_nothing(
    run: Run, manager: Manager, headers: dict[str, str], sent: dict[str, str] | None
) -> None:
    app = make_app(manager)
    before = histories(manager)

    async def call() -> None:
        async with client(app) as http:
            secret = await csrf_of(http, "/start")
            form = {"csrf": secret} if sent is None else sent
            for path in (*(f"/processes/waiting/{form}" for form in FORMS), "/start"):
                fields = {"name": "s", "workflow": "order"}
                answer = await http.post(path, data=form | fields, headers=headers)
                assert answer.status_code == 403, (path, answer.text)

    run(call)
    assert histories(manager) == before
    close(app)


def test_a_form_of_another_session_changes_nothing(run: Run, manager: Manager) -> None:
    app = make_app(manager)
    before = histories(manager)

    async def call() -> None:
        async with client(app) as mine, client(app) as theirs:
            secret = await csrf_of(mine, "/start")
            await csrf_of(theirs, "/start")
            form = {"csrf": secret, "workflow": "order"}
            answer = await theirs.post("/start", data=form, headers={"Origin": URL})
            assert answer.status_code == 403
            answer = await mine.post("/start", data=form, headers={"Origin": URL})
            assert answer.status_code == 303

    run(call)
    assert len(histories(manager)) == len(before) + 1
    close(app)


def test_the_api_takes_nothing_that_a_foreign_page_can_send(run: Run, manager: Manager) -> None:
    app = make_app(manager)
    before = histories(manager)

    async def call() -> None:
        async with client(app) as http:
            for headers in (
                {"Origin": "https://evil.test"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Content-Type": "text/plain"},
                {"Content-Type": "application/x-www-form-urlencoded"},
                {"Content-Type": "multipart/form-data"},
            ):
                given = {"Content-Type": "application/json"} | headers
                body = b'{"workflow": "order"}'
                answer = await http.post("/api/processes", content=body, headers=given)
                assert answer.status_code in (403, 415)
                assert not [h for h in answer.headers if h.startswith("access-control-")]
            preflight = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
            answer = await http.options("/api/processes", headers=preflight)
            assert answer.status_code == 405
            assert not [h for h in answer.headers if h.startswith("access-control-")]

    run(call)
    assert histories(manager) == before
    close(app)


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:8765", "127.0.0.1.evil.test", "localhost.evil.test", "", "[::2]"],
)
def test_a_foreign_host_is_refused(run: Run, manager: Manager, host: str) -> None:
    app = make_app(manager)
    before = histories(manager)

    async def call() -> None:
        async with client(app, headers={"Host": host, "Origin": f"http://{host}"}) as http:
            for endpoint in endpoints(app):
                assert await ask(http, endpoint) == 403, endpoint.path

    run(call)
    assert histories(manager) == before
    close(app)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:1", "[::1]:8765", "LOCALHOST", "localhost."]
)
def test_our_own_names_are_let_in(run: Run, manager: Manager, host: str) -> None:
    app = make_app(manager)

    async def call() -> int:
        async with client(app, headers={"Host": host}) as http:
            answer = await http.get("/health")
            return int(answer.status_code)

    assert run(call) == 200
    close(app)


def test_every_answer_says_what_a_browser_may_do_with_it(run: Run, guarded: Any) -> None:
    app, _ = guarded

    async def call() -> None:
        async with client(app) as http:
            for path in ("/health", "/", "/nothing", "/api/processes", "/static/page.js"):
                headers = (await http.get(path)).headers
                policy = headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["referrer-policy"] == "same-origin"
            assert (await http.get("/")).headers["cache-control"] == "no-store"

    run(call)


# -- tokens --------------------------------------------------------------------------------------------------------------------------------


def test_only_the_hash_of_a_token_is_kept(tmp_path: Path) -> None:
    secret, token = new_token("ci", [Scope.READ, Scope.START])
    path = tmp_path / "tokens"
    path.write_text(token.line())

    assert secret not in path.read_text()
    found = TokenFile(path).find(secret)
    assert found == token
    assert found.allows(Scope.START)
    assert not found.allows(Scope.WORK)
    assert TokenFile(path).find(secret + "x") is None
    assert TokenFile(path).find(token.digest) is None


@pytest.mark.parametrize(
    "line", ["me", "me read", "me all " + "0" * 64, "me read " + "0" * 63, "m/e read " + "0" * 64]
)
def test_a_wrong_line_of_a_token_file_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"\n{line}\n")

    with pytest.raises(InvalidRequestError, match="line 2"):
        TokenFile(path)
    with pytest.raises(InvalidRequestError, match="missing"):
        TokenFile(tmp_path / "missing")


def test_tokens_of_the_environment() -> None:
    secret = "x" * 20

    [one, two] = of_environment(f"read,start:{secret} admin:{secret}:y")

    assert (one.scopes, one.digest) == (frozenset({Scope.READ, Scope.START}), digest(secret))
    assert two.digest == digest(f"{secret}:y")
    for wrong in ("read", f"all:{secret}", "read:short"):
        with pytest.raises(InvalidRequestError) as caught:
            of_environment(wrong)
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://flows.example.org", "flows.example.org"),
        ("http://flows:8765/below/", "flows"),
        ("http://[fd00::1]:8765", "[fd00::1]"),
    ],
)
def test_callbacks_are_let_in_by_the_name_that_their_address_has(
    run: Run, manager: Manager, url: str, name: str
) -> None:
    assert callback_host(url) == name
    app = create_app(manager, hosts=[callback_host(url)])

    async def call() -> str:
        async with client(app, headers={"Host": url.split("/")[2]}) as http:
            told: str = (await http.post("/callbacks/x.y", json={})).json()["detail"]
            return told

    # The token is looked at: the host was let in.
    assert run(call) == "callback: is none of ours"
    close(app)


@pytest.mark.parametrize(
    "url",
    [
        "flows.example.org",
        "ftp://flows.example.org",
        "http://[::1",
        "http://u:p@flows",
        "http://flows/\nX: y",
        "http://flöws",
        "http://flows/?x",
        "http://flows/#x",
        "http://fl ows/",
    ],
)
def test_an_address_that_nobody_can_call_back_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="callback URL"):
        callback_host(url)


def test_all_addresses_of_a_machine_are_none_to_call_back() -> None:
    assert [h for h in ("0.0.0.0", "::", "", "127.0.0.1", "::1", "a.org") if is_everywhere(h)] == [
        "0.0.0.0",
        "::",
        "",
    ]


def test_methods_that_are_none_are_counted_as_one(run: Run, guarded: Any) -> None:
    app, _ = guarded

    async def call() -> None:
        async with client(app) as http:
            for number in range(20):
                assert (await http.request(f"X{number}", "/api/processes")).status_code == 401

    run(call)
    [requests] = [f for f in app.state.site.meters.families() if f.name.endswith("requests_total")]
    assert {labels["method"] for _, labels, _ in requests.samples} == {"other"}


def test_other_machines_are_served_only_with_tokens() -> None:
    tokens, _ = make_tokens(me="read")
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        check_bind(host, None)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""):
        assert not is_loopback(host)
        for none in (None, Tokens()):
            with pytest.raises(InvalidRequestError, match="tokens"):
                check_bind(host, none)
        check_bind(host, tokens)
