"""What keeps a replay the same, and what becomes of code that is not: mismatches, patches, forbidden calls, blocked deciders, the cache."""

import asyncio
import datetime
import gc
import itertools
import logging
import random
import socket
import subprocess
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from pyworkflow import codec
from pyworkflow.activity import activity
from pyworkflow.decision import CompleteProcess, Decision, RecordMarker, ScheduleActivity
from pyworkflow.errors import (
    BlockedDecisionError,
    ForbiddenInWorkflowError,
    NondeterminismError,
)
from pyworkflow.event import (
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, RunCache, query
from pyworkflow.result import ProcessCompleted
from pyworkflow.signal import Signal
from pyworkflow.task import DecisionTask
from pyworkflow.testing.replay import replay
from pyworkflow.testing.run import Runner, run_to_end
from pyworkflow.worker.execute import decide


@activity
def step(number: int) -> int:
    return number + 1


@activity
def other(number: int) -> int:
    return number + 1


def flow(run: Callable[..., Any], **attributes: Any) -> type[ReplayWorkflow]:
    body = {"name": "Flow", "activities": (step, other), "cache": RunCache(), "run": run}
    return type("Flow", (ReplayWorkflow,), body | attributes)


async def counting(self: ReplayWorkflow, until: int = 3) -> int:
    number = 0
    while number < until:
        number = await self.activity(step, number)
        await self.sleep(1)
    return number


def interrupted(run: Callable[..., Any], input: Any = None, ticks: int = 1) -> Runner:
    """Return a runner in which a process ``p`` of some code is under way."""
    cls = flow(run)
    runner = Runner(cls)
    runner.start(cls, input, id="p")
    for _ in range(ticks):
        runner.clock.advance(1)
        runner.work()
    return runner


def deployed(runner: Runner, run: Callable[..., Any]) -> Runner:
    """Return a runner on the same processes with other code."""
    return Runner(flow(run), backend=runner.manager.backend, clock=runner.clock)


# -- mismatches --------------------------------------------------------------------------------------------------------------------


def test_changed_code_is_caught_before_anything_is_written() -> None:
    async def changed(self: ReplayWorkflow) -> int:
        number = await self.activity(step, 0)
        await self.activity(other, number)
        return number

    runner = deployed(interrupted(counting), changed)
    before = len(runner.manager.process_by_id("p").history)
    runner.clock.advance(1)
    runner.work()

    # Only that the decider failed, and why.
    new = runner.manager.process_by_id("p").history[before:]
    assert [e.type for e in new] == ["timer", "decision_started", "decision_failed"]
    failed = new[-1]
    assert isinstance(failed, DecisionFailedEvent)
    shown = (failed.reason or "").splitlines()
    assert "does not decide what the history holds" in shown[0]
    assert shown[1].split("│") == [f"    {'history':<56} ", " code"]
    marked = next(line for line in shown if "≠" in line)
    assert marked.split("│")[0].split() == ["≠", "timer", "timer-1"]
    assert "schedule_activity other-1 other 1" in marked.split("│")[1]
    assert "test_replay_determinism.py:" in marked
    assert "self.patched" in shown[-3]


@pytest.mark.parametrize("what", ["more", "fewer", "payload", "order", "name"])
def test_every_kind_of_change_is_a_mismatch(what: str) -> None:
    async def before(self: ReplayWorkflow) -> None:
        await self.gather(self.activity(step, 1), self.activity(other, 2))
        await self.sleep(1)

    async def after(self: ReplayWorkflow) -> None:
        if what == "more":
            self.activity(step, 3)
        if what == "order":
            await self.gather(self.activity(other, 2), self.activity(step, 1))
        elif what == "fewer":
            await self.activity(step, 1)
        elif what == "name":
            await self.gather(self.activity(step, 1), self.activity(step, 2))
        else:
            await self.gather(self.activity(step, 9), self.activity(other, 2))
        await self.sleep(1)

    process = run_to_end(flow(before))

    with pytest.raises(NondeterminismError) as caught:
        flow(after)().decide(process)
    assert caught.value.process_id == process.id
    assert "≠" in caught.value.comparison


def test_payloads_and_options_may_change_where_that_is_wanted() -> None:
    async def before(self: ReplayWorkflow) -> None:
        await self.activity(step, 1)
        await self.sleep(1)

    async def after(self: ReplayWorkflow) -> None:
        await self.options(category="gpu").activity(step, 2)
        await self.sleep(2)

    process = run_to_end(flow(before))

    assert flow(after, compare_payloads=False)().decide(process) == [CompleteProcess()]


@pytest.mark.parametrize("cached", [True, False])
def test_the_payload_of_one_call_may_change_where_that_is_wanted(cached: bool) -> None:
    stamps = itertools.count()

    def changing(strict: int) -> type[ReplayWorkflow]:
        async def run(self: ReplayWorkflow) -> None:
            free = self.options(compare=False)
            await self.gather(
                self.activity(step, strict),
                free.activity(step, next(stamps)),
                free.child("Nested", next(stamps)),
            )

        return flow(run)

    class Nested(ReplayWorkflow):
        async def run(self, number: int) -> None:
            await self.sleep(number)

    first = changing(1)
    runner = Runner(first, Nested)
    runner.start(first, id="p")
    if not cached:
        first.cache.clear()
    process = runner.finish("p")

    assert changing(1)().decide(process) == [CompleteProcess()]
    replay(changing(1), process)
    with pytest.raises(NondeterminismError) as caught:
        changing(2)().decide(process)
    shown = [line for line in caught.value.comparison.splitlines() if "≠" in line]
    assert len(shown) == 1
    assert "step-1" in shown[0]


def test_code_that_swallows_everything_cannot_swallow_a_mismatch() -> None:
    async def before(self: ReplayWorkflow) -> None:
        await self.sleep(1)

    async def after(self: ReplayWorkflow) -> None:
        try:
            self.side_effect(lambda: pytest.fail("a side effect in a replay"))
        except Exception:
            await self.sleep(1)

    process = run_to_end(flow(before))

    with pytest.raises(NondeterminismError, match="record_marker side_effect side_effect-1"):
        flow(after)().decide(process)


# -- patches -----------------------------------------------------------------------------------------------------------------------


async def patched(self: ReplayWorkflow, until: int = 3) -> int:
    number = 0
    while number < until:
        if self.patched("other step"):
            number = await self.activity(other, number)
        else:
            number = await self.activity(step, number)
        await self.sleep(1)
    return number


def names(process: Process) -> list[str]:
    decisions = [e.decision for e in process.history if isinstance(e, DecisionEvent)]
    return [d.activity for d in decisions if isinstance(d, ScheduleActivity)]


def test_a_patch_leaves_old_processes_on_the_old_path_and_takes_new_ones_on_the_new() -> None:
    runner = deployed(interrupted(counting), patched)

    assert runner.finish("p").result == ProcessCompleted(3)
    new = runner.finish(runner.start(runner.manager.workflows[0]))

    # A process keeps to the path on which it passed first, whatever comes later.
    assert names(runner.manager.process_by_id("p")) == ["step"] * 3
    assert names(new) == ["other"] * 3
    assert new.history[2] == DecisionEvent(RecordMarker("patched", "other step"))


def test_a_process_that_had_not_come_so_far_takes_the_new_path() -> None:
    async def before(self: ReplayWorkflow) -> int:
        await self.sleep(1)
        return await self.activity(step, 0)

    async def after(self: ReplayWorkflow) -> int:
        await self.sleep(1)
        return await self.activity(other if self.patched("late") else step, 0)

    runner = deployed(interrupted(before, ticks=0), after)

    assert names(runner.finish("p")) == ["other"]


def test_the_old_path_can_be_taken_out_with_its_patch() -> None:
    async def clean(self: ReplayWorkflow, until: int = 3) -> int:
        number = 0
        while number < until:
            number = await self.activity(other, number)
            await self.sleep(1)
        return number

    runner = deployed(interrupted(patched), clean)

    assert runner.finish("p").result == ProcessCompleted(3)


# -- what is forbidden -------------------------------------------------------------------------------------------------------------


async def _thread(self: ReplayWorkflow) -> None:
    await asyncio.to_thread(print)


async def _executor(self: ReplayWorkflow) -> None:
    ThreadPoolExecutor().submit(print)


async def _own_thread(self: ReplayWorkflow) -> None:
    threading.Thread(target=print).start()


async def _connection(self: ReplayWorkflow) -> None:
    await asyncio.open_connection("localhost", 1)


async def _server(self: ReplayWorkflow) -> None:
    await asyncio.start_server(lambda r, w: None, "localhost", 1)


async def _socket(self: ReplayWorkflow) -> None:
    with socket.socket() as opened:
        opened.connect(("127.0.0.1", 1))


async def _subprocess(self: ReplayWorkflow) -> None:
    await asyncio.create_subprocess_exec("true")


async def _popen(self: ReplayWorkflow) -> None:
    subprocess.run(["true"], check=True)


async def _as_completed(self: ReplayWorkflow) -> None:
    for first in asyncio.as_completed([self.sleep(1), self.sleep(2)]):
        await first


async def _nested(self: ReplayWorkflow) -> None:
    asyncio.get_running_loop().run_until_complete(self.sleep(1))


async def _unix_signal(self: ReplayWorkflow) -> None:
    asyncio.get_running_loop().add_signal_handler(10, print)


async def _clock(self: ReplayWorkflow) -> None:
    await self.sleep(time.time() % 5)


async def _date(self: ReplayWorkflow) -> None:
    async def inner() -> str:
        return datetime.datetime.now(datetime.UTC).isoformat()

    await inner()


async def _monotonic(self: ReplayWorkflow) -> None:
    await self.sleep(monotonic() % 5)


async def _chance(self: ReplayWorkflow) -> None:
    await self.sleep(random.random())


async def _uuid(self: ReplayWorkflow) -> str:
    return str(uuid.uuid4())


async def _sleep(self: ReplayWorkflow) -> None:
    time.sleep(3600)


def refused(run: Callable[..., Any]) -> str:
    try:
        flow(run)().decide(Process("Flow", "p"))
    except ForbiddenInWorkflowError as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize(
    ("run", "advice"),
    [
        (_thread, "self.activity"),
        (_executor, "self.activity"),
        (_own_thread, "self.activity"),
        (_connection, "self.activity"),
        (_server, "self.activity"),
        (_socket, "self.activity"),
        (_subprocess, "self.activity"),
        (_popen, "self.activity"),
        (_as_completed, "asyncio.create_task"),
        (_nested, "await instead"),
        (_unix_signal, "self.signal"),
        (_clock, "time() (test_replay_determinism.py:"),
        (_clock, "self.now()"),
        (_date, "self.now()"),
        (_monotonic, "self.now()"),
        (_chance, "self.random"),
        (_uuid, "self.uuid4()"),
        (_sleep, "self.sleep"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_what_cannot_be_replayed_is_refused_with_what_to_do_instead(
    run: Callable[..., Any], advice: str
) -> None:
    told = refused(run)
    # The coroutines that were refused are collected here, where their warnings are ignored.
    gc.collect()

    assert "inside a replayed workflow" in told
    assert advice in told


def test_a_side_effect_may_look_at_the_world() -> None:
    async def run(self: ReplayWorkflow) -> int:
        # Named or wrapped, but not called by the workflow's own code.
        assert self.side_effect(time.time) > self.side_effect(lambda: random.random())
        return self.side_effect(lambda: subprocess.run(["true"], check=True).returncode)

    assert run_to_end(flow(run)).result == ProcessCompleted(0)


# -- deciders that block -----------------------------------------------------------------------------------------------------------


def test_an_endless_loop_is_reported_with_the_line_it_is_in_and_ended() -> None:
    ended = threading.Event()

    async def endless(self: ReplayWorkflow) -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    cls = flow(endless, blocked_after=0.1)

    with pytest.raises(BlockedDecisionError, match=r"in endless\n +pass|in endless\n +while True"):
        cls().decide(Process("Flow", "p"))
    assert ended.wait(30)


def test_a_decider_that_waits_for_a_lock_is_reported_and_not_begun_again_before_it_ends() -> None:
    # Each has its own: who is abandoned while it waits for a lock may end with it.
    locks = {"p": threading.Lock(), "q": threading.Lock()}
    begun: list[int] = []
    locks["p"].acquire()

    async def waits(self: ReplayWorkflow) -> str:
        begun.append(1)
        with locks[str(self.info.id)]:
            return "done"

    cls = flow(waits, blocked_after=0.5)
    process = Process("Flow", "p")

    with pytest.raises(BlockedDecisionError, match="in waits"):
        cls().decide(process)
    with pytest.raises(BlockedDecisionError, match="still blocks"):
        cls().decide(process)
    assert begun == [1]
    # Other processes go on meanwhile, however long this machine takes for that.
    cls.blocked_after = 60
    assert cls().decide(Process("Flow", "q")) == [CompleteProcess("done")]
    locks["p"].release()


def test_time_sleep_is_reported() -> None:
    def nap() -> None:
        time.sleep(3600)

    async def sleeps(self: ReplayWorkflow) -> None:
        nap()

    # Where the interpreter tells of it beforehand, it does not even begin.
    with pytest.raises((BlockedDecisionError, ForbiddenInWorkflowError), match=r"self\.sleep"):
        flow(sleeps, blocked_after=0.1)().decide(Process("Flow", "p"))


def test_code_that_goes_in_circles_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def circles(self: ReplayWorkflow) -> None:
        while True:
            await asyncio.sleep(0)

    monkeypatch.setattr("pyworkflow.replay.loop.MAX_TURNS", 1000)

    with pytest.raises(BlockedDecisionError, match="never comes to rest"):
        flow(circles)().decide(Process("Flow", "p"))


def test_a_worker_goes_on_after_a_decider_that_blocks() -> None:
    lock = threading.Lock()
    lock.acquire()

    async def run(self: ReplayWorkflow, blocks: bool) -> str:
        if blocks:
            lock.acquire()
        return "done"

    cls = flow(run, blocked_after=0.1)
    runner = Runner(cls)
    runner.manager.start_process(Process(cls, "bad", True))
    runner.manager.start_process(Process(cls, "good", False))
    runner.work()

    assert runner.manager.process_by_id("good").result == ProcessCompleted("done")
    [failed] = runner.manager.process_by_id("bad").history.find(DecisionFailedEvent)
    assert "blocked its thread" in str(failed)
    lock.release()


# -- the cache ---------------------------------------------------------------------------------------------------------------------


RUN = 1_000_000


@pytest.fixture(autouse=True)
def large_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have only the number of runs count, where a test needs that."""
    if "traced" in request.fixturenames:
        monkeypatch.setattr("pyworkflow.replay.cache.COROUTINE_BYTES", RUN)


class TracedWorkflow(ReplayWorkflow):
    """Counts how often its code begins and ends."""

    name = "Traced"
    activities = (step,)
    cache = RunCache(2 * RUN + RUN // 2)
    begun = 0
    cleaned: list[str] = []  # noqa: RUF012

    @query
    def number(self) -> int:
        return self.at

    at = 0

    async def run(self, until: int) -> int:
        type(self).begun += 1
        try:
            for self.at in range(until):
                await self.activity(step, self.at)
            return self.at
        finally:
            type(self).cleaned.append(str(self.info.id))
            self.activity(step, -1)


@pytest.fixture
def traced() -> type[TracedWorkflow]:
    TracedWorkflow.begun = 0
    TracedWorkflow.cleaned = []
    TracedWorkflow.cache.clear()
    return TracedWorkflow


def test_code_begins_once_for_all_decisions(traced: type[TracedWorkflow]) -> None:
    runner = Runner(traced)

    runner.finish(runner.start(traced, 50))

    assert traced.begun == 1
    assert len(traced.cache) == 0


def test_too_many_runs_push_out_the_oldest_and_decide_nothing(traced: type[TracedWorkflow]) -> None:
    runner = Runner(traced)
    decider = runner.workers[0]
    for name in "abc":
        runner.manager.start_process(Process(traced, name, 3))
        decider()

    # The block that cleans up has run, but what it asked for is no decision of anybody.
    assert len(traced.cache) == 2
    assert traced.cleaned == ["a"]
    runner.work()
    for name in "abc":
        process = runner.manager.process_by_id(name)
        assert process.result == ProcessCompleted(2)
        assert (
            names(process) == ["step"] * 4
        )  # three, and the one that the block asks for at the end


def test_histories_count_towards_the_limit_of_runs() -> None:
    cls = flow(counting, cache=RunCache(15_000))
    runner = Runner(cls)
    runner.start(cls, id="p")
    assert len(cls.cache) == 1
    runner.start(cls, id="q")

    assert len(cls.cache) == 1
    assert runner.finish("p").result == runner.finish("q").result == ProcessCompleted(3)


def test_letting_go_of_code_logs_nothing_and_warns_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run(self: ReplayWorkflow) -> None:
        async def other_task() -> None:
            try:
                await self.sleep(9)
            finally:
                await self.sleep(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(other_task())
            try:
                await self.signal("never")
            except BaseException:
                await self.activity(step, 1)

    cls = flow(run)
    with caplog.at_level(logging.DEBUG):
        cls().decide(Process("Flow", "p", history=[ProcessStartedEvent(), DecisionStartedEvent()]))
        assert len(cls.cache) == 1
        cls.cache.clear()
        gc.collect()

    assert caplog.records == []


def started(*events: Any) -> list[Any]:
    return [ProcessStartedEvent(), *events, DecisionStartedEvent()]


def test_a_decision_that_was_lost_is_made_again(traced: type[TracedWorkflow]) -> None:
    async def run(self: ReplayWorkflow) -> list[Any]:
        got = [await self.signal("x")]
        await self.activity(step, got[0])
        return [*got, await self.signal("x")]

    cls = flow(run)
    one, two = SignalEvent(Signal("x", 1)), SignalEvent(Signal("x", 2))
    first = Process(cls, "p", history=started(one))
    [scheduled] = cls().decide(first)
    for lost in (DecisionTimedOutEvent(), DecisionFailedEvent("unseen events")):
        again = Process(
            cls, "p", history=first.history.extended([lost, two, DecisionStartedEvent()])
        )
        assert cls().decide(again) == [scheduled]
        assert cls().decide(again) == [scheduled]


def test_a_history_that_is_not_the_one_before_is_replayed() -> None:
    """Two backends may hold different processes of one id."""

    async def run(self: ReplayWorkflow) -> Any:
        got = await self.signal("x")
        await self.activity(step, got)

    cls = flow(run)
    for value in (1, 2, 3):
        begun = started()
        process = Process(cls, "p", history=begun)
        assert cls().decide(process) == []
        events = [SignalEvent(Signal("x", value)), DecisionStartedEvent()]
        [scheduled] = cls().decide(Process(cls, "p", history=[*begun, *events]))
        assert isinstance(scheduled, ScheduleActivity)
        assert scheduled.input == value


def test_one_run_is_never_driven_by_two_threads() -> None:
    cls = flow(counting)
    runner = interrupted(counting, 200, ticks=0)
    process = runner.manager.process_by_id("p")
    history = process.history.extended([DecisionStartedEvent()])
    wanted = codec.encode(cls().decide(Process(cls, "p", 200, history=history)))
    answers: list[bytes] = []
    barrier = threading.Barrier(8)

    def decide_it() -> None:
        barrier.wait()
        for _ in range(20):
            answers.append(codec.encode(cls().decide(Process(cls, "p", 200, history=history))))

    threads = [threading.Thread(target=decide_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [wanted] * 160


def test_a_mismatch_is_a_failed_decision_for_a_worker() -> None:
    runner = deployed(interrupted(counting), patched)
    task = DecisionTask(runner.manager.process_by_id("p"))

    async def changed(self: ReplayWorkflow) -> None:
        await self.sleep(7)

    outcome = decide(deployed(runner, changed).manager, task)

    assert not isinstance(outcome, list)
    assert "does not decide what the history holds" in outcome.reason


def test_decisions_are_json_that_every_backend_takes() -> None:
    async def run(self: ReplayWorkflow) -> None:
        self.options(id="x").activity(step, 1)
        self.options(tags=["t"]).child("Part", (1, 2))
        self.signal_process("q", "hello", {"a": 1})
        await self.sleep(1)

    decisions: list[Decision] = flow(run)().decide(Process("Flow", "p"))

    assert [d.type for d in decisions] == [
        "schedule_activity",
        "start_child_process",
        "signal_process",
        "timer",
    ]
    for decision in decisions:
        assert codec.decode(codec.encode(decision), type(decision)) == decision


def test_nothing_of_a_finished_process_is_kept() -> None:
    alive: list[weakref.ref[ReplayWorkflow]] = []

    async def run(self: ReplayWorkflow, number: int) -> int:
        alive.append(weakref.ref(self))
        return await self.activity(step, number)

    cls = flow(run)
    for number in range(3):
        run_to_end(cls, number)
    gc.collect()

    assert [ref() for ref in alive] == [None] * 3
