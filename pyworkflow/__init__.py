"""pyworkflow: write a workflow once, as decisions on a recorded history, and run it on any backend.

The names that most programs need can be imported from here; each module is loaded when the first of its names is asked for. The
decorator `activity` is not among them, because `pyworkflow.activity` is the module that has it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyworkflow.activity import Activity as Activity
    from pyworkflow.backend import connect as connect
    from pyworkflow.backend.memory import MemoryBackend as MemoryBackend
    from pyworkflow.backend.sqlite import SQLiteBackend as SQLiteBackend
    from pyworkflow.decision import CancelActivity as CancelActivity
    from pyworkflow.decision import CancelProcess as CancelProcess
    from pyworkflow.decision import CancelTimer as CancelTimer
    from pyworkflow.decision import CompleteProcess as CompleteProcess
    from pyworkflow.decision import ContinueProcess as ContinueProcess
    from pyworkflow.decision import FailProcess as FailProcess
    from pyworkflow.decision import RecordMarker as RecordMarker
    from pyworkflow.decision import RequestCancelProcess as RequestCancelProcess
    from pyworkflow.decision import ScheduleActivity as ScheduleActivity
    from pyworkflow.decision import ScheduleLambda as ScheduleLambda
    from pyworkflow.decision import SignalProcess as SignalProcess
    from pyworkflow.decision import StartChildProcess as StartChildProcess
    from pyworkflow.decision import Timer as Timer
    from pyworkflow.manager import Manager as Manager
    from pyworkflow.process import Process as Process
    from pyworkflow.process import Status as Status
    from pyworkflow.result import ActivityCanceled as ActivityCanceled
    from pyworkflow.result import ActivityCompleted as ActivityCompleted
    from pyworkflow.result import ActivityFailed as ActivityFailed
    from pyworkflow.result import ActivityTimedOut as ActivityTimedOut
    from pyworkflow.retry import Retry as Retry
    from pyworkflow.signal import Signal as Signal
    from pyworkflow.worker import ActivityWorker as ActivityWorker
    from pyworkflow.worker import DecisionWorker as DecisionWorker
    from pyworkflow.worker import Worker as Worker
    from pyworkflow.worker import WorkerThread as WorkerThread
    from pyworkflow.workflow import DefaultWorkflow as DefaultWorkflow
    from pyworkflow.workflow import RuleSetWorkflow as RuleSetWorkflow
    from pyworkflow.workflow import Workflow as Workflow

__version__ = "0.1.0"

_NAMES = {
    "activity": ("Activity",),
    "backend": ("connect",),
    "backend.memory": ("MemoryBackend",),
    "backend.sqlite": ("SQLiteBackend",),
    "decision": (
        "CancelActivity",
        "CancelProcess",
        "CancelTimer",
        "CompleteProcess",
        "ContinueProcess",
        "FailProcess",
        "RecordMarker",
        "RequestCancelProcess",
        "ScheduleActivity",
        "ScheduleLambda",
        "SignalProcess",
        "StartChildProcess",
        "Timer",
    ),
    "manager": ("Manager",),
    "process": ("Process", "Status"),
    "result": ("ActivityCanceled", "ActivityCompleted", "ActivityFailed", "ActivityTimedOut"),
    "retry": ("Retry",),
    "signal": ("Signal",),
    "worker": ("ActivityWorker", "DecisionWorker", "Worker", "WorkerThread"),
    "workflow": ("DefaultWorkflow", "RuleSetWorkflow", "Workflow"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
