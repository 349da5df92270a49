"""Lambda functions without Amazon, and the calls of the first pyflow."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from pyworkflow.activity import Activity, ActivityExecution
from pyworkflow.backend.base import Backend
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.errors import InvalidRequestError, UnknownWorkflowError
from pyworkflow.graph import (
    LambdaContext,
    LambdaTask,
    SignalTask,
    Workflow,
    WorkflowTask,
    ensure_workflow_registered,
    lambda_function,
    lambdas,
    remote_lambda,
    start_workflow,
    use_backend,
)
from pyworkflow.graph.service import VARIABLE, backend_for
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityFailed, ProcessCompleted, ProcessFailed
from pyworkflow.task import ActivityTask
from pyworkflow.worker import ActivityWorker, DecisionWorker


def execute(activity: type[Activity], event: Any) -> Any:
    execution = ActivityExecution(activity.name, "a#1.1", event)
    return activity.bind(ActivityTask(execution, "p")).execute()


@pytest.mark.parametrize("handler", [len, str.upper, json.dumps, lambda event: event])
def test_a_handler_may_take_the_event_alone(handler: Any) -> None:
    activity = lambda_function("f", handler)

    assert (activity.name, activity.category) == ("f", "lambda")
    assert execute(activity, "event") == handler("event")


def test_a_handler_is_told_the_process() -> None:
    activity = lambda_function("f", lambda event, context: [event, context])

    assert execute(activity, 0) == [0, LambdaContext("f", "a#1.1", "p")]


# -- through a client ---------------------------------------------------------------------------------------------------------------


def answered(payload: bytes, **more: Any) -> Any:
    """What a function that AWS answers so gives, invoked with [1]."""
    client = boto3.client(
        "lambda",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    body = StreamingBody(BytesIO(payload), len(payload))
    with Stubber(client) as stubber:
        answer = {"StatusCode": 200, "Payload": body, **more}
        stubber.add_response("invoke", answer, {"FunctionName": "f", "Payload": b"[1]"})
        return execute(remote_lambda("f", client), [1])


@pytest.mark.parametrize(
    ("payload", "output"), [(b'{"a":0}', {"a": 0}), (b"null", None), (b"", None), (b"oops", "oops")]
)
def test_a_client_gives_the_output(payload: bytes, output: Any) -> None:
    assert answered(payload) == output


def test_an_error_of_a_function_is_a_failure_with_its_kind() -> None:
    told = {"errorMessage": "boom", "errorType": "ValueError", "stackTrace": ["line 1"]}

    with pytest.raises(ActivityFailed) as caught:
        answered(json.dumps(told).encode(), FunctionError="Unhandled")

    failed = caught.value
    assert (failed.reason, failed.details, failed.type_name) == ("boom", ["line 1"], "ValueError")


def test_an_error_without_a_message_is_a_failure_all_the_same() -> None:
    with pytest.raises(ActivityFailed, match="function 'f' failed"):
        answered(b'"timed out"', FunctionError="Unhandled")


def test_which_functions_a_client_executes_is_told_by_the_workflows() -> None:
    inner = Workflow("inner")
    inner.add(LambdaTask("a", "deep"))
    outer = Workflow("outer")
    outer.add(LambdaTask("a", "shallow"))
    outer.add(LambdaTask("b", "shallow"))
    outer.add(WorkflowTask("c", inner))
    client: Any = object()

    assert [activity.name for activity in lambdas(outer, client)] == ["shallow", "deep"]
    assert [activity.name for activity in lambdas([outer, inner], client)] == ["shallow", "deep"]
    assert [activity.name for activity in lambdas({"x": len})] == ["x"]
    with pytest.raises(TypeError, match="a client is needed"):
        lambdas(outer)
    with pytest.raises(TypeError, match="not callables"):
        lambdas({"x": len}, client)


def test_lambdas_are_activities_like_any_other_for_a_worker() -> None:
    graph = Workflow("w")
    first = graph.add(LambdaTask("first", "len", depends_on=[graph.start_task]))
    graph.add(LambdaTask("second", "bad", depends_on=[first], num_retries=1, retry_interval=0))
    manager = Manager(MemoryBackend(), graph.workflows(), lambdas({"len": len, "bad": next}))
    manager.start_process(Process("w", "p", "four"))
    workers = DecisionWorker(manager), ActivityWorker(manager, category="lambda")
    while any(worker.step() for worker in workers):
        pass

    result = manager.process_by_id("p").result
    assert isinstance(result, ProcessFailed)
    assert result.reason == "step 'second' failed: 'int' object is not an iterator"


# -- which backend ------------------------------------------------------------------------------------------------------------------


def test_the_backend_is_the_given_one_then_the_chosen_one_then_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, chosen = MemoryBackend(), MemoryBackend()
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/{{domain}}.db")
    use_backend(chosen)
    try:
        assert backend_for("d", given) is given
        assert backend_for("d") is chosen
    finally:
        use_backend(None)

    opened = backend_for("d")
    assert (tmp_path / "d.db").exists()
    assert backend_for("d") is opened
    assert backend_for("e") is not opened
    for domain in "de":
        backend_for(domain).close()


def test_without_any_the_backend_is_amazons(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(url: str) -> MemoryBackend:
        asked.append(url)
        return MemoryBackend()

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("pyworkflow.graph.service.connect", connect)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    backend_for("one-domain")

    assert asked == ["swf://eu-west-1/one-domain"]


def test_a_backend_that_cannot_be_is_told() -> None:
    with pytest.raises(InvalidRequestError, match="no backend has this scheme"):
        backend_for("d", "nothing://{domain}")


@pytest.mark.parametrize("wrap", [lambda backend: backend, BlinkerBackend])
def test_the_role_of_lambdas_reaches_the_engine(wrap: Callable[[Backend], Backend]) -> None:
    backend = MemoryBackend()
    graph = Workflow("w")
    ensure_workflow_registered(graph, "d", backend=wrap(backend))
    start_workflow("d", "w", lambda_role="arn:aws:iam::1:role/x", backend=wrap(backend))

    assert backend.lambda_role == "arn:aws:iam::1:role/x"


def test_a_process_is_started_as_it_is_asked_for() -> None:
    backend = MemoryBackend()
    graph = Workflow("w", "7")
    graph.add(SignalTask("go"))
    ensure_workflow_registered(graph, "d", backend=backend)
    with pytest.raises(UnknownWorkflowError):
        start_workflow("d", "w", backend=backend)

    id = start_workflow(
        "d", "w", "7", "queue", input=0, workflow_id="mine", tags=["t"], backend=backend
    )

    process = backend.process_by_id(id)
    assert (id, id.run_id) == ("mine", 1)
    assert (process.workflow, process.input, process.tags) == ("w-7", 0, ("t",))
    backend.signal_process(id, "go", 5)
    manager = Manager(backend, graph.workflows())
    assert not DecisionWorker(manager).step()
    assert DecisionWorker(manager, category="queue").step()
    assert backend.process_by_id(id).result == ProcessCompleted(5)


def test_threads_that_open_one_backend_at_once_share_it(tmp_path: Path) -> None:
    barrier = Barrier(8)
    url = f"sqlite:///{tmp_path}/{{domain}}.db"

    def open_one(_: int) -> Backend:
        barrier.wait(60)
        return backend_for("shared", url)

    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(open_one, range(8)))

    assert len({id(backend) for backend in opened}) == 1
    assert opened[0].processes() == []
    opened[0].close()
