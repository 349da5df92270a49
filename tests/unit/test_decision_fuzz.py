"""Odd values in every field of every decision: refused with a typed error, or stored and read by another backend object."""

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import force_setattr

from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import (
    AnyDecision,
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    Decision,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import PyworkflowError
from pyworkflow.process import Process, Status
from pyworkflow.signal import Signal

ODD: list[Any] = [
    *(None, True, 0, -1, 2.5, float("nan"), float("inf"), 10**30),
    *("", "x" * 300, "a\0b", "\ud800", "a:b", "arn", b"x"),
    *([], [1], {}, {"a": 1}, {1: 2}, (), (object(),), {1}),
    *(object(), object, ValueError("x"), timedelta(5), Signal("s"), Timer(1), Process("order")),
]

GIVEN: dict[type[Decision], tuple[Any, ...]] = {
    ScheduleActivity: ("charge",),
    CancelActivity: ("a",),
    ScheduleLambda: ("f",),
    Timer: (1,),
    CancelTimer: ("t",),
    StartChildProcess: (Process("order"),),
    SignalProcess: ("other", Signal("s")),
    RequestCancelProcess: ("other",),
    RecordMarker: ("m",),
}


@pytest.mark.parametrize("kind", get_args(AnyDecision), ids=lambda kind: kind.__name__)
def test_a_decision_is_refused_or_can_be_read(kind: type[Decision], tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteBackend(path) as backend:
        backend.register_workflow("order")
        backend.register_activity("charge")
        for name in kind.__struct_fields__:
            for value in ODD:
                process_id = backend.start_process(Process("order"))
                task = backend.poll_decision_task()
                assert task is not None
                decision = kind(*GIVEN.get(kind, ()))
                force_setattr(decision, name, value)
                try:
                    backend.complete_decision_task(task, decision)
                except PyworkflowError:
                    backend.release_tasks([task])
                if backend.process_by_id(process_id).is_open:
                    backend.terminate_process(process_id)
                for child in backend.processes():
                    backend.terminate_process(str(child.id))
        innocent = backend.start_process(Process("order"))
        task = backend.poll_decision_task()
        assert task is not None
        backend.complete_decision_task(task, CompleteProcess(1))

    with SQLiteBackend(path) as fresh:
        assert fresh.check() == []
        for process in fresh.processes(status=None):
            assert fresh.process_by_id(str(process.id)).history
        assert fresh.process_by_id(innocent).status is Status.COMPLETED
