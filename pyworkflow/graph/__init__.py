"""Workflows as declared graphs: steps, what each depends on, and what it is given.

``import pyworkflow.graph as pyflow`` is all that a program of the first pyflow has to change.
"""

from pyworkflow.graph.compiled import GraphWorkflow
from pyworkflow.graph.drawing import Drawing
from pyworkflow.graph.errors import (
    CycleError,
    DuplicateStepError,
    GraphError,
    UnknownStepError,
    UnreachableStepError,
)
from pyworkflow.graph.functions import FunctionTask
from pyworkflow.graph.lambdas import LambdaContext, lambda_function, remote_lambda
from pyworkflow.graph.model import After, Graph, Join, OnFailure, Step
from pyworkflow.graph.service import (
    WorkflowId,
    backend_for,
    ensure_workflow_registered,
    lambdas,
    poll_for_executions,
    poll_for_lambdas,
    start_workflow,
    use_backend,
)
from pyworkflow.graph.state import StepStatus
from pyworkflow.graph.tasks import (
    ActivityTask,
    LambdaTask,
    PassTask,
    SignalTask,
    StartTask,
    Task,
    TimerTask,
    WorkflowTask,
)
from pyworkflow.graph.workflow import Workflow

InvalidWorkflowError = GraphError
"""The first pyflow's name of `GraphError`."""

__all__ = [
    "ActivityTask",
    "After",
    "CycleError",
    "Drawing",
    "DuplicateStepError",
    "FunctionTask",
    "Graph",
    "GraphError",
    "GraphWorkflow",
    "InvalidWorkflowError",
    "Join",
    "LambdaContext",
    "LambdaTask",
    "OnFailure",
    "PassTask",
    "SignalTask",
    "StartTask",
    "Step",
    "StepStatus",
    "Task",
    "TimerTask",
    "UnknownStepError",
    "UnreachableStepError",
    "Workflow",
    "WorkflowId",
    "WorkflowTask",
    "backend_for",
    "ensure_workflow_registered",
    "lambda_function",
    "lambdas",
    "poll_for_executions",
    "poll_for_lambdas",
    "remote_lambda",
    "start_workflow",
    "use_backend",
]
