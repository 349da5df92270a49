"""From the state of a step to the decisions that it calls for now."""

from collections.abc import Iterator

from pyworkflow.codec import Json, to_plain
from pyworkflow.decision import (
    Decision,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.graph import marks
from pyworkflow.graph.inputs import asked, final_input, given_to, item_inputs
from pyworkflow.graph.keys import Key, child_prefix, timer_id
from pyworkflow.graph.model import (
    ActivityWork,
    ChildWork,
    Join,
    LambdaWork,
    NoWork,
    SignalWork,
    TimerWork,
)
from pyworkflow.graph.run import Run
from pyworkflow.graph.state import StepState, StepStatus
from pyworkflow.process import Process
from pyworkflow.retry import Retry

ONCE = Retry(max_attempts=1)
"""Overrides the retries of an activity's type, so that the attempts of a step are as many as it says."""


def advance(run: Run, state: StepState, process: Process) -> Iterator[Decision]:
    """Yield what a step calls for. Each decision has to be applied to the run before the next is asked for."""
    if state.is_ended:
        return
    if state.status is StepStatus.WAITING:
        if state.ready and not run.is_full(state):
            yield from _begin(run, state, process)
    elif state.answer:
        yield from _answer(run, state, process)
    for number, paused in list(state.due.items()):
        yield from _again(run, state, number, paused, process)
    yield from _next_items(run, state, process)


def _begin(run: Run, state: StepState, process: Process) -> Iterator[Decision]:
    step = state.step
    if step.join is Join.RACE:
        yield from _drop_others(run, state)
    outputs = run.flow.inputs_of(state)
    given = given_to(step, outputs)
    if step.when is not None and not asked(step.when, given):
        yield marks.skipped(step.name)
    elif step.for_each is not None:
        yield marks.items(step.name, to_plain(item_inputs(step, outputs)))
    elif isinstance(step.work, NoWork):
        yield marks.gave(step.name, to_plain(final_input(step, given)))
    else:
        yield from _start(state, Key(step.name), to_plain(final_input(step, given)), process)


def _drop_others(run: Run, state: StepState) -> Iterator[Decision]:
    for name in dict.fromkeys(state.step.rivals):
        if not run.flow.states[name].is_ended:
            yield marks.dropped(name, state.step.name)


def _next_items(run: Run, state: StepState, process: Process) -> Iterator[Decision]:
    """Begin as many items of a ``for_each`` as may run at a time."""
    step, items = state.step, state.items
    if items is None:
        return
    while state.has_more_items() and not state.is_ended:
        if step.concurrency is not None and state.open >= step.concurrency:
            return
        if run.is_full(state):
            return
        number = len(state.parts) + 1
        yield from _start(state, Key(step.name, number), items[number - 1], process)


def _again(
    run: Run, state: StepState, number: int, paused: bool, process: Process
) -> Iterator[Decision]:
    """Try a part again, or begin the next run of a ``repeat``, after the pause that there has to be."""
    part, step = state.parts[number], state.step
    key = Key(step.name, number, part.attempt + 1)
    if part.failed is not None and not paused and step.retry is not None:
        delay = step.retry.delay(part.attempt, f"{process.id} {timer_id('pause', key)}")
        if delay > 0:
            yield Timer(delay, id=timer_id("pause", key))
            return
    if run.is_full(state):
        return
    given = part.input if part.attempt else _fed(state, number)
    yield from _start(state, key, given, process)


def _answer(run: Run, state: StepState, process: Process) -> Iterator[Decision]:
    """Say what follows the output of a step that repeats, or that chooses who goes on."""
    step, output, runs = state.step, state.outputs(), len(state.parts)
    repeat = step.repeat
    if repeat is not None and run.is_full(state):
        return
    if repeat is not None and not asked(repeat.until, output):
        key = Key(step.name, runs + 1)
        if runs >= repeat.limit:
            yield marks.failed(step.name, f"not done after {runs} runs")
        elif repeat.delay > 0:
            yield Timer(repeat.delay, id=timer_id("pause", key))
        else:
            yield from _start(state, key, _fed(state, runs + 1), process)
        return
    chosen = None if step.choose is None else asked(step.choose, output)
    yield marks.done(step.name, None if chosen is None else list(chosen))


def _fed(state: StepState, number: int) -> Json:
    """Return the input of a later run of a ``repeat``."""
    repeat, before = state.step.repeat, state.parts[number - 1]
    if repeat is None or repeat.feed is None or before.outcome is None:
        return before.input
    return to_plain(asked(repeat.feed, before.outcome.output))


def _start(state: StepState, key: Key, given: Json, process: Process) -> Iterator[Decision]:
    """Begin an attempt."""
    step = state.step
    match step.work:
        case ActivityWork() as work:
            yield ScheduleActivity(
                work.activity,
                id=str(key),
                category=work.category,
                input=given,
                scheduled_timeout=work.scheduled_timeout,
                execution_timeout=work.timeout,
                heartbeat_timeout=work.heartbeat_timeout,
                retry=None if step.retry is None else ONCE,
            )
        case LambdaWork() as work:
            yield ScheduleLambda(work.function, id=str(key), input=given, timeout=work.timeout)
        case ChildWork() as work:
            child = Process(
                work.workflow, child_prefix(process) + str(key), input=given, tags=work.tags
            )
            yield StartChildProcess(child, work.child_policy)
            yield from _limit(work.timeout, key)
        case SignalWork() as work:
            yield marks.waits(key)
            # A signal that came early has ended it by now.
            if state.parts[key.part].outcome is None:
                yield from _limit(work.timeout, key)
        case TimerWork(duration=duration):
            seconds = asked(duration, given) if callable(duration) else duration
            yield Timer(seconds, id=timer_id("timer", key))
        case NoWork():
            yield marks.gave(step.name, given)


def _limit(seconds: float | None, key: Key) -> Iterator[Decision]:
    """Limit the time of what the engine does not limit by itself."""
    if seconds is not None:
        yield Timer(seconds, id=timer_id("timeout", key))
