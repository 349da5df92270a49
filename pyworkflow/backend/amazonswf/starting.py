"""Starting processes and telling them something, idempotently as far as SWF allows."""

from typing import Any

from pyworkflow.backend.amazonswf.client import Calls, Fault
from pyworkflow.backend.amazonswf.executions import (
    Executions,
    Info,
    execution_of,
    status_of,
)
from pyworkflow.backend.exchange import Reuse
from pyworkflow.errors import (
    BackendUnavailableError,
    ProcessAlreadyExistsError,
    ProcessClosedError,
    UnknownProcessError,
    UnknownWorkflowError,
)
from pyworkflow.process import Process, Status
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.settings import Settings
from pyworkflow.values import check_name, check_payload, check_seconds, check_tags


class Starting:
    """Starts processes.

    Args:
        calls: Calls SWF.
        executions: Finds executions.
        payloads: How values become texts.
        settings: The types that this program knows.
    """

    def __init__(
        self, calls: Calls, executions: Executions, payloads: Payloads, settings: Settings
    ) -> None:
        self._calls = calls
        self._executions = executions
        self._payloads = payloads
        self._settings = settings

    def start(self, process: Process, reuse: Reuse) -> str:
        """Start a process and return its id.

        Raises:
            UnknownWorkflowError: The workflow is not registered.
            ProcessAlreadyExistsError: A different process has the id.
        """
        check_name(process.workflow, "workflow")
        tags = check_tags(process.tags)
        check_payload(process.input, "input")
        if process.category is not None:
            check_name(process.category, "category")
        if process.timeout is not None:
            check_seconds(process.timeout, "timeout", positive=True)
        is_new = process.id is None
        process_id = check_name(process.assign_id(), "process id")
        run = 1
        if not is_new:
            # SWF keeps ids of open executions apart, and of no others.
            closed = self._newest_closed(process_id)
            if closed is not None:
                if reuse is Reuse.REJECT and self._is_same(closed, process):
                    return process_id
                _allow(process_id, status_of(closed), reuse)
                run = self._executions.first(execution_of(closed)).state.run + 1
        text = self._payloads.pack(
            process.input, process_id, "input", run=None if run == 1 else run
        )
        try:
            answer = self._calls(
                "start_workflow_execution",
                workflowId=process_id,
                workflowType=self._settings.type_of(process.workflow),
                input=text,
                tagList=list(tags) or None,
                childPolicy="ABANDON",
                **self._settings.start_options(process.workflow, process.category, process.timeout),
            )
        except Fault as fault:
            return self._not_started(process_id, process, fault)
        self._executions.note(process_id, answer["runId"])
        return process_id

    def _newest_closed(self, process_id: str) -> Info | None:
        filters = {"executionFilter": {"workflowId": process_id}}
        closed = self._executions.list("closed", filters)
        if all(execution_of(info).id != process_id for info in closed):
            return None
        runs = self._executions.runs(process_id)
        return runs[-1] if runs and status_of(runs[-1]) is not Status.OPEN else None

    def _not_started(self, process_id: str, process: Process, fault: Fault) -> str:
        if fault.code == "WorkflowExecutionAlreadyStartedFault":
            # Perhaps by this very request, whose answer was lost.
            for _ in range(2):
                try:
                    info = self._executions.find(process_id)
                except UnknownProcessError:
                    continue
                if self._is_same(info, process):
                    return process_id
                raise ProcessAlreadyExistsError(process_id, "it is open") from None
            raise BackendUnavailableError(
                f"process {process_id!r} is open on Amazon SWF and not in its lists yet"
            ) from None
        if fault.code in ("UnknownResourceFault", "TypeDeprecatedFault"):
            raise UnknownWorkflowError(process.workflow, fault.message) from None
        raise fault

    def _is_same(self, info: Info, process: Process) -> bool:
        began = self._executions.origin(execution_of(info)).state
        tags = began.tags or tuple(info.get("tagList", ()))
        return (began.workflow, began.input, tags) == (
            process.workflow,
            process.input,
            tuple(process.tags),
        )

    def tell(self, operation: str, name: str, run: str | None, **given: Any) -> None:
        """Tell a process something.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessClosedError: It is closed.
        """
        try:
            self._calls(operation, workflowId=name, runId=run, **given)
        except Fault as fault:
            if fault.code not in ("UnknownResourceFault", "ValidationException"):
                raise
            process_id = name if run is None else f"{name}:{run}"
            info = self._executions.find(process_id)
            status = status_of(info)
            if status is Status.OPEN:
                raise
            raise ProcessClosedError(process_id, status) from None


def _allow(process_id: str, status: Status, reuse: Reuse) -> None:
    if reuse is Reuse.REJECT or (reuse is Reuse.ALLOW_FAILED and status is Status.COMPLETED):
        raise ProcessAlreadyExistsError(process_id, f"it is {status}")
