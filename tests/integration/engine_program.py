"""A program with an engine that tests start as an OS process, and kill: ``python -m tests.integration.engine_program URL LOG [rescue]``.

Each task writes a line to the log when it begins. The second one of each workflow then waits for its end, unless the program is to rescue.
"""

import asyncio
import sys
from pathlib import Path

from pyworkflow.engine import Engine, Event, TukioTask, WorkflowTemplate, register

WORKFLOW = {
    "id": "killed",
    "policy": "start-new",
    "tasks": [{"id": name, "name": "logged"} for name in "abcd"],
    "graph": {"a": ["b", "c"], "b": ["d"], "c": [], "d": []},
}
WORKFLOWS = 3

url, log, *how = sys.argv[1:]


@register("logged")
async def logged(event: Event) -> Event:
    task = asyncio.current_task()
    assert isinstance(task, TukioTask)
    with Path(log).open("a") as file:
        file.write(f"{event.data['number']} {task.template.uid}\n")
    if task.template.uid == "b" and not how:
        await asyncio.Event().wait()
    return event


async def main() -> None:
    async with Engine(backend=url, lease=1) as engine:
        await engine.load(WorkflowTemplate.from_dict(WORKFLOW))
        if how:
            workflows = await engine.rescue()
            await asyncio.wait(workflows)
            sys.stdout.write(" ".join(workflow.state for workflow in workflows))
        else:
            for number in range(WORKFLOWS):
                await engine.data_received({"number": number})
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
