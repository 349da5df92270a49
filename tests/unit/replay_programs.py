"""Random async programs for replayed workflows: a program is data, and a workflow interprets it.

Run as a program, it decides histories again and prints a digest of all decisions: see `test_replay_programs`.
"""

import asyncio
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyworkflow import codec
from pyworkflow.activity import activity
from pyworkflow.decision import Decision
from pyworkflow.event import DecisionEvent, DecisionStartedEvent
from pyworkflow.process import Process
from pyworkflow.replay import (
    ActivityFailed,
    ChildFailed,
    ReplayWorkflow,
    RunCache,
    SideEffectFailed,
    on_signal,
)
from pyworkflow.testing.run import Runner

Program = list[Any]
"""The name of a step, and its arguments, which may be programs."""

Choose = Callable[[int], int]
"""Returns a number below another."""

SIGNALS = ("a", "b", "c")

FAILURES = (ActivityFailed, ChildFailed, SideEffectFailed, TimeoutError, ValueError, ExceptionGroup)


@activity
def work(number: int) -> int:
    if number % 4 == 0:
        raise ValueError(f"{number} is no good")
    return number * 2


LEAVES = (
    "work",
    "work",
    "sleep",
    "turn",
    "signal",
    "side_effect",
    "random",
    "patched",
    "raise",
    "child",
    "begin",
    "shout",
    "until",
)
BRANCHES = (
    "seq",
    "gather",
    "group",
    "race",
    "wait_for",
    "timeout",
    "try",
    "finally",
    "wait",
    "as_completed",
    "cancel",
    "shield",
    "semaphore",
    "queue",
    "saga",
)


def program(choose: Choose, depth: int = 3) -> Program:
    """Return a random program."""
    if depth == 0 or choose(4) == 0:
        return [LEAVES[choose(len(LEAVES))], choose(9)]
    parts = [program(choose, depth - 1) for _ in range(1 + choose(3))]
    return [BRANCHES[choose(len(BRANCHES))], choose(9), *parts]


class ProgramWorkflow(ReplayWorkflow):
    """Runs its input."""

    name = "Program"
    activities = (work,)
    cache = RunCache()

    def __init__(self) -> None:
        self.heard = 0

    @on_signal
    def c(self) -> None:
        self.heard += 1

    async def run(self, what: Program) -> Any:
        return await self.do(what)

    async def do(self, what: Program) -> Any:
        kind, number, *parts = what
        return await getattr(self, f"do_{kind}")(number, parts)

    def tasks(self, parts: list[Program]) -> "list[asyncio.Task[Any]]":
        return [asyncio.create_task(self.do(part)) for part in parts]

    async def do_work(self, number: int, parts: list[Program]) -> Any:
        return await self.activity(work, number)

    async def do_sleep(self, number: int, parts: list[Program]) -> Any:
        await asyncio.sleep(number / 2)

    async def do_turn(self, number: int, parts: list[Program]) -> Any:
        for _ in range(number):
            await asyncio.sleep(0)

    async def do_signal(self, number: int, parts: list[Program]) -> Any:
        return await self.signal(SIGNALS[number % 2])

    async def do_side_effect(self, number: int, parts: list[Program]) -> Any:
        return self.side_effect(lambda: number if number % 3 else 1 // 0)

    async def do_random(self, number: int, parts: list[Program]) -> Any:
        if self.random.random() < 0.5:
            await self.activity(work, self.random.randrange(9))
        return str(self.uuid4())

    async def do_patched(self, number: int, parts: list[Program]) -> Any:
        return await self.activity(work, 1 if self.patched(f"change {number}") else 2)

    async def do_raise(self, number: int, parts: list[Program]) -> Any:
        raise ValueError(number)

    async def do_child(self, number: int, parts: list[Program]) -> Any:
        return await self.child(ProgramWorkflow, ["work", number])

    async def do_begin(self, number: int, parts: list[Program]) -> Any:
        self.activity(work, number)

    async def do_shout(self, number: int, parts: list[Program]) -> Any:
        self.signal_process(str(self.info.id), SIGNALS[number % 3])

    async def do_until(self, number: int, parts: list[Program]) -> Any:
        await self.wait_until(lambda: self.heard > number % 2, timeout=number + 1)
        return self.now().isoformat()

    async def do_seq(self, number: int, parts: list[Program]) -> Any:
        return [await self.do(part) for part in parts]

    async def do_gather(self, number: int, parts: list[Program]) -> Any:
        results = await asyncio.gather(
            *(self.do(part) for part in parts), return_exceptions=number % 2 == 0
        )
        return [str(result) for result in results]

    async def do_group(self, number: int, parts: list[Program]) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.do(part)) for part in parts]
        return [task.result() for task in tasks]

    async def do_race(self, number: int, parts: list[Program]) -> Any:
        return await self.race(*(self.do(part) for part in parts))

    async def do_wait_for(self, number: int, parts: list[Program]) -> Any:
        return await asyncio.wait_for(self.do(parts[0]), number)

    async def do_timeout(self, number: int, parts: list[Program]) -> Any:
        async with asyncio.timeout(number):
            return await self.do_seq(number, parts)

    async def do_try(self, number: int, parts: list[Program]) -> Any:
        try:
            return await self.do(parts[0])
        except FAILURES as error:
            return [type(error).__name__, *(await self.do_seq(number, parts[1:]))]

    async def do_finally(self, number: int, parts: list[Program]) -> Any:
        try:
            return await self.do(parts[0])
        finally:
            await self.do_seq(number, parts[1:])

    async def do_wait(self, number: int, parts: list[Program]) -> Any:
        when = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)[number % 3]
        done, pending = await asyncio.wait(self.tasks(parts), return_when=when)
        for task in pending:
            task.cancel()
        # In the order of the sets: it has to be the same in each replay.
        results = await asyncio.gather(*done, *pending, return_exceptions=True)
        return [str(result) for result in results]

    async def do_as_completed(self, number: int, parts: list[Program]) -> Any:
        return [await first for first in asyncio.as_completed(self.tasks(parts))]

    async def do_cancel(self, number: int, parts: list[Program]) -> Any:
        tasks = self.tasks(parts)
        await self.do_turn(number, [])
        for task in set(tasks):
            task.cancel()
        return [str(r) for r in await asyncio.gather(*tasks, return_exceptions=True)]

    async def do_shield(self, number: int, parts: list[Program]) -> Any:
        return await asyncio.shield(asyncio.create_task(self.do(parts[0])))

    async def do_semaphore(self, number: int, parts: list[Program]) -> Any:
        limit = self.semaphore(1 + number % 2)

        async def limited(part: Program) -> Any:
            async with limit:
                return await self.do(part)

        return await self.gather(*(limited(part) for part in parts))

    async def do_queue(self, number: int, parts: list[Program]) -> Any:
        queue: asyncio.Queue[Any] = asyncio.Queue(1)

        async def put(part: Program) -> None:
            await queue.put(await self.do(part))

        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(put(part))
            return [await queue.get() for _ in parts]

    async def do_saga(self, number: int, parts: list[Program]) -> Any:
        async with self.saga() as saga:
            for part in parts:
                saga.compensate(self.activity, work, len(saga))
                await self.do(part)


def history_of(what: Program, choose: Choose) -> Process:
    """Run a program while the world does things in a random order; return what has become of its process."""
    runner = Runner(ProgramWorkflow)
    manager = runner.manager
    manager.start_process(Process(ProgramWorkflow, "p", what))

    def seldom() -> None:
        match choose(16):
            case 0 | 1:
                manager.cancel_process("p")
            case 2 | 3:
                ProgramWorkflow.cache.clear()
            case _:
                pass

    acts: list[Callable[[], object]] = [
        *runner.workers,
        *runner.workers,
        lambda: runner.clock.advance(choose(4) / 2),
        lambda: manager.signal_process("p", SIGNALS[choose(3)]),
        seldom,
    ]
    for _ in range(60):
        if not manager.process_by_id("p").is_open:
            break
        acts[choose(len(acts))]()
    return manager.process_by_id("p")


def decided_again(process: Process, cache: RunCache) -> list[tuple[bytes, bytes]]:
    """Return, for each decision of a history, what was decided then and what is decided now."""
    cls = type("Program", (ProgramWorkflow,), {"name": "Program", "cache": cache})
    pairs = [
        (codec.encode(recorded), codec.encode(cls().decide(shown)))
        for shown, recorded in windows_of(process)
    ]
    cache.clear()
    return pairs


def windows_of(process: Process) -> Iterator[tuple[Process, Sequence[Decision]]]:
    """Yield the process as each decider has seen it, and what that one has decided."""
    for index, event in enumerate(process.history):
        if not isinstance(event, DecisionStartedEvent):
            continue
        rest = process.history[index + 1 :]
        if any(e.type in ("decision_failed", "decision_timed_out") for e in _window(rest)):
            continue
        recorded = [e.decision for e in _window(rest) if isinstance(e, DecisionEvent)]
        if not recorded and len(_window(rest)) == len(rest):
            continue
        shown = Process(
            "Program",
            process.id,
            process.input,
            history=process.history.prefix(index + 1),
            started=process.started,
            run=process.run,
        )
        yield shown, recorded


def _window(events: list[Any]) -> list[Any]:
    """Return the events before the next decision."""
    ends = (i for i, event in enumerate(events) if isinstance(event, DecisionStartedEvent))
    return events[: next(ends, len(events))]


def main(path: Path) -> None:
    """Print a digest of all that is decided along some histories."""
    digest = hashlib.sha256()
    processes: list[Process] = codec.decode(path.read_bytes(), list[Process])
    for process in processes:
        for recorded, again in decided_again(process, RunCache(0)):
            assert recorded == again
            digest.update(again)
    sys.stdout.write(digest.hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
