"""A world for the web tests: a manager with some processes in every state, and clients of its application."""

from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.applications import Starlette

from pyworkflow import DefaultWorkflow, Manager, Process, Signal
from pyworkflow.activity import activity
from pyworkflow.backend.base import Backend
from pyworkflow.decision import (
    CompleteProcess,
    FailProcess,
    RecordMarker,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.testing.clock import FakeClock
from pyworkflow.web import Scope, Token, Tokens, create_app, new_token
from pyworkflow.web.limits import Limits

HOST = "127.0.0.1:8765"
URL = f"http://{HOST}"
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@activity
def charge(order: Any) -> Any:
    return order


class Order(DefaultWorkflow):
    name = "order"
    activities = (charge,)


class Invoice(DefaultWorkflow):
    name = "invoice"


def make_manager(backend: Backend) -> Manager:
    return Manager(backend, [Order, Invoice])


def decide(manager: Manager, *decisions: Any) -> None:
    task = manager.next_decision("decider-1")
    assert task is not None
    manager.complete_task(task, decisions)


def populate(manager: Manager) -> None:
    """Leave processes in many states: done, failed, parked, open, parent of a child."""
    manager.start_process(Process(Order, "done", {"amount": 12}, ["eu", "vip"]))
    decide(
        manager,
        ScheduleActivity("charge", id="c", input={"amount": 12}),
        Timer(60, id="t"),
        StartChildProcess(Process(Invoice, id="kid")),
        RecordMarker("seen", 1),
    )
    first = manager.next_activity("worker-1")
    assert first is not None
    manager.complete_task(first, ActivityCompleted({"charged": 12}))
    manager.signal_process("done", Signal("hurry", {"by": 5}))
    while (task := manager.next_decision("decider-1")) is not None:
        done = task.process.id == "done"
        manager.complete_task(task, CompleteProcess({"ok": True}) if done else [])
    manager.start_process(Process(Order, "broken", None, ["eu"]))
    decide(manager, ScheduleActivity("charge", id="c"))
    work = manager.next_activity("worker-1")
    assert work is not None
    traceback = 'Traceback (most recent call last):\n  File "shop.py", line 3\nValueError: no money'
    manager.complete_task(work, ActivityFailed("no money", traceback))
    decide(manager, FailProcess("no money", traceback))
    manager.start_process(Process(Order, "waiting", [1, 2, 3]))
    decide(manager, Timer(3600, id="later"))


def make_tokens(**scopes: str) -> tuple[Tokens, dict[str, str]]:
    """Return tokens, and the secret of each by name."""
    tokens: list[Token] = []
    secrets: dict[str, str] = {}
    for name, words in scopes.items():
        secrets[name], token = new_token(name, [Scope(word) for word in words.split(",")])
        tokens.append(token)
    return Tokens(tokens), secrets


def client(
    app: Starlette, token: str | None = None, headers: Mapping[str, str] | None = None
) -> httpx2.AsyncClient:
    given = dict(headers or {})
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=URL, headers=given)


def make_app(manager: Manager, tokens: Tokens | None = None, **limits: Any) -> Starlette:
    return create_app(manager, tokens=tokens, limits=Limits(**limits))


def histories(manager: Manager) -> dict[str, list[Any]]:
    """Return all that a request could have changed."""
    found = manager.processes(status=None)
    return {f"{p.id}:{p.run}": manager.history(f"{p.id}:{p.run}") for p in found}


def park(manager: Manager, clock: FakeClock) -> None:
    """Fail the next decision until its process is parked."""
    while (task := manager.next_decision("decider-1")) is not None:
        manager.backend.fail_decision_task(task, "KeyError: 'customer'", "Traceback: ...")
        clock.advance(60)
