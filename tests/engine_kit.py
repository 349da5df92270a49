"""Tasks and templates for tests of the event engine. A task does what the configuration of its template or the data says."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

from pyworkflow.engine import (
    EXEC_TOPIC,
    Engine,
    Event,
    SkipTask,
    TaskHolder,
    TukioTask,
    TukioTaskError,
    Workflow,
    WorkflowTemplate,
    get_broker,
    register,
)

T = TypeVar("T")

SECONDS = 60.0
"""What a test may take; far more than it needs, on a slow machine, too."""


class Stage:
    """What the tasks of one test share: who ran with what, and gates that the test opens."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.begun: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.ended: list[str] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.ran]


stage = Stage()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine in a loop of its own, with a stage of its own."""
    stage.__init__()  # type: ignore[misc]

    async def limited() -> T:
        return await asyncio.wait_for(work, SECONDS)

    return asyncio.run(limited())


def current() -> TukioTask:
    return cast("TukioTask", asyncio.current_task())


def enter(event: Event) -> str:
    name = current().template.uid
    stage.ran.append((name, event.data.copy()))
    stage.begun[name].set()
    return name


@register("kit-append")
async def append(event: Event) -> Event:
    event.data[enter(event)] = True
    return event


@register("kit-scribble")
async def scribble(event: Event) -> Event:
    """Write into the data, then go on when the test opens the gate."""
    name = enter(event)
    event.data["items"].append(name)
    await stage.gates[name].wait()
    return event


@register("kit-replace")
async def replace(event: Event) -> dict[str, Any]:
    return {enter(event): "new"}


@register("kit-nothing")
async def nothing(event: Event) -> None:
    enter(event)


@register("kit-number")
async def number(event: Event) -> int:
    enter(event)
    return 5


@register("kit-fail")
async def fail(event: Event) -> None:
    raise ValueError(f"{enter(event)} is broken")


@register("kit-fail-telling")
async def fail_telling(event: Event) -> None:
    enter(event)
    raise TukioTaskError({"code": 7})


@register("kit-skip")
async def skip(event: Event) -> None:
    enter(event)
    raise SkipTask("not today")


@register("kit-cancels-itself")
async def cancels_itself(event: Event) -> None:
    enter(event)
    current().cancel()
    await asyncio.sleep(0)


@register("kit-gate")
async def gate(event: Event) -> Event:
    """Go on when the test opens the gate of its name."""
    name = enter(event)
    try:
        await stage.gates[name].wait()
    finally:
        stage.ended.append(name)
    event.data[name] = True
    return event


@register("kit-forever")
async def forever(event: Event) -> None:
    enter(event)
    await asyncio.Event().wait()


@register("kit-choose")
async def choose(event: Event) -> Event:
    enter(event)
    workflow = Workflow.current_workflow()
    assert workflow is not None
    workflow.set_next_tasks(event.data["next"])
    return event


@register("kit-nested")
async def nested(event: Event) -> Event:
    """Change what it was given, deep inside."""
    name = enter(event)
    event.data["deep"]["list"].append(name)
    return event


@register("kit-unlock")
async def unlock(event: Event) -> Event:
    workflow = Workflow.current_workflow()
    assert workflow is not None
    workflow.unlock_when_task_done()
    enter(event)
    return event


@register("kit-listen")
async def listen(event: Event) -> dict[str, Any]:
    """Return the first event that comes while it runs."""
    enter(event)
    heard = await current().queue.get()
    return {"heard": heard.data, "topic": heard.topic}


@register("kit-holder", "work")
class Holder(TaskHolder):
    """Reports its configuration; after a timeout it gives what is configured as its teardown."""

    torn: list[str] = []  # noqa: RUF012 - the class is the only thing that a test can look at

    async def work(self, event: Event) -> dict[str, Any]:
        enter(event)
        if self.config.get("wait"):
            await asyncio.Event().wait()
        return {"config": dict(self.config), "uid": self.uid}

    def report(self) -> Any:
        return {"value": self.config.get("value")}

    def teardown(self) -> Any:
        self.torn.append(self.uid)
        return self.config.get("teardown")


@register("kit-broken-holder", "work")
class BrokenHolder:
    def __init__(self, config: dict[str, Any]) -> None:
        raise {"KeyError": KeyError, "TypeError": TypeError}[config["error"]]("no such setting")

    async def work(self, event: Event) -> None:
        enter(event)


def template(
    tasks: Mapping[str, str | Mapping[str, Any]],
    graph: dict[str, list[str]] | None = None,
    **more: Any,
) -> WorkflowTemplate:
    """Return a template: tasks as names of registered ones, or with more; by default one after the other."""
    listed = [
        {"id": uid, **({"name": told} if isinstance(told, str) else told)}
        for uid, told in tasks.items()
    ]
    names = list(tasks)
    chain = {name: names[at + 1 : at + 2] for at, name in enumerate(names)}
    return WorkflowTemplate.from_dict({"tasks": listed, "graph": graph or chain, **more})


async def started(made: WorkflowTemplate, data: dict[str, Any] | None = None) -> Workflow:
    """Start a workflow in an engine of its own."""
    workflow = await Engine().run_once(made, data or {})
    assert workflow is not None
    return workflow


async def finished(made: WorkflowTemplate, data: dict[str, Any] | None = None) -> Workflow:
    """Run a workflow to its end, whatever that is."""
    workflow = await started(made, data)
    await asyncio.wait([workflow])
    return workflow


def execs(workflow: Workflow) -> dict[str, Any]:
    """Return what the report tells of each task, by its id."""
    return {task["id"]: task["exec"] for task in workflow.report()["tasks"]}


def states(workflow: Workflow) -> dict[str, str | None]:
    """Return where each task stands, None for one that has not begun."""
    return {uid: told and told["state"] for uid, told in execs(workflow).items()}


class Messages:
    """Hears the messages of all workflows."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        get_broker().register(self.take, EXEC_TOPIC)

    def take(self, event: Event) -> None:
        self.heard.append(event)

    @property
    def types(self) -> list[tuple[str, str | None]]:
        return [
            (event.data["type"], event.source.task_template_id)
            for event in self.heard
            if event.source is not None
        ]
