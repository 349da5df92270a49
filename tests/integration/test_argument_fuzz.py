"""Odd values for PostgreSQL, in each field of what backends take, for managers, workers and constructors: refused with a typed error, or readable."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from datetime import datetime as DateTime
from functools import partial
from inspect import isfunction, signature
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import force_setattr

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.codec import encode
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.errors import PyworkflowError
from pyworkflow.failure import repr_of
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
)
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from tests.local_backends import LOCAL, local_backend
from tests.odd_values import ODD

Arguments = dict[str, Any]
Make = Callable[[Backend], Arguments]

RETRY = Retry(3, initial=1)


def started(backend: Backend) -> str:
    return backend.start_process(Process("order", input={"a": 1}))


def closed(backend: Backend) -> str:
    process_id = started(backend)
    backend.terminate_process(process_id)
    return process_id


def decision(backend: Backend) -> DecisionTask:
    process_id = started(backend)
    while True:
        [task] = backend.turn(polls=[Poll(DecisionTask, lease=60)]).tasks
        assert isinstance(task, DecisionTask)
        if task.process.id == process_id:
            return task


def charge(backend: Backend) -> ActivityTask:
    task = decision(backend)
    backend.complete_decision_task(task, ScheduleActivity("charge", id="a", input=1))
    while True:
        [activity] = backend.turn(polls=[Poll(ActivityTask, lease=60)]).tasks
        assert isinstance(activity, ActivityTask)
        if activity.process_id == task.process.id:
            return activity


def made(kind: type, backend: Backend) -> Any:
    return kind()


PORT: dict[str, Make] = {
    "register_workflow": lambda b: {
        "name": "other",
        "category": "other",
        "timeout": 60,
        "decision_timeout": 60,
        "handles_cancel": False,
        "graph": None,
    },
    "register_versions": lambda b: {"versions": {"other-1.0": "1.0"}},
    "register_activity": lambda b: {
        "name": "other",
        "category": "other",
        "scheduled_timeout": None,
        "execution_timeout": 60,
        "heartbeat_timeout": 60,
        "retry": RETRY,
        "at_most_once": False,
    },
    "define": lambda b: {"kind": "service", "name": "text", "body": {}},
    "definitions": lambda b: {"since": 0},
    "start_process": lambda b: {"process": Process("order"), "reuse": "reject"},
    "start_processes": lambda b: {"processes": [Process("order")], "reuse": "reject"},
    "signal_process": lambda b: {
        "process_id": started(b),
        "name": "s",
        "data": 1,
        "signal_id": None,
    },
    "cancel_process": lambda b: {"process_id": started(b), "details": None},
    "terminate_process": lambda b: {"process_id": started(b), "reason": None, "details": None},
    "retry_process": lambda b: {"process_id": started(b)},
    "process_by_id": lambda b: {"process_id": started(b)},
    "processes": lambda b: {
        "workflow": None,
        "tag": None,
        "status": Status.OPEN,
        "parked": None,
        "limit": 5,
        "after": None,
        "newest": False,
    },
    "history": lambda b: {"process_id": started(b), "since": 0},
    "wait_for_process": lambda b: {"process_id": closed(b), "timeout": 0},
    "pending": lambda b: {"process_id": started(b)},
    "poll_activity_task": lambda b: {"category": "none", "identity": None, "names": None},
    "poll_decision_task": lambda b: {"category": "none", "identity": None, "names": None},
    "turn": lambda b: {"completions": [], "polls": [], "wait": 0, "stop": lambda: True},
    "foresee": lambda b: {"task": charge(b), "result": ActivityCompleted(1), "identity": None},
    "heartbeat_activity_task": lambda b: {"task": charge(b), "details": None},
    "complete_decision_task": lambda b: {"task": decision(b), "decisions": []},
    "complete_activity_task": lambda b: {"task": charge(b), "result": ActivityCompleted(1)},
    "fail_decision_task": lambda b: {"task": decision(b), "reason": "no", "details": None},
    "extend_leases": lambda b: {"tasks": [charge(b)], "lease": 60},
    "release_tasks": lambda b: {"tasks": [charge(b)], "unseen": False},
    "feed": lambda b: {"cursor": "0", "limit": 5, "wait": 0 if started(b) else 1},
    "pollers": lambda b: {"within": 60},
    "observe": lambda b: {"observer": lambda entries: None},
    "check": lambda b: {"progress": None},
    "purge": lambda b: {"closed_before": DateTime(2000, 1, 1, tzinfo=UTC), "limit": 5},
}
"""Arguments that every backend takes, for each method of the port that has any."""

MANAGER: dict[str, Make] = {
    "process_by_id": PORT["process_by_id"],
    "copy_with_backend": lambda b: {"backend": b},
    "register_workflow": lambda b: {"workflow": None},
    "register_activity": lambda b: {"activity": None},
    "find_activity": lambda b: {"name": "charge"},
    "find_workflow": lambda b: {"name": "order"},
    "start_process": lambda b: PORT["start_process"](b) | {"connection": None},
    "signal_process": lambda b: {
        "process": started(b),
        "signal": "s",
        "data": 1,
        "signal_id": None,
        "connection": None,
    },
    "cancel_process": lambda b: {"process": started(b), "details": None},
    "terminate_process": lambda b: {"process": started(b), "reason": None, "details": None},
    "retry_process": lambda b: {"process": started(b)},
    "history": lambda b: {"process": started(b), "since": 0},
    "query": lambda b: {"process": started(b), "question": "q"},
    "wait_for_process": lambda b: {"process": closed(b), "timeout": 0},
    "pending": lambda b: {"process": started(b)},
    "processes": lambda b: {"workflow": None, "tag": None, "limit": 5},
    "purge": lambda b: {"closed_before": DateTime(2000, 1, 1, tzinfo=UTC), "patience": 0},
    "next_activity": lambda b: {"identity": None, "category": "none"},
    "next_decision": lambda b: {"identity": None, "category": "none"},
    "workflow_for_task": lambda b: {"task": decision(b)},
    "activity_for_task": lambda b: {"task": charge(b), "monitor": None},
    "heartbeat": lambda b: {"task": charge(b), "details": None},
    "complete_task": lambda b: {"task": charge(b), "result": ActivityCompleted(1)},
}

STRUCTS: dict[str, tuple[Callable[[Backend], Any], Callable[[Backend, Any], object]]] = {
    "Process": (lambda b: Process("order"), lambda b, value: b.start_process(value)),
    "one of several Processes": (
        lambda b: Process("order"),
        lambda b, value: b.start_processes([value]),
    ),
    "Poll": (
        lambda b: Poll(ActivityTask, "none"),
        lambda b, value: b.turn(polls=[value], stop=lambda: True),
    ),
    "Completion": (
        lambda b: Completion(charge(b), ActivityCompleted(1)),
        lambda b, value: b.turn([value]),
    ),
    "ActivityTask": (
        charge,
        lambda b, value: b.complete_activity_task(value, ActivityCompleted(1)),
    ),
    "DecisionTask": (decision, lambda b, value: b.complete_decision_task(value, [])),
    "a task that is extended": (charge, lambda b, value: b.extend_leases([value], 60)),
    "a task that is released": (charge, lambda b, value: b.release_tasks([value])),
    **{
        kind.__name__: (
            partial(made, kind),
            lambda b, value: b.complete_activity_task(charge(b), value),
        )
        for kind in (ActivityCompleted, ActivityFailed, ActivityCanceled, ActivityTimedOut)
    },
}
"""How a struct is made, and who takes it."""


def with_parameters(kind: type, *but: str) -> set[str]:
    """Return the names of public methods that have parameters."""
    return {
        name
        for base in kind.__mro__
        for name, method in vars(base).items()
        if isfunction(method) and not name.startswith("_") and len(signature(method).parameters) > 1
    } - set(but)


@pytest.fixture(params=LOCAL)
def backend(request: pytest.FixtureRequest) -> Any:
    with local_backend(request.param, request, FakeClock()) as made:
        made.register_workflow("order")
        made.register_activity("charge", retry=RETRY)
        yield made


def tried(act: Callable[[], object], what: str, wrong: list[str]) -> None:
    """Do something that may be refused, and note what else it raises."""
    try:
        act()
    except PyworkflowError:
        pass
    except BaseException as error:
        wrong.append(f"{what}: {type(error).__name__}: {error}"[:200])


def check_readable(backend: Backend) -> None:
    """Read all there is."""
    assert [violation for violation in backend.check() if violation.invariant != "I24"] == []
    for process in backend.processes(status=None):
        encode(backend.process_by_id(f"{process.id}:{process.run}"))
        encode(backend.pending(str(process.id)))
    encode([backend.queues(), backend.pollers(), backend.definitions(), backend.feed(limit=10_000)])
    encode([backend.workflows(), backend.activities()])
    innocent = started(backend)
    backend.terminate_process(innocent, "done")
    assert backend.process_by_id(innocent).status is Status.TERMINATED


def test_each_method_of_the_port_has_its_arguments_here() -> None:
    assert set(PORT) == with_parameters(Backend)
    assert set(MANAGER) == with_parameters(Manager)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", PORT)
def test_a_method_of_the_port_takes_an_argument_or_refuses_it(backend: Backend, name: str) -> None:
    wrong: list[str] = []
    method = getattr(backend, name)
    for parameter in PORT[name](backend):
        for value in ODD:
            if parameter in ("progress", "observer", "stop") and callable(value):
                continue
            arguments = PORT[name](backend) | {parameter: value}
            tried(partial(method, **arguments), f"{parameter}={repr_of(value, 60)}", wrong)
    assert wrong == []
    check_readable(backend)


@pytest.mark.parametrize("name", STRUCTS)
def test_a_field_is_taken_or_refused(backend: Backend, name: str) -> None:
    wrong: list[str] = []
    make, take = STRUCTS[name]
    for field in signature(type(make(backend))).parameters:
        for value in ODD:
            struct = make(backend)
            if isinstance(struct, Struct):
                force_setattr(struct, field, value)
            else:
                object.__setattr__(struct, field, value)
            tried(partial(take, backend, struct), f"{field}={repr_of(value, 60)}", wrong)
    assert wrong == []
    check_readable(backend)


@pytest.mark.parametrize("name", MANAGER)
def test_a_method_of_a_manager_takes_an_argument_or_refuses_it(name: str) -> None:
    wrong: list[str] = []
    with MemoryBackend(FakeClock()) as backend:
        backend.register_workflow("order")
        backend.register_activity("charge")
        manager = Manager(backend)
        for parameter in MANAGER[name](backend):
            for value in ODD:
                arguments = MANAGER[name](backend) | {parameter: value}
                method = getattr(manager, name)
                tried(partial(method, **arguments), f"{parameter}={repr_of(value, 60)}", wrong)
        assert wrong == []
        check_readable(backend)


@pytest.mark.parametrize("kind", [Worker, DecisionWorker, ActivityWorker, Manager, MemoryBackend, SQLiteBackend], ids=lambda kind: kind.__name__)  # fmt: skip
def test_an_option_is_taken_or_refused(kind: Any, tmp_path: Any) -> None:
    wrong: list[str] = []
    with MemoryBackend() as backend:
        given: Arguments = {"manager": Manager(backend), "backend": backend, "path": ":memory:"}
        names = [name for name in signature(kind).parameters if name not in ("args", "kwargs")]
        for parameter in names:
            for value in ODD:
                arguments = {name: given[name] for name in names if name in given}
                arguments[parameter] = value
                if kind is SQLiteBackend and parameter == "path" and isinstance(value, str):
                    # It may name any file: let it be here.
                    arguments["path"] = f"{tmp_path}/{value}"

                def make(arguments: Arguments = arguments) -> None:
                    made = kind(**arguments)
                    with suppress(AttributeError):
                        made.close()

                tried(make, f"{parameter}={repr_of(value, 60)}", wrong)
    assert wrong == []


@pytest.mark.parametrize("kind", [Process, Signal, Poll, Retry, Completion, ActivityCompleted, ActivityFailed, ActivityCanceled, ActivityTimedOut], ids=lambda kind: kind.__name__)  # fmt: skip
def test_a_constructor_takes_an_argument_or_refuses_it(kind: Any) -> None:
    given: dict[Any, tuple[Any, ...]] = {
        Process: ("order",),
        Signal: ("s",),
        Poll: (ActivityTask,),
        Completion: (None, None),
    }
    wrong: list[str] = []
    for place, parameter in enumerate(signature(kind).parameters):
        for value in ODD:
            positional = list(given.get(kind, ()))
            named = {} if place < len(positional) else {parameter: value}
            if not named:
                positional[place] = value
            act = partial(kind, *positional, **named)
            tried(act, f"{parameter}={repr_of(value, 60)}", wrong)
    assert wrong == []


def test_what_a_completed_process_keeps_is_readable_by_another_object(tmp_path: Any) -> None:
    path = tmp_path / "x.db"
    with SQLiteBackend(path, clock=FakeClock()) as backend:
        backend.register_workflow("order")
        for value in ODD:
            with suppress(PyworkflowError):
                task = decision(backend)
                backend.complete_decision_task(task, CompleteProcess(value))
    with SQLiteBackend(path, clock=FakeClock()) as fresh:
        check_readable(fresh)
