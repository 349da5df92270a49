"""Workflows as plain async code: ``await`` what takes time, and let the history remember it."""

from pyworkflow.decision import ChildPolicy
from pyworkflow.replay.cache import RunCache
from pyworkflow.replay.failures import (
    ChildCanceled,
    ChildFailed,
    ChildNotStarted,
    ChildTerminated,
    ChildTimedOut,
    OriginalError,
    SideEffectFailed,
)
from pyworkflow.replay.function import FunctionWorkflow, workflow
from pyworkflow.replay.handlers import on_signal, query
from pyworkflow.replay.info import Info
from pyworkflow.replay.operation import Operation
from pyworkflow.replay.saga import Saga
from pyworkflow.replay.workflow import ReplayWorkflow
from pyworkflow.result import ActivityCanceled, ActivityFailed, ActivityTimedOut

__all__ = [
    "ActivityCanceled",
    "ActivityFailed",
    "ActivityTimedOut",
    "ChildCanceled",
    "ChildFailed",
    "ChildNotStarted",
    "ChildPolicy",
    "ChildTerminated",
    "ChildTimedOut",
    "FunctionWorkflow",
    "Info",
    "Operation",
    "OriginalError",
    "ReplayWorkflow",
    "RunCache",
    "Saga",
    "SideEffectFailed",
    "on_signal",
    "query",
    "workflow",
]
