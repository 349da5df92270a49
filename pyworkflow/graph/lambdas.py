"""Lambda functions where the engine has none of its own: workers of the category ``lambda`` execute them.

What they execute is a Python callable that is registered under the function's name, or AWS Lambda itself through a boto3 client.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

from msgspec import Struct

from pyworkflow import codec
from pyworkflow.activity import Activity
from pyworkflow.codec import Json
from pyworkflow.graph.compiled import GraphWorkflow
from pyworkflow.graph.model import LambdaWork
from pyworkflow.result import ActivityFailed
from pyworkflow.workflow import Workflow

LAMBDA_CATEGORY = "lambda"
"""The queue of Lambda functions."""

Handler = Callable[..., Any]
"""A Lambda handler ``(event, context)``, or just ``(event)``."""


class LambdaContext(Struct, frozen=True):
    """What a handler is told beside its event.

    Attributes:
        function_name: The name of the function.
        aws_request_id: The id of the execution, unique among the open ones of the process.
        process_id: The process, which a handler may have signaled.
    """

    function_name: str
    aws_request_id: str
    process_id: str | None


class LambdaClient(Protocol):
    """The part of boto3's Lambda client that is needed."""

    def invoke(self, *, FunctionName: str, Payload: bytes) -> Mapping[str, Any]:
        """Execute a function and wait for it."""
        ...


class _LambdaActivity(Activity):
    category = LAMBDA_CATEGORY
    handler: Handler

    def execute(self) -> Json:
        """Call the handler."""
        execution = self.task.activity_execution
        context = LambdaContext(execution.activity, execution.id, self.task.process_id)
        return type(self).handler(self.input, context)


def lambda_function(name: str, handler: Handler) -> type[Activity]:
    """Return the activity that executes a Lambda function by calling a handler."""
    wanted = handler if _takes_context(handler) else _without_context(handler)
    settings: dict[str, Any] = {"name": name, "handler": staticmethod(wanted)}
    return type(name, (_LambdaActivity,), settings | {"__doc__": handler.__doc__})


def _without_context(handler: Handler) -> Handler:
    def call(event: Json, context: LambdaContext) -> Json:
        return handler(event)

    return call


def _takes_context(handler: Handler) -> bool:
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a built-in that does not tell
        return False
    return True


def remote_lambda(name: str, client: LambdaClient) -> type[Activity]:
    """Return the activity that executes a function of AWS Lambda through a client."""

    def invoke(event: Json, context: LambdaContext) -> Json:
        answer = client.invoke(FunctionName=name, Payload=codec.encode(event))
        body: bytes = answer["Payload"].read()
        output = _read(body)
        if "FunctionError" in answer:
            raise _failure(name, output)
        return output

    return lambda_function(name, invoke)


def _read(body: bytes) -> Json:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def _failure(name: str, told: Json) -> ActivityFailed:
    if isinstance(told, dict) and "errorMessage" in told:
        error = cast("dict[str, Json]", told)
        return ActivityFailed(
            error["errorMessage"], error.get("stackTrace"), error.get("errorType")
        )
    return ActivityFailed(f"function {name!r} failed", told)


def functions_of(workflows: Iterable[type[Workflow]]) -> list[str]:
    """Return the names of the functions that the graphs among some workflows execute."""
    names: dict[str, None] = {}
    for workflow in workflows:
        if issubclass(workflow, GraphWorkflow):
            works = [step.work for step in workflow.graph.steps.values()]
            names |= {work.function: None for work in works if isinstance(work, LambdaWork)}
    return list(names)
