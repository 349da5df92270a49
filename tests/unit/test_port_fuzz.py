"""Odd values in every parameter of every method of the port: refused with a typed error, or stored and read by another backend object."""

from collections.abc import Callable
from datetime import UTC, datetime
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import force_setattr

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Backend, Completion, FailedDecision, Poll
from pyworkflow.backend.gate import gate
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.errors import InvalidRequestError, PyworkflowError
from pyworkflow.failure import repr_of
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from tests.odd_values import ODD


def _any(thing: object) -> Any:
    return thing


Values = dict[str, Callable[[], Any]]


def _values(backend: Backend) -> Values:
    """Return what makes a right value for each parameter of the port."""

    def decision() -> DecisionTask:
        backend.start_process(Process("order"))
        task = backend.poll_decision_task()
        assert task is not None
        return task

    def activity() -> ActivityTask:
        backend.complete_decision_task(decision(), ScheduleActivity("charge"))
        task = backend.poll_activity_task()
        assert task is not None
        return task

    def process_id() -> str:
        return backend.start_process(Process("order"))

    return {
        "after": lambda: backend.process_by_id(process_id()),
        "at_most_once": lambda: False,
        "body": lambda: 1,
        "category": lambda: "odd",
        "closed_before": lambda: datetime(2000, 1, 1, tzinfo=UTC),
        "completions": lambda: [Completion(activity(), ActivityCompleted(1))],
        "cursor": lambda: 0,
        "data": lambda: 1,
        "decision_timeout": lambda: 60,
        "decisions": lambda: [CompleteProcess(1)],
        "details": lambda: 1,
        "execution_timeout": lambda: 60,
        "graph": lambda: None,
        "handles_cancel": lambda: False,
        "heartbeat_timeout": lambda: 60,
        "identity": lambda: "me",
        "kind": lambda: "odd",
        "lease": lambda: 5,
        "limit": lambda: 5,
        "name": lambda: "odd",
        "names": lambda: ("odd",),
        "newest": lambda: False,
        "observer": lambda: len,
        "parked": lambda: None,
        "polls": lambda: [Poll(ActivityTask, "odd")],
        "process": lambda: Process("order"),
        "process_id": process_id,
        "processes": lambda: [Process("order")],
        "progress": lambda: None,
        "reason": lambda: "odd",
        "result": lambda: ActivityCompleted(1),
        "retry": lambda: None,
        "reuse": lambda: "reject",
        "scheduled_timeout": lambda: None,
        "signal_id": lambda: None,
        "since": lambda: 0,
        "status": lambda: Status.OPEN,
        "stop": lambda: None,
        "tag": lambda: None,
        "tasks": lambda: [activity(), decision()],
        "timeout": lambda: 0,
        "unseen": lambda: False,
        "versions": lambda: {},
        "wait": lambda: 0,
        "within": lambda: 60,
        "workflow": lambda: None,
    }


def _method_values(name: str, values: Values) -> Values:
    """Return the parameters of a method with what makes their values."""
    if name in ("complete_decision_task", "fail_decision_task"):
        values = values | {"task": lambda: values["tasks"]()[1]}
    else:
        values = values | {"task": lambda: values["tasks"]()[0]}
    if name == "register_workflow":
        values = values | {"timeout": lambda: 60}
    return {p: values[p] for p in list(signature(getattr(Backend, name)).parameters)[1:]}


METHODS = [
    name
    for name in dir(Backend)
    if not name.startswith("_")
    and isfunction(method := getattr(Backend, name))
    and len(signature(method).parameters) > 1
]


def _attempt(call: Callable[[], Any]) -> bool:
    """Tell whether a call was accepted; refused with anything but a typed error, the test fails."""
    try:
        call()
    except PyworkflowError:
        return False
    return True


def _fuzz(backend: Backend, name: str) -> None:
    values = _method_values(name, _values(backend))
    for parameter in values:
        for value in ODD:
            if value is len and parameter in ("observer", "progress", "stop"):
                continue
            if value is None and (name, parameter) == ("wait_for_process", "timeout"):
                continue  # it waits for ever, as it should
            arguments = {p: make() for p, make in values.items() if p != parameter}
            arguments[parameter] = value
            try:
                _attempt(lambda sent=arguments: getattr(backend, name)(**sent))  # type: ignore[misc]
            except Exception as error:
                error.add_note(f"{name}({parameter}={repr_of(value, 80)})")
                raise


def _read_all(backend: Backend) -> None:
    assert backend.check() == []
    for process in backend.processes(status=None):
        assert backend.process_by_id(f"{process.id}:{process.run}").history
        backend.pending(str(process.id))
    backend.feed(limit=100_000)
    backend.workflows()
    backend.activities()
    backend.queues()
    backend.pollers()
    backend.definitions()


def _set_up(backend: Backend) -> None:
    backend.register_workflow("order")
    backend.register_activity("charge")


@pytest.mark.parametrize("name", METHODS)
def test_memory_refuses_or_can_be_read(name: str) -> None:
    with MemoryBackend() as backend:
        _set_up(backend)
        _fuzz(backend, name)
        _read_all(backend)


@pytest.mark.parametrize("name", METHODS)
def test_sqlite_refuses_or_can_be_read(name: str, tmp_path: Path) -> None:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        _set_up(backend)
        _fuzz(backend, name)
    with SQLiteBackend(tmp_path / "x.db") as fresh:
        _read_all(fresh)


def _register(backend: Backend, retry: Any) -> None:
    backend.register_activity("odd", retry=retry)
    assert backend.check() == []


STRUCTS: dict[str, tuple[Callable[[], Struct], Callable[[Backend, Any], Any]]] = {
    "process": (lambda: Process("order"), lambda b, p: b.start_process(p)),
    "several": (lambda: Process("order"), lambda b, p: b.start_processes([p])),
    "after": (lambda: Process("order", "first"), lambda b, p: b.processes(after=p)),
    "poll": (lambda: Poll(ActivityTask), lambda b, p: b.turn(polls=[p])),
    "retry": (Retry, lambda b, r: _register(b, r)),
}


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_with_an_odd_field_is_refused_or_can_be_read(name: str, tmp_path: Path) -> None:
    make, call = STRUCTS[name]
    with SQLiteBackend(tmp_path / "x.db") as backend:
        _set_up(backend)
        backend.start_process(Process("order", "first"))
        for field in make().__struct_fields__:
            for value in ODD:
                struct = make()
                force_setattr(struct, field, value)
                try:
                    _attempt(lambda struct=struct: call(backend, struct))  # type: ignore[misc]
                except Exception as error:
                    error.add_note(f"{name}: {field}={repr_of(value, 80)}")
                    raise
    with SQLiteBackend(tmp_path / "x.db") as fresh:
        _read_all(fresh)


@pytest.mark.parametrize("outcome", [FailedDecision("r"), CompleteProcess(1)])
def test_a_task_with_an_odd_field_is_refused_or_completed(outcome: Any, tmp_path: Path) -> None:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        _set_up(backend)
        tasks = _values(backend)["tasks"]
        for value in ODD:
            activity, decision = tasks()
            for task, result in ((activity, ActivityFailed("r")), (decision, [outcome])):
                for context in (value, *({**task.context, key: value} for key in task.context)):
                    force_setattr(task, "context", context)
                    _attempt(lambda sent=(task, result): backend.turn([Completion(*sent)]))  # type: ignore[misc]
                    _attempt(lambda sent=task: backend.release_tasks([sent]))  # type: ignore[misc]
            for odd in (
                Completion(activity, value),
                Completion(decision, value),
                Completion(value, [outcome]),
                Completion(activity, ActivityCompleted(1), value),
                Completion(ActivityTask(ActivityExecution(value, value)), ActivityFailed(value)),
            ):
                _attempt(lambda odd=odd: backend.turn([odd]))  # type: ignore[misc]
    with SQLiteBackend(tmp_path / "x.db") as fresh:
        _read_all(fresh)


def test_a_refusal_names_the_argument() -> None:
    with MemoryBackend() as backend:
        for call, culprit in (
            (lambda: backend.turn(wait=_any("x")), "wait"),
            (lambda: backend.turn(polls=[Poll(ActivityTask, limit=_any("x"))]), "limit 'x'"),
            (lambda: backend.start_process(Process("order"), reuse=_any(5)), "reuse 5"),
            (lambda: backend.process_by_id(_any(object())), "process_id <object"),
            (lambda: backend.history("p", since=-1), "since -1"),
        ):
            with pytest.raises(InvalidRequestError, match=f"^{culprit}"):
                call()


def test_a_method_of_another_backend_has_the_gate_of_the_port() -> None:
    class Other:
        def retry_process(self, process_id: object) -> None: ...

        def own(self, process_id: object) -> None: ...

    gate(Other, Backend)

    Other().own(5)
    with pytest.raises(InvalidRequestError, match="process_id 5"):
        Other().retry_process(5)
