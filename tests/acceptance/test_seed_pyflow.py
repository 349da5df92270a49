"""The first pyflow's program, as its README has it: only the import line is another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import pyworkflow.graph as pyflow
from examples.pyflow import domain, functions, task_list, workflow
from pyworkflow.backend.amazonswf import AmazonSWFBackend
from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import ScheduleLambda
from pyworkflow.event import ActivityStartedEvent, DecisionEvent
from pyworkflow.process import Status
from pyworkflow.result import ProcessCompleted
from pyworkflow.testing.clock import FakeClock
from tests.lambda_swf import LambdaSWF, serving
from tests.moto_server import KEYS, REGION, make_client

ROOT = Path(__file__).parents[2]

EXPECTED = [
    ("string-upcase", "World"),
    ("string-reverse", "WORLD"),
    ("string-concat", ["Hello", " ", "DLROW"]),
]


def handlers(calls: list[tuple[str, Any]]) -> dict[str, Callable[..., Any]]:
    def recorded(name: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def handler(event: Any) -> Any:
            calls.append((name, event))
            return function(event)

        return handler

    return {name: recorded(name, function) for name, function in functions.items()}


def start() -> pyflow.WorkflowId:
    pyflow.ensure_workflow_registered(workflow, domain="SWFSampleDomain")
    workflow_name = "StringTransformer"
    workflow_version = "1.0"
    lambda_role = "arn:aws:iam::528461152743:role/swf-lambda"

    return pyflow.start_workflow(
        domain=domain,
        workflow_name=workflow_name,
        workflow_version=workflow_version,
        task_list=task_list,
        lambda_role=lambda_role,
        input="World",
    )


def poll(num_iterations: int = 1) -> None:
    pyflow.poll_for_executions(
        workflow, domain=domain, task_list=task_list, num_iterations=num_iterations, poll_seconds=0
    )


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    clock = FakeClock()
    backend: Backend = (
        MemoryBackend(clock)
        if request.param == "memory"
        else SQLiteBackend(tmp_path / "seed.db", clock=clock)
    )
    pyflow.use_backend(backend)
    yield backend, clock
    pyflow.use_backend(None)
    backend.close()


def test_the_program_gives_hello_dlrow(opened: tuple[Backend, FakeClock]) -> None:
    backend, clock = opened
    calls: list[tuple[str, Any]] = []
    workflow_id = start()

    for _ in range(2):
        poll()
        pyflow.poll_for_lambdas(handlers(calls), domain, num_iterations=1, poll_seconds=0)
    poll()
    clock.advance(29)
    poll()
    assert len(calls) == 2
    clock.advance(1)
    poll()
    pyflow.poll_for_lambdas(handlers(calls), domain, num_iterations=1, poll_seconds=0)
    poll()

    process = backend.process_by_id(workflow_id)
    assert process.result == ProcessCompleted("Hello DLROW")
    assert calls == EXPECTED
    scheduled = [
        (event.decision.function, event.decision.input)
        for event in process.history
        if isinstance(event, DecisionEvent) and isinstance(event.decision, ScheduleLambda)
    ]
    assert scheduled == EXPECTED
    assert workflow_id.startswith("StringTransformer@")
    assert workflow_id.run_id == 1
    assert backend.check() == []


def test_polls_that_find_nothing_count(opened: tuple[Backend, FakeClock]) -> None:
    backend, _ = opened
    pyflow.ensure_workflow_registered(workflow, domain)
    poll(num_iterations=3)
    workflow_id = start()
    poll(num_iterations=2)

    assert backend.process_by_id(workflow_id).history[1].type == "decision_started"


def test_another_task_list_is_not_polled(opened: tuple[Backend, FakeClock]) -> None:
    backend, _ = opened
    workflow_id = start()
    pyflow.poll_for_executions([workflow], domain, "other", "me", 1, poll_seconds=0)

    assert len(backend.process_by_id(workflow_id).history) == 1


def test_lambdas_are_executed_by_a_client(opened: tuple[Backend, FakeClock]) -> None:
    import boto3
    from botocore.stub import Stubber

    backend, clock = opened
    client = boto3.client(
        "lambda",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    workflow_id = start()

    with Stubber(client) as stubber:
        for (name, given), output in zip(EXPECTED, ["WORLD", "DLROW", "Hello DLROW"], strict=True):
            stubber.add_response(
                "invoke",
                {"StatusCode": 200, "Payload": body(output)},
                {"FunctionName": name, "Payload": encoded(given)},
            )
        for _ in range(4):
            poll()
            pyflow.poll_for_lambdas(
                workflow, domain, num_iterations=1, client=client, poll_seconds=0
            )
            clock.advance(30)
        poll()
        stubber.assert_no_pending_responses()

    assert backend.process_by_id(workflow_id).result == ProcessCompleted("Hello DLROW")


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def body(value: Any) -> Any:
    from botocore.response import StreamingBody

    data = encoded(value)
    return StreamingBody(BytesIO(data), len(data))


ONE_POLL = """
import sys
from datetime import timedelta
from pathlib import Path
import pyworkflow.graph as pyflow
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.testing.clock import START, FakeClock
from examples.pyflow import domain, functions, task_list, workflow

kind, path, log, seconds = sys.argv[1:]
clock = FakeClock(START + timedelta(seconds=int(seconds)))
with SQLiteBackend(path, clock=clock) as backend:
    if kind == "decide":
        pyflow.poll_for_executions(
            workflow, domain, task_list, num_iterations=1, backend=backend, poll_seconds=0
        )
    else:
        def logged(name, function):
            def handler(event):
                with open(log, "a") as file:
                    file.write(f"{name}\\n")
                return function(event)
            return handler

        wrapped = {name: logged(name, function) for name, function in functions.items()}
        pyflow.poll_for_lambdas(wrapped, domain, 1, backend=backend, poll_seconds=0)
"""


def test_stopped_after_every_poll_each_lambda_is_called_once(tmp_path: Path) -> None:
    path, log = tmp_path / "seed.db", tmp_path / "calls"
    with SQLiteBackend(path, clock=FakeClock()) as backend:
        pyflow.use_backend(backend)
        try:
            workflow_id = start()
        finally:
            pyflow.use_backend(None)

    def run(kind: str, seconds: int) -> None:
        command = [sys.executable, "-c", ONE_POLL, kind, str(path), str(log), str(seconds)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=60)

    for seconds in (0, 1, 2, 33):
        run("decide", seconds)
        run("lambda", seconds)
    run("decide", 34)

    with SQLiteBackend(path, clock=FakeClock()) as backend:
        process = backend.process_by_id(workflow_id)
        assert backend.check() == []
    assert process.result == ProcessCompleted("Hello DLROW")
    assert log.read_text().split() == [name for name, _ in EXPECTED]
    starts = [e for e in process.history if isinstance(e, ActivityStartedEvent)]
    assert [e.attempt for e in starts] == [1, 1, 1]


ON_SWF = """
import sys
import pyworkflow.graph as pyflow
from examples.pyflow import domain, task_list, workflow

if sys.argv[1] == "poll":
    pyflow.poll_for_executions(workflow, domain, task_list, num_iterations=1, poll_seconds=1)
else:
    pyflow.ensure_workflow_registered(workflow, domain=domain)
    workflow_id = pyflow.start_workflow(
        domain=domain,
        workflow_name="StringTransformer",
        workflow_version="1.0",
        task_list=task_list,
        lambda_role="arn:aws:iam::528461152743:role/swf-lambda",
        input="World",
    )
    print(workflow_id, workflow_id.run_id)
"""


def test_on_amazon_swf_each_lambda_is_called_once_though_the_runner_stops_after_every_poll() -> (
    None
):
    swf = LambdaSWF(functions)
    with serving(swf) as endpoint:
        environment = {
            **os.environ,
            **KEYS,
            "AWS_ENDPOINT_URL_SWF": endpoint,
            "AWS_REGION": REGION,
        }
        environment.pop("PYWORKFLOW_BACKEND", None)

        def run(what: str) -> str:
            command = [sys.executable, "-c", ON_SWF, what]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        workflow_id, run_id = run("start").split()
        for _ in range(3):
            run("poll")
        assert swf.calls == EXPECTED[:2]
        # The runner asks for what is left of 30 seconds by the clock of the machine.
        swf.advance(15)
        assert swf.events[-1]["eventType"] == "TimerStarted"
        swf.advance(15)
        for _ in range(2):
            run("poll")

        backend = AmazonSWFBackend(client=make_client(endpoint), domain=domain)
        with backend:
            pyflow.ensure_workflow_registered(workflow, domain, backend=backend)
            process = backend.process_by_id(workflow_id)
            [listed] = backend.processes("StringTransformer-1.0", status=Status.COMPLETED)

    assert swf.calls == EXPECTED
    assert process.result == ProcessCompleted("Hello DLROW")
    assert process.workflow == listed.workflow == "StringTransformer-1.0"
    assert (workflow_id, run_id) == (swf.started["workflowId"], "1")
    # Amazon is told what the program says, a name and a version.
    assert list(swf.types) == [("StringTransformer", "1.0")]
    assert swf.started["workflowType"] == {"name": "StringTransformer", "version": "1.0"}
    assert swf.started["lambdaRole"] == "arn:aws:iam::528461152743:role/swf-lambda"
    assert swf.started["taskList"] == {"name": task_list}
    assert swf.started["input"] == '"World"'
    key = "lambdaFunctionScheduledEventAttributes"
    told = [event[key] for event in swf.events if key in event]
    assert [(a["name"], a["input"]) for a in told] == [
        ("string-upcase", '"World"'),
        ("string-reverse", '"WORLD"'),
        ("string-concat", '["Hello"," ","DLROW"]'),
    ]


def test_the_example_runs() -> None:
    command = [sys.executable, "-m", "examples.pyflow", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines()[-1] == "ProcessCompleted(result='Hello DLROW')"
    assert "UpperCaser<br/>λ string-upcase<br/>completed" in done.stdout
