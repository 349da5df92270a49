"""Payloads are values: whatever code does to one that it was handed changes nothing that is recorded, and nothing that anybody else reads."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from pyworkflow.activity import activity
from pyworkflow.backend.base import Backend
from pyworkflow.codec import fields, to_plain
from pyworkflow.decision import (
    CompleteProcess,
    RecordMarker,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import ForbiddenInWorkflowError
from pyworkflow.graph import SignalTask
from pyworkflow.graph import Workflow as Graph
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, RunCache, query
from pyworkflow.result import ActivityResult
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from pyworkflow.workflow import DefaultWorkflow, Workflow
from pyworkflow.workflow.rules import completed_activity, process_started, signal, timer
from pyworkflow.workflow.ruleset import RuleSetWorkflow
from tests.local_backends import LOCAL, local_backend

GIVEN = {"id": "order-1", "lines": [{"sku": "tea", "notes": ["fragile"]}, {"sku": "pot"}]}


class Spoiler:
    """Changes values that it is handed, by chance, unless it is idle."""

    def __init__(self) -> None:
        self.chance: Random | None = None
        self.changed = 0

    def __call__(self, value: Any) -> None:
        if self.chance is None or self.chance.random() < 0.3:
            return
        if isinstance(value, dict):
            for item in list(value.values()):
                self(item)
            value["spoiled"] = True
            value.pop("sku", None)
            self.changed += 1
        elif isinstance(value, list):
            for item in value:
                self(item)
            value.append("spoiled")
            self.changed += 1

    def reach(self, thing: Any) -> None:
        """Change whatever can be reached from a struct."""
        if isinstance(thing, Struct):
            for item in fields(thing).values():
                self.reach(item)
        elif isinstance(thing, ActivityResult):
            for name in thing.fields:
                self(getattr(thing, name))
        elif isinstance(thing, dict | list):
            self(thing)
        elif isinstance(thing, Iterator) or hasattr(thing, "unseen"):
            for item in thing:
                self.reach(item)


spoil = Spoiler()


def spoils(value: Any) -> bool:
    """Change a value, as a filter that takes every value."""
    spoil(value)
    return True


@activity
def charge(order: dict[str, Any]) -> Any:
    charged = {"charged": deepcopy(order), "fees": [[1], [2]]}
    spoil(order)
    return charged


class Child(Workflow):
    name = "Child"

    def decide(self, process: Process) -> Any:
        result = {"child": process.input}
        spoil.reach(process)
        return CompleteProcess(result)


class Handlers(DefaultWorkflow):
    name = "Handlers"
    activities = (charge,)

    def initiate(self, process: Process) -> Any:
        spoil.reach(process)
        return ScheduleActivity(charge, "charge", input=process.input)

    def respond_to_completed_activity(self, process: Process, execution: Any, result: Any) -> Any:
        spoil(result)
        spoil(execution.input)
        spoil.reach(process)
        [ended] = [e for e in process.unseen_events() if e.type == "activity"]
        return [
            RecordMarker("result", ended.result.result),  # type: ignore[attr-defined]
            RecordMarker("input", process.input),
            Timer(5, {"again": [process.input]}, "timer"),
        ]

    def respond_to_timer(self, process: Process, fired: Timer) -> Any:
        data = fired.data
        spoil(fired.data)
        spoil.reach(process)
        return [
            RecordMarker("data", data),
            StartChildProcess(Process(Child, f"{process.id}-child", process.input)),
        ]

    def respond_to_child_process(
        self, process: Process, child_id: Any, workflow: Any, result: Any, tags: Any
    ) -> Any:
        spoil.reach(result)
        spoil.reach(process)
        return RecordMarker("child", to_plain(result))

    def respond_to_signal(self, process: Process, received: Any) -> Any:
        spoil(received.data)
        spoil.reach(process)
        return CompleteProcess([received.data, process.input])


class Rules(RuleSetWorkflow):
    name = "Rules"
    activities = (charge,)

    @process_started
    def start(self, event: Any, process: Process) -> Any:
        spoil.reach(process)
        return ScheduleActivity(charge, "charge", input=process.input)

    @completed_activity(charge, input=spoils, result=spoils)
    def charged(self, event: Any, process: Process) -> Any:
        spoil.reach(event)
        spoil.reach(process)
        return [RecordMarker("result", event.result.result), Timer(5, event.result.result, "timer")]

    @timer(spoils)
    def later(self, event: Any, process: Process) -> Any:
        return RecordMarker("data", event.timer.data)

    @signal("stop")
    def stop(self, event: Any, process: Process) -> Any:
        spoil.reach(event)
        return CompleteProcess([event.signal.data, process.input])


class Replayed(ReplayWorkflow):
    name = "Replayed"
    activities = (charge,)
    cache = RunCache()

    def _keep(self, value: Any) -> None:
        self.kept.append(deepcopy(value))
        spoil(value)

    async def run(self, order: dict[str, Any]) -> Any:
        self.kept: list[Any] = []
        sent = deepcopy(order)
        self._keep(order)
        charging = self.activity(charge, sent)
        spoil(sent)
        self._keep(await charging)
        self._keep(self.info.input)
        self._keep(self.side_effect(lambda: {"made": [1, [2]]}))
        await self.sleep(5)
        self._keep(await self.options(id=f"{self.info.id}-child").child(Child, self.info.input))
        self._keep(await self.signal("stop"))
        return self.kept

    @query
    def show(self) -> Any:
        shown = json.dumps(self.kept)
        spoil(self.kept)
        return shown


class Cold(Replayed):
    name = "Cold"
    cache = RunCache(0)


graph = Graph("Graph")


@graph.step
def pay(input: dict[str, Any]) -> Any:
    paid = {"paid": deepcopy(input)}
    spoil(input)
    return paid


graph.add(SignalTask("stopped", "stop"))


@graph.step
def end(pay: dict[str, Any], stopped: dict[str, Any]) -> Any:
    ended = deepcopy([pay, stopped])
    spoil(pay)
    spoil(stopped)
    return ended


GraphWorkflow = graph.as_workflow()

STYLES: dict[str, type[Workflow]] = {
    "handlers": Handlers,
    "rules": Rules,
    "replayed": Replayed,
    "cold": Cold,
    "graph": GraphWorkflow,
}


def _told(backend: Backend, process_id: str) -> list[Any]:
    """Return what is recorded of a process, less times."""
    process = backend.process_by_id(process_id)
    events = [to_plain(event) for event in process.history]
    for event in events:
        event.pop("datetime", None)
        event.pop("identity", None)
    return [events, to_plain(process.result), process.input]


def _run(backend: Backend, clock: FakeClock, style: str, name: str) -> list[Any]:
    """Run a process to its end; return all that anybody is told of it on the way."""
    workflow = STYLES[style]
    runner = Runner(workflow, Child, backend=backend, clock=clock)
    manager = runner.manager
    seen: list[Any] = []

    def look() -> None:
        for _ in range(2):
            seen.append(_told(backend, name))
            process = manager.process_by_id(name)
            pending = manager.pending(name)
            spoil.reach(process)
            for one in pending:
                spoil.reach(one)
            for registered in backend.workflows():
                seen.append(to_plain(registered.graph))
                spoil(registered.graph)
            for entry in backend.feed():
                spoil.reach(entry.event)
            if issubclass(workflow, ReplayWorkflow):
                seen.append(manager.query(name, "show"))

    order = deepcopy(GIVEN)
    process = Process(workflow, name, order)
    manager.start_process(process)
    spoil(order)
    look_at = [runner.work, lambda: clock.advance(10), runner.work]
    for step in look_at:
        step()
        look()
    data = {"why": ["done", {"by": "ann"}]}
    manager.signal_process(name, "stop", data)
    spoil(data)
    look()
    runner.work()
    look()
    assert backend.check() == []
    assert not manager.process_by_id(name).is_open
    return seen


def _both(backend: Backend, clock: FakeClock, style: str, seed: int) -> tuple[Any, Any]:
    entries: list[Any] = []

    def observe(news: list[Any]) -> None:
        entries.extend(to_plain(entry.event) for entry in news)
        for entry in news:
            spoil.reach(entry.event)

    backend.observe(observe)
    spoil.chance = None
    quiet = json.dumps(_run(backend, clock, style, f"quiet-{seed}"))
    spoil.chance = Random(seed)
    try:
        loud = json.dumps(_run(backend, clock, style, f"spoil-{seed}"))
    finally:
        spoil.chance = None
    return quiet.replace("quiet-", "spoil-"), loud


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("style", STYLES)
def test_whoever_changes_a_payload_changes_nothing_that_others_read(
    style: str, kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    spoil.changed = 0
    with local_backend(kind, request, clock) as backend:
        for seed in range(3):
            quiet, loud = _both(backend, clock, style, seed)
            assert loud == quiet
    assert spoil.changed > 20


class Reads(ReplayWorkflow):
    name = "Reads"
    activities = (charge,)
    cache = RunCache(0)
    performed = 0

    async def run(self) -> Any:
        self.stage = "begun"
        await self.signal("go")
        self.stage = "asked"
        self.log.warning("it goes on")
        return self.side_effect(self.perform)

    def perform(self) -> int:
        type(self).performed += 1
        self.stage = "performed"
        return type(self).performed

    @query
    def where(self) -> str:
        return self.stage

    @query
    def asks(self) -> str:
        self.activity(charge, {})
        return "asked"


def test_a_query_performs_nothing_logs_nothing_and_asks_for_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = Runner(Reads)
    process_id = runner.start(Reads)
    Reads.performed = 0
    runner.manager.signal_process(process_id, "go")

    answers = [runner.manager.query(process_id, "where") for _ in range(3)]

    assert (answers, Reads.performed, caplog.records) == (["asked"] * 3, 0, [])
    with pytest.raises(ForbiddenInWorkflowError, match="a query only reads"):
        runner.manager.query(process_id, "asks")
    assert runner.finish(process_id).result.result == 1  # type: ignore[union-attr]
    assert [record.message for record in caplog.records] == ["it goes on"]
