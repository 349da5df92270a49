"""A small Amazon SWF over HTTP for what moto's lacks: Lambda functions. One domain, one process at a time, a clock that a test moves."""

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Told = dict[str, Any]


class UnknownTypeError(Exception):
    """Nobody has registered the type."""


class LambdaSWF:
    """Keeps a process, hands out decisions, and calls the functions that are scheduled.

    Args:
        functions: Python callables by the name of the function.

    Attributes:
        types: The names and versions that were registered.
        calls: The functions that were called, each with its event.
        events: The history, as SWF tells it.
        started: What the process was started with.
    """

    def __init__(self, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        self.functions = functions
        self.types: dict[tuple[str, str], Told] = {}
        self.calls: list[tuple[str, Any]] = []
        self.events: list[Told] = []
        self.started: Told = {}
        self._now = time.time()
        self._timers: dict[str, tuple[float, int]] = {}
        self._previous = 0
        self._lock = threading.Lock()

    # -- what is asked over HTTP -----------------------------------------------------------------------------------------------------

    def answer(self, operation: str, asked: Told) -> Told:
        with self._lock:
            found: Told = getattr(self, f"do_{operation}")(asked)
            return found

    def do_DescribeWorkflowType(self, asked: Told) -> Told:
        wanted = asked["workflowType"]
        if (wanted["name"], wanted["version"]) not in self.types:
            raise UnknownTypeError("Unknown type")
        info = {"workflowType": wanted, "status": "REGISTERED", "creationDate": self._now}
        known = self.types[wanted["name"], wanted["version"]]
        defaults = {key: value for key, value in known.items() if key.startswith("default")}
        return {"typeInfo": info, "configuration": defaults}

    def do_RegisterWorkflowType(self, asked: Told) -> Told:
        self.types[asked["name"], asked["version"]] = asked
        return {}

    def do_StartWorkflowExecution(self, asked: Told) -> Told:
        self.do_DescribeWorkflowType(asked)
        self.started = asked
        started = {
            key: value for key, value in asked.items() if key not in ("domain", "workflowId")
        }
        self._add("WorkflowExecutionStarted", parentInitiatedEventId=0, **started)
        self._want_decision()
        return {"runId": "run-1"}

    def do_ListOpenWorkflowExecutions(self, asked: Told) -> Told:
        return {"executionInfos": [] if self._is_closed() else self._infos()}

    def do_ListClosedWorkflowExecutions(self, asked: Told) -> Told:
        return {"executionInfos": self._infos() if self._is_closed() else []}

    def do_DescribeWorkflowExecution(self, asked: Told) -> Told:
        return {
            "executionInfo": self._infos()[0],
            "executionConfiguration": {},
            "openCounts": {},
        }

    def do_GetWorkflowExecutionHistory(self, asked: Told) -> Told:
        return {"events": self.events[: asked.get("maximumPageSize")]}

    def do_PollForDecisionTask(self, asked: Told) -> Told:
        last = self.events[-1] if self.events else {}
        if (
            last.get("eventType") != "DecisionTaskScheduled"
            or asked["taskList"] != self.started["taskList"]
        ):
            return {"startedEventId": 0, "taskToken": ""}
        before = self._previous
        self._previous = self._add("DecisionTaskStarted", scheduledEventId=last["eventId"])
        return {
            "taskToken": "token",
            "startedEventId": self._previous,
            "previousStartedEventId": before,
            "workflowExecution": self._execution(),
            "workflowType": self.started["workflowType"],
            "events": self.events[::-1] if asked.get("reverseOrder") else self.events,
        }

    def do_RespondDecisionTaskCompleted(self, asked: Told) -> Told:
        decided = self._add(
            "DecisionTaskCompleted",
            scheduledEventId=self._previous - 1,
            startedEventId=self._previous,
        )
        for decision in asked["decisions"]:
            kind = decision["decisionType"]
            key = f"{kind[0].lower()}{kind[1:]}DecisionAttributes"
            attributes = decision.get(key, {}) | {"decisionTaskCompletedEventId": decided}
            getattr(self, f"_{kind}")(attributes)
        return {}

    # -- what decisions do -----------------------------------------------------------------------------------------------------------

    def _ScheduleLambdaFunction(self, a: Told) -> None:
        scheduled = self._add("LambdaFunctionScheduled", **a)
        started = self._add("LambdaFunctionStarted", scheduledEventId=scheduled)
        event = json.loads(a["input"])
        self.calls.append((a["name"], event))
        result = json.dumps(self.functions[a["name"]](event))
        ends = {"scheduledEventId": scheduled, "startedEventId": started, "result": result}
        self._add("LambdaFunctionCompleted", **ends)
        self._want_decision()

    def _StartTimer(self, a: Told) -> None:
        started = self._add("TimerStarted", **a)
        self._timers[a["timerId"]] = self._now + float(a["startToFireTimeout"]), started

    def _CompleteWorkflowExecution(self, a: Told) -> None:
        self._add("WorkflowExecutionCompleted", **a)

    # -- what a test does ------------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds
            for timer_id, (due, started) in list(self._timers.items()):
                if due <= self._now:
                    del self._timers[timer_id]
                    self._add("TimerFired", timerId=timer_id, startedEventId=started)
                    self._want_decision()

    # -- what is kept ----------------------------------------------------------------------------------------------------------------

    def _add(self, kind: str, **attributes: Any) -> int:
        number = len(self.events) + 1
        told = {"eventId": number, "eventType": kind, "eventTimestamp": self._now}
        self.events.append(told | {f"{kind[0].lower()}{kind[1:]}EventAttributes": attributes})
        return number

    def _want_decision(self) -> None:
        self._add("DecisionTaskScheduled", taskList=self.started["taskList"])

    def _is_closed(self) -> bool:
        return bool(self.events) and self.events[-1]["eventType"] == "WorkflowExecutionCompleted"

    def _execution(self) -> Told:
        return {"workflowId": self.started["workflowId"], "runId": "run-1"}

    def _infos(self) -> list[Told]:
        if not self.events:
            return []
        info = {
            "execution": self._execution(),
            "workflowType": self.started["workflowType"],
            "startTimestamp": self.events[0]["eventTimestamp"],
            "executionStatus": "CLOSED" if self._is_closed() else "OPEN",
        }
        if self._is_closed():
            info |= {"closeStatus": "COMPLETED", "closeTimestamp": self._now}
        return [info]


@contextmanager
def serving(swf: LambdaSWF) -> Generator[str]:
    """Serve it in a thread; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            try:
                status, told = 200, swf.answer(operation, asked)
            except UnknownTypeError as error:
                kind = "com.amazonaws.swf.base.model#UnknownResourceFault"
                status, told = 400, {"__type": kind, "message": str(error)}
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
