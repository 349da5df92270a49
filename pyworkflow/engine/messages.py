"""Messages about workflows and tasks: what those who listen to `EXEC_TOPIC` are told."""

from pyworkflow.codec import Json
from pyworkflow.engine.broker import Broker, workflow_exec_topics
from pyworkflow.engine.event import EventSource
from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.states import FutureState, TaskExecState

_ENDS = {
    FutureState.finished: TaskExecState.END,
    FutureState.skipped: TaskExecState.SKIP,
    FutureState.timeout: TaskExecState.TIMEOUT,
    FutureState.exception: TaskExecState.ERROR,
}


def tell(broker: Broker, source: EventSource, type: str, content: Json = None) -> None:
    """Tell something of a workflow, or of one of its tasks.

    Args:
        broker: Who passes it on.
        source: The workflow or the task.
        type: What kind of message it is.
        content: Any JSON.
    """
    if broker.is_heard:
        message = {"type": str(type), "content": content}
        broker.dispatch(message, workflow_exec_topics(source.workflow_exec_id), source)


def tell_of_end(broker: Broker, source: EventSource, record: TaskRecord) -> None:
    """Tell how a task ended. Nobody is told of one that was canceled but with its workflow.

    Args:
        broker: Who passes it on.
        source: The workflow.
        record: The task.
    """
    message = _ENDS.get(record.state)
    if message is None or not broker.is_heard:
        return
    content: Json = record.as_dict()["outputs"]
    if content is None and record.error is not None:
        content = {"exception": record.error, "type": record.error_type}
    tell(broker, record.source(source), message, content)
