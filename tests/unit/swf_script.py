"""A backend on a scripted Amazon SWF: each answer is held to the service model, each call to the script."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime as DateTime
from typing import Any

import boto3
from botocore.config import Config
from botocore.stub import ANY, Stubber

from pyworkflow.backend.amazonswf import AmazonSWFBackend
from pyworkflow.event import DecisionStartedEvent, Event, ProcessStartedEvent
from pyworkflow.process import Process
from pyworkflow.swf.writing import to_swf_history
from pyworkflow.task import DecisionTask

NOW = DateTime(2026, 1, 1, tzinfo=UTC)
ORDER = {"name": "order", "version": "1.0"}
__all__ = ["ANY", "NOW", "ORDER", "Script", "scripted"]


def make_client(**config: Any) -> Any:
    return boto3.session.Session().client(
        "swf",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(read_timeout=75, **config),
    )


class Script:
    """What SWF is asked, in order, and what it answers."""

    def __init__(self, stubber: Stubber, backend: AmazonSWFBackend) -> None:
        self.stubber = stubber
        self.backend = backend

    def answer(self, operation: str, answer: dict[str, Any] | None = None, **asked: Any) -> None:
        """Expect a call with these parameters among others."""
        self.stubber.add_response(operation, answer or {}, asked or None)

    def fault(self, operation: str, code: str, message: str = "no") -> None:
        self.stubber.add_client_error(operation, code, message)

    def info(self, name: str = "p", run: str = "r1", **more: Any) -> dict[str, Any]:
        return {
            "execution": {"workflowId": name, "runId": run},
            "workflowType": ORDER,
            "startTimestamp": NOW,
            "executionStatus": "CLOSED" if "closeStatus" in more else "OPEN",
            **more,
        }

    def description(
        self, name: str = "p", run: str = "r1", open_children: int = 0, **more: Any
    ) -> dict[str, Any]:
        """Return what SWF tells of one execution."""
        return {
            "executionInfo": self.info(name, run, **more),
            "executionConfiguration": {
                "taskStartToCloseTimeout": "60",
                "executionStartToCloseTimeout": "60",
                "taskList": {"name": "x"},
                "childPolicy": "ABANDON",
            },
            "openCounts": {
                "openActivityTasks": 0,
                "openDecisionTasks": 0,
                "openTimers": 0,
                "openChildWorkflowExecutions": open_children,
            },
        }

    def records(self, operation: str) -> list[dict[str, Any]]:
        """Return a list to which the parameters of each call of an operation will be added."""
        calls: list[dict[str, Any]] = []
        self.stubber.client.meta.events.register(
            f"provide-client-params.swf.{operation}", lambda params, **_: calls.append(params)
        )
        return calls

    @staticmethod
    def happened(*events: Event) -> list[Event]:
        """Return the events of a process that has started."""
        return [ProcessStartedEvent(), *events]

    def history(self, *events: Event, **process: Any) -> list[dict[str, Any]]:
        """Return a history as SWF tells it."""
        told = {"workflow": "order", "id": "p"} | process
        happened = Process(history=self.happened(*events), **told)
        return [{"eventTimestamp": NOW} | event for event in to_swf_history(happened)]

    def polled(
        self, events: list[dict[str, Any]], run: str = "r1", page: int = 0, **more: Any
    ) -> DecisionTask | None:
        """Hand out a decision on a history; return what a decider sees."""
        self.hands_out(events, run, page, **more)
        return self.backend.poll_decision_task()

    def hands_out(
        self, events: list[dict[str, Any]], run: str = "r1", page: int = 0, **more: Any
    ) -> None:
        newest = events[::-1][: page or None]
        self.answer(
            "poll_for_decision_task",
            {
                "taskToken": "token",
                "startedEventId": len(events),
                "previousStartedEventId": 0,
                "workflowExecution": {"workflowId": "p", "runId": run},
                "workflowType": ORDER,
                "events": newest,
                **more,
            },
        )

    def then_another(self, workflow: str = "order") -> None:
        """Have the next poll find another process, called ``another``: an answer without a task fits no service model."""
        events = self.history(DecisionStartedEvent(), workflow=workflow, input="another")
        kind = {"name": workflow, "version": "1.0"}
        self.hands_out(events, run="another", workflowType=kind)

    def completes(self, *decisions: Any, context: Any = None) -> None:
        """Expect the completion of a decision."""
        asked: dict[str, Any] = {"taskToken": "token", "decisions": list(decisions)}
        if context is not None:
            asked["executionContext"] = context
        self.answer("respond_decision_task_completed", **asked)

    def deciding(self, *events: Event, **process: Any) -> DecisionTask:
        """Hand out a decision after some events, which must reach a decider."""
        task = self.polled(self.history(*events, DecisionStartedEvent(), **process))
        assert task is not None
        return task


@contextmanager
def scripted(**given: Any) -> Iterator[Script]:
    client = make_client()
    with Stubber(client) as stubber, AmazonSWFBackend(client=client, domain="d", **given) as swf:
        yield Script(stubber, swf)
        stubber.assert_no_pending_responses()
