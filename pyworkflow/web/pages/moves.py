"""The forms that change something, each with a page that asks first."""

from collections.abc import Callable

from msgspec import Struct
from starlette.responses import RedirectResponse, Response

from pyworkflow.codec import Json
from pyworkflow.errors import PyworkflowError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.values import check_name, check_tags
from pyworkflow.web.api.processes import check_field
from pyworkflow.web.bodies import check_json, plain_json
from pyworkflow.web.endpoint import Call, Endpoint
from pyworkflow.web.pages.render import render, segment
from pyworkflow.web.problems import Problem, problem_of
from pyworkflow.web.tokens import Scope

Form = dict[str, str]


class Move(Struct, frozen=True, eq=False):
    """Something that can be done to a process.

    Attributes:
        scope: What a token must allow.
        question: What the page asks.
        fields: Names of its text fields.
        do: Does it.
    """

    scope: Scope
    question: str
    fields: tuple[str, ...]
    do: Callable[[Manager, str, Form], None]


def _json(form: Form, field: str) -> Json:
    text = form.get(field, "").strip()
    if not text:
        return None
    try:
        value = plain_json(text.encode())
    except Problem as problem:
        raise Problem(422, problem.detail.replace("the body", "it"), field) from None
    check_json(value, field)
    return value


def _signal(manager: Manager, process_id: str, form: Form) -> None:
    check_field("name", check_name, form.get("name", "").strip(), "name")
    manager.signal_process(process_id, form["name"].strip(), _json(form, "data"))


def _cancel(manager: Manager, process_id: str, form: Form) -> None:
    manager.cancel_process(process_id, form.get("reason") or None)


def _terminate(manager: Manager, process_id: str, form: Form) -> None:
    manager.terminate_process(process_id, form.get("reason") or None)


def _retry(manager: Manager, process_id: str, form: Form) -> None:
    manager.retry_process(process_id)


MOVES = {
    "signal": Move(Scope.WORK, "Send a signal to this process?", ("name", "data"), _signal),
    "cancel": Move(Scope.WORK, "Cancel this process?", ("reason",), _cancel),
    "terminate": Move(
        Scope.ADMIN, "Close this process by force? It cannot be resumed.", ("reason",), _terminate
    ),
    "retry": Move(Scope.WORK, "Have this parked process decided again?", (), _retry),
}


def ask(action: str) -> Endpoint:
    """Return the endpoint of the page that asks before a move."""
    move = MOVES[action]

    async def handler(call: Call) -> Response:
        await call.run(call.site.manager.pending, call.process_id)
        return render(
            call, "move.html", name=call.process_id, action=action, move=move, form={}, problem=None
        )

    return Endpoint(
        method="GET",
        path=f"/processes/{{id}}/{action}",
        scope=move.scope,
        handler=handler,
        summary=f"Ask before: {action}.",
        page=True,
    )


def do(action: str) -> Endpoint:
    """Return the endpoint that makes a move."""
    move = MOVES[action]

    async def handler(call: Call) -> Response:
        name = call.process_id
        try:
            await call.run(move.do, call.site.manager, name, call.form)
        except (Problem, PyworkflowError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            given = {
                "name": name,
                "action": action,
                "move": move,
                "form": call.form,
                "problem": problem,
            }
            return render(call, "move.html", problem.status, **given)
        return RedirectResponse(f"{call.base}/processes/{segment(name)}", 303)

    return Endpoint(
        method="POST",
        path=f"/processes/{{id}}/{action}",
        scope=move.scope,
        handler=handler,
        summary=f"Do: {action}.",
        form=True,
        page=True,
    )


class StartQuery(Struct, forbid_unknown_fields=True):
    """Which workflow the form begins with."""

    workflow: str = ""


async def ask_start(call: Call) -> Response:
    """Show the form that starts a process."""
    query: StartQuery = call.query
    return await _start_form(call, {"workflow": query.workflow}, None)


async def _start_form(call: Call, form: Form, problem: Problem | None) -> Response:
    found = await call.run(call.site.manager.backend.workflows)
    names = [workflow.name for workflow in found]
    status = 200 if problem is None else problem.status
    return render(call, "start.html", status, workflows=names, form=form, problem=problem)


async def start(call: Call) -> Response:
    """Start a process."""
    form = call.form

    def run() -> str:
        tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
        check_field("workflow", check_name, form.get("workflow", ""), "workflow")
        check_field("tags", check_tags, tags)
        if process_id := form.get("id", "").strip():
            check_field("id", check_name, process_id, "id")
        process = Process(form["workflow"], process_id or None, _json(form, "input"), tags)
        return call.site.manager.start_process(process)

    try:
        started = await call.run(run)
    except Problem as problem:
        return await _start_form(call, form, problem)
    except PyworkflowError as error:
        return await _start_form(call, form, problem_of(error))
    return RedirectResponse(f"{call.base}/processes/{segment(started)}", 303)


ENDPOINTS = [
    *map(ask, MOVES),
    *map(do, MOVES),
    Endpoint(
        method="GET",
        path="/start",
        scope=Scope.START,
        handler=ask_start,
        summary="Show the form that starts a process.",
        query=StartQuery,
        page=True,
    ),
    Endpoint(
        method="POST",
        path="/start",
        scope=Scope.START,
        handler=start,
        summary="Start a process.",
        form=True,
        page=True,
    ),
]
