"""Running graphs the way the first pyflow does: register, poll, start.

Which backend a call means: the one it is given, else the one of `use_backend`, else that of the URL in ``PYWORKFLOW_BACKEND``, else Amazon
SWF with the domain. A backend is opened once for each URL. ``{domain}`` in a URL stands for the domain.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from pyworkflow.activity import Activity
from pyworkflow.backend.base import DEFAULT_CATEGORY, Backend
from pyworkflow.backend.registry import connect
from pyworkflow.codec import Json
from pyworkflow.graph.lambdas import (
    LAMBDA_CATEGORY,
    Handler,
    LambdaClient,
    lambda_function,
    remote_lambda,
)
from pyworkflow.graph.tasks import registered_name, versions_of
from pyworkflow.graph.workflow import Workflow
from pyworkflow.ids import new_id
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.worker.simple import POLL_SECONDS, SimpleWorker

VARIABLE = "PYWORKFLOW_BACKEND"

_opened: dict[str, Backend] = {}
_chosen: list[Backend | str] = []


class WorkflowId(str):
    """The id of a process that was started.

    Attributes:
        run_id: The number of its run.
    """

    __slots__ = ("run_id",)

    run_id: int

    def __new__(cls, process_id: str, run_id: int) -> WorkflowId:
        """Return the id as text that knows its run."""
        made = super().__new__(cls, process_id)
        made.run_id = run_id
        return made


def use_backend(backend: Backend | str | None) -> None:
    """Have the calls of this OS process that name no backend use this one, given as itself or by its URL; None undoes it."""
    _chosen[:] = [] if backend is None else [backend]


def backend_for(domain: str, backend: Backend | str | None = None) -> Backend:
    """Return the backend that a call means.

    Raises:
        InvalidRequestError: No backend has the scheme of the URL.
        BackendUnavailableError: The store cannot be opened.
    """
    meant = backend or next(iter(_chosen), None) or os.environ.get(VARIABLE) or _swf_url()
    if isinstance(meant, Backend):
        return meant
    url = meant.replace("{domain}", domain)
    if url in _opened:
        return _opened[url]
    mine = connect(url)
    opened = _opened.setdefault(url, mine)
    if opened is not mine:
        # Another thread was faster.
        mine.close()
    return opened


def _swf_url() -> str:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return f"swf://{region}/{{domain}}"


def ensure_workflow_registered(
    workflow: Workflow, domain: str, *, backend: Backend | str | None = None
) -> None:
    """Make a workflow, its sub-graphs and its activities known to the backend.

    Raises:
        GraphError: The workflow cannot run.
    """
    Manager(backend_for(domain, backend), workflow.workflows())


def poll_for_executions(
    workflow: Workflow | Sequence[Workflow],
    domain: str,
    task_list: str = DEFAULT_CATEGORY,
    identity: str | None = None,
    num_iterations: int | None = None,
    *,
    backend: Backend | str | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Decide processes of some workflows.

    Nothing is kept between two decisions that the history does not tell: stop at any time, and go on in another OS process.

    Args:
        workflow: The workflow, or several.
        domain: See this module.
        task_list: The category to poll.
        identity: Who polls, for people to read.
        num_iterations: How many polls to make, those that find nothing included; for ever if left out.
        backend: See this module.
        poll_seconds: Seconds that a poll waits for something to decide.
    """
    several = [workflow] if isinstance(workflow, Workflow) else workflow
    classes = [cls for one in several for cls in one.workflows()]
    manager = Manager(backend_for(domain, backend), classes)
    _poll(DecisionWorker(manager, identity, task_list), num_iterations, poll_seconds)


def poll_for_lambdas(
    functions: Mapping[str, Handler] | Workflow | Sequence[Workflow],
    domain: str,
    num_iterations: int | None = None,
    *,
    client: LambdaClient | None = None,
    backend: Backend | str | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Execute the Lambda functions of a backend whose engine has none. On Amazon SWF they are executed by AWS, and nobody need poll.

    Args:
        functions: Python callables by the names of the functions; or, with a client, the workflows whose functions are meant.
        domain: See this module.
        num_iterations: How many polls to make, those that find nothing included; for ever if left out.
        client: boto3's Lambda client, to have AWS execute the functions.
        backend: See this module.
        poll_seconds: Seconds that a poll waits for something to do.
    """
    manager = Manager(backend_for(domain, backend), activities=lambdas(functions, client))
    _poll(ActivityWorker(manager, category=LAMBDA_CATEGORY), num_iterations, poll_seconds)


def lambdas(
    functions: Mapping[str, Handler] | Workflow | Sequence[Workflow],
    client: LambdaClient | None = None,
) -> list[type[Activity]]:
    """Return the activities that execute Lambda functions, for a manager whose workers poll the category ``lambda``.

    Args:
        functions: Python callables by name; or, with a client, the workflows whose functions are meant.
        client: boto3's Lambda client.

    Raises:
        TypeError: Workflows were given without a client, or callables with one.
    """
    if isinstance(functions, Mapping):
        if client is not None:
            raise TypeError("a client executes the functions of workflows, not callables")
        return [lambda_function(name, handler) for name, handler in functions.items()]
    if client is None:
        raise TypeError("workflows name functions, and a client is needed to execute them")
    several = [functions] if isinstance(functions, Workflow) else functions
    names = dict.fromkeys(name for one in several for name in one.lambda_functions())
    return [remote_lambda(name, client) for name in names]


def start_workflow(
    domain: str,
    workflow_name: str,
    workflow_version: str | None = None,
    task_list: str = DEFAULT_CATEGORY,
    lambda_role: str | None = None,
    input: Json = None,
    *,
    workflow_id: str | None = None,
    tags: Iterable[str] = (),
    backend: Backend | str | None = None,
) -> WorkflowId:
    """Start a process of a registered workflow and return its id.

    Args:
        domain: See this module.
        workflow_name: The workflow's name.
        workflow_version: Its version, if it has one.
        task_list: The category of its decisions: what `poll_for_executions` polls.
        lambda_role: The role that AWS executes Lambda functions in. Only Amazon SWF needs one.
        input: Any JSON.
        workflow_id: The id of the process; a new one if left out.
        tags: Up to five texts.
        backend: See this module.

    Raises:
        UnknownWorkflowError: The workflow is not registered.
    """
    opened = backend_for(domain, backend)
    if lambda_role is not None:
        opened.lambda_role = lambda_role
    registered = registered_name(workflow_name, workflow_version)
    opened.register_versions(versions_of(registered, workflow_version))
    process = Process(
        registered,
        workflow_id or f"{workflow_name}@{new_id()}",
        input=input,
        tags=tags,
        category=task_list,
    )
    started = opened.start_process(process)
    return WorkflowId(started, opened.process_by_id(started).run)


def _poll(worker: SimpleWorker, num_iterations: int | None, poll_seconds: float) -> None:
    if num_iterations is None:
        worker.run()
        return
    for _ in range(num_iterations):
        worker.step(wait=poll_seconds)
