"""Signals and requests to cancel that a run has not consumed: consumed, handed on to the next run, or reported. None is lost, none comes twice."""

import logging
from collections import Counter
from random import Random
from typing import Any

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.codec import Json
from pyworkflow.decision import CompleteProcess, ContinueProcess, Decision, RecordMarker
from pyworkflow.errors import ProcessClosedError
from pyworkflow.event import DecisionEvent
from pyworkflow.process import Process, Status
from pyworkflow.replay import ReplayWorkflow, RunCache, on_signal
from pyworkflow.signal import Signal
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from pyworkflow.workflow import DefaultWorkflow, Workflow
from pyworkflow.workflow.rules import cancel_requested, signal
from pyworkflow.workflow.ruleset import RuleSetWorkflow
from tests.local_backends import LOCAL, local_backend

HEARD = "heard"


class Handlers(DefaultWorkflow):
    """Each signal is a run."""

    name = "Handlers"

    def respond_to_signal(self, process: Process, received: Signal) -> Any:
        end = CompleteProcess() if received.name == "end" else ContinueProcess()
        return [RecordMarker(HEARD, received.data), end]

    def respond_to_cancel_request(self, process: Process, details: Json) -> Any:
        return [RecordMarker(HEARD, "canceled"), CompleteProcess()]


class Rules(RuleSetWorkflow):
    name = "Rules"

    @signal("n")
    def count(self, event: Any, process: Process) -> Any:
        return [RecordMarker(HEARD, event.signal.data), ContinueProcess()]

    @signal("end")
    def end(self, event: Any, process: Process) -> Any:
        return [RecordMarker(HEARD, event.signal.data), CompleteProcess()]

    @cancel_requested
    def cancel(self, event: Any, process: Process) -> Any:
        return [RecordMarker(HEARD, "canceled"), CompleteProcess()]


class Asks(ReplayWorkflow):
    """Waits for signals in `run`, two to a run."""

    name = "Asks"
    cache = RunCache()

    async def run(self, heard: list[Any] | None = None) -> Any:
        heard = heard or []
        for _ in range(2):
            heard.append(await self.signal("n"))
            if heard[-1] == "end":
                return heard
        self.continue_as_new(heard)


class Handles(ReplayWorkflow):
    """Has handlers, one of which is a coroutine."""

    name = "Handles"
    cache = RunCache(0)

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.busy = 0

    @on_signal
    def n(self, value: Any) -> None:
        self.heard.append(value)

    @on_signal
    async def slow(self, value: Any) -> None:
        self.busy += 1
        await self.sleep(1)
        self.busy -= 1
        self.heard.append(value)

    async def run(self, before: list[Any] | None = None) -> Any:
        before = before or []
        await self.wait_until(lambda: self.heard and not self.busy)
        if "end" in self.heard:
            return [before, self.heard]
        self.continue_as_new([*before, *self.heard])


STYLES: dict[str, type[Workflow]] = {each.name: each for each in (Handlers, Rules, Asks, Handles)}


def _flat(value: Any) -> list[Any]:
    return [i for item in value for i in _flat(item)] if isinstance(value, list) else [value]


def _markers(backend: Backend, process: Process, name: str) -> list[Any]:
    """Return the details of the markers of a name in all runs of a process."""
    return [
        event.decision.details
        for run in range(1, process.run + 1)
        for event in backend.process_by_id(f"{process.id}:{run}").history
        if isinstance(event, DecisionEvent)
        and isinstance(event.decision, RecordMarker)
        and event.decision.name == name
    ]


def _burst(backend: Backend, clock: FakeClock, style: str, seed: int, pause: float = 0.25) -> None:
    """Send a process signals, some of them twice, with work done in between by chance; see what became of each."""
    chance = Random(seed)
    runner = Runner(STYLES[style], backend=backend, clock=clock)
    name = f"{style}-{seed}"
    runner.manager.start_process(Process(STYLES[style], name))
    accepted: list[Any] = []

    def send(kind: str, value: Any) -> None:
        signal_id = f"id-{value}"
        try:
            for _ in range(1 + chance.randrange(2)):
                # A repeat is the same signal, whatever run has heard it.
                runner.manager.signal_process(name, kind, value, signal_id=signal_id)
                if chance.random() < pause:
                    runner.work()
        except ProcessClosedError:
            return
        accepted.append(value)

    kinds = ["n", "slow"] if style == "Handles" else ["n"]
    for number in range(chance.randrange(5, 30)):
        send(chance.choice(kinds), number)
        if chance.random() < 0.1:
            clock.advance(1)
    end = "n" if style in ("Asks", "Handles") else "end"
    send(end, "end")
    for number in range(chance.randrange(4)):
        send(chance.choice(kinds), f"late-{number}")
    process = runner.finish(name)

    assert process.status is Status.COMPLETED
    result = getattr(process.result, "result", None) or []
    consumed = Counter(_flat(result) + _markers(backend, process, HEARD))
    left = _markers(backend, process, "unconsumed_signals")
    reported = sum(number for counts in left for number in counts.values())
    missing = Counter(accepted) - consumed
    assert not consumed - Counter(accepted), "a signal has come twice"
    assert sum(missing.values()) == reported, (missing, reported)
    assert backend.check() == []


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("style", STYLES)
def test_each_accepted_signal_is_consumed_handed_on_or_reported(
    style: str, kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        for seed in range(12 if kind == "memory" else 4):
            _burst(backend, clock, style, seed)


def test_the_judge_finds_a_signal_that_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyworkflow.replay.run import Run

    def without(run: Run, end: Decision) -> list[Decision]:
        return [end]

    monkeypatch.setattr(Run, "_with_unconsumed", without)
    clock = FakeClock()
    found = 0
    for seed in range(10):
        with local_backend("memory", None, clock) as backend:  # type: ignore[arg-type]
            try:
                _burst(backend, clock, "Asks", seed, pause=0)
            except AssertionError:
                found += 1
    assert found == 10


@pytest.mark.parametrize("style", [Handlers, Rules])
def test_a_request_to_cancel_goes_along(style: type[Workflow]) -> None:
    runner = Runner(style)
    name = runner.manager.start_process(Process(style))
    runner.manager.signal_process(name, "n", 1)
    runner.manager.cancel_process(name)
    runner.manager.signal_process(name, "n", 2)

    process = runner.finish(name)

    assert _markers(runner.manager.backend, process, HEARD) == [1, 2, "canceled"]


def test_a_request_to_cancel_that_replayed_code_has_not_heard_goes_along() -> None:
    runner = Runner(Asks)
    name = runner.manager.start_process(Process(Asks))
    for number in (1, 2):
        runner.manager.signal_process(name, "n", number)
    runner.manager.cancel_process(name, "why")

    process = runner.finish(name)

    assert (process.run, process.status) == (2, Status.CANCELED)


class Busy(ReplayWorkflow):
    """Goes on as a new run while a handler works."""

    name = "Busy"
    cache = RunCache()

    def __init__(self) -> None:
        self.begun = False

    @on_signal
    async def note(self, value: int) -> None:
        self.begun = True
        for part in range(3):
            await self.sleep(1)
            done = [value, part]
            self.side_effect(done.copy)

    async def run(self, number: int = 1) -> int:
        await self.wait_until(lambda: self.begun)
        if number == 2:
            return number
        self.continue_as_new(number + 1)


def test_a_handler_that_has_begun_ends_before_its_run() -> None:
    runner = Runner(Busy)
    name = runner.manager.start_process(Process(Busy))
    for value in (1, 2):
        runner.manager.signal_process(name, "note", value)
        runner.work()

    process = runner.finish(name)

    done = [each["value"] for each in _markers(runner.manager.backend, process, "side_effect")]
    assert done == [[value, part] for value in (1, 2) for part in range(3)]
    assert (process.run, getattr(process.result, "result", None)) == (2, 2)


def test_code_that_ends_without_its_signals_says_so(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(Asks)
    name = runner.manager.start_process(Process(Asks))
    for value in ("end", "a", "b"):
        runner.manager.signal_process(name, "n", value)
    with caplog.at_level(logging.WARNING):
        process = runner.finish(name)

    assert _markers(runner.manager.backend, process, "unconsumed_signals") == [{"n": 2}]
    assert "ends without having taken signals: 2 of 'n'" in caplog.text
