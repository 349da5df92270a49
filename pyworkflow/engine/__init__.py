"""The event engine: workflows as dicts of registered coroutines, started by data, in one event loop.

``import pyworkflow.engine as tukio`` is all that a program of the first tukio has to change.
"""

from pyworkflow.engine.broker import (
    EXEC_TOPIC,
    Broker,
    TopicManager,
    get_broker,
    workflow_exec_topics,
)
from pyworkflow.engine.dag import DAG
from pyworkflow.engine.engine import Engine
from pyworkflow.engine.errors import (
    DAGValidationError,
    RescueError,
    SkipTask,
    TemplateError,
    TukioTaskError,
    UnknownTaskName,
    UnknownTemplateError,
    WorkflowError,
    WorkflowRootTaskError,
)
from pyworkflow.engine.event import Event, EventSource
from pyworkflow.engine.holder import TaskHolder
from pyworkflow.engine.join import JoinTask
from pyworkflow.engine.registry import TaskRegistry, register
from pyworkflow.engine.selector import Selector, WorkflowSelector
from pyworkflow.engine.states import (
    FutureState,
    JoinStatus,
    OverrunPolicy,
    TaskExecState,
    WorkflowExecState,
)
from pyworkflow.engine.task import TukioTask, new_task
from pyworkflow.engine.template import TaskTemplate, WorkflowTemplate
from pyworkflow.engine.workflow import Workflow

__all__ = [
    "DAG",
    "EXEC_TOPIC",
    "Broker",
    "DAGValidationError",
    "Engine",
    "Event",
    "EventSource",
    "FutureState",
    "JoinStatus",
    "JoinTask",
    "OverrunPolicy",
    "RescueError",
    "Selector",
    "SkipTask",
    "TaskExecState",
    "TaskHolder",
    "TaskRegistry",
    "TaskTemplate",
    "TemplateError",
    "TopicManager",
    "TukioTask",
    "TukioTaskError",
    "UnknownTaskName",
    "UnknownTemplateError",
    "Workflow",
    "WorkflowError",
    "WorkflowExecState",
    "WorkflowRootTaskError",
    "WorkflowSelector",
    "WorkflowTemplate",
    "get_broker",
    "new_task",
    "register",
    "workflow_exec_topics",
]
